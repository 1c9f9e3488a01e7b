"""The parts that benchmarks with a page share: options, progress, figures, a run that can end."""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import page


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where figures go, and where they come from."""
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--render", metavar="FILE", help="measure nothing, show this JSON")
    parser.add_argument("--write", action="store_true", help="write them into docs/performance.md")
    parser.add_argument("--docs", metavar="FOLDER", default=page.DOCS, help="of that page")


def figures(
    asked: argparse.Namespace, measure: Callable[[Path], dict[str, Any]]
) -> dict[str, Any] | None:
    """The figures of ``--render``, or those measured now in a folder; None if interrupted."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it ends what it started
    if asked.render:
        found: dict[str, Any] = json.loads(Path(asked.render).read_text())
        return found
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        return measure(folder)
    except KeyboardInterrupt:
        print("interrupted; everything that it started has ended", file=sys.stderr)
        return None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def keep(found: dict[str, Any], asked: argparse.Namespace) -> None:
    """Write the figures where ``--json`` says, if it does."""
    if asked.json:
        Path(asked.json).write_text(json.dumps(found, indent=1) + "\n")


def say(text: str) -> None:
    """Tell how far it is, with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)

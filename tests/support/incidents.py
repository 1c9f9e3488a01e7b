"""Makes incidents by ``tools/incidents``, and asks emperor-replay about them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from .replaying import asking

_TOOL = Path(__file__).resolve().parents[2] / "tools" / "incidents"


def made(name: str, folder: Path) -> str:
    """Make an incident with real processes; the path of its journal."""
    argv = [sys.executable, str(_TOOL), name, str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def told(journal: str, *words: str, code: int = 0) -> str:
    """The text that a command of emperor-replay prints."""
    result = asking()(journal, *words)
    assert result.exit_code == code, result.output
    return result.stdout


def known(journal: str, *words: str) -> Any:
    """The JSON that a command of emperor-replay prints."""
    return json.loads(told(journal, *words, "--json"))


def truth(journal: str) -> Any:
    """The facts that the script of an incident saw itself."""
    return json.loads((Path(journal).parents[1] / "truth.json").read_text())

"""Texts for values of answers, and answers as JSON."""

import json
from collections.abc import Callable
from itertools import starmap
from typing import Any, Final

import click

from ...monitors.names import shown
from ..cli import escapes
from ..cli.tables import write

WHOLE: Final = "emperor-ctl status --json"


def as_json(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option ``--json``, and the function the parameter ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="As JSON.")(function)


def print_json(answer: Any) -> None:
    """Print an answer for programs."""
    text = escapes.escaped(json.dumps(answer, ensure_ascii=False, indent=2))
    write([text.encode("utf-8", "backslashreplace"), b"\n"])


def as_text(value: Any, most: int | None = None) -> str:
    """A value for people; of a list ``most`` items, all of them unless told."""
    if isinstance(value, dict):
        return ", ".join(starmap(_pair, value.items())) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        text = ", ".join(shown(str(item)) for item in value[:most]) or "none"
        others = 0 if most is None else len(value) - most
        return f"{text} and {others_text(others)}; {WHOLE} has all" if others > 0 else text
    return "no" if value is None else shown(str(value))


def others_text(count: int) -> str:
    """So many others: ``1 other``, ``1,234 others``."""
    return f"{count:,} other{'' if count == 1 else 's'}"


def _pair(name: str, value: Any) -> str:
    return f"{value} {name}" if isinstance(value, int) else shown(f"{name}: {value}")

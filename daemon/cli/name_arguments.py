"""Arguments that are names: UTF-8, whatever the locale takes them for.

No vassal has a name that is not UTF-8 (``monitors/names.py``). A shell's ``*`` finds such files.
Neither SQLite nor JSON can hold their names, so they are refused before journal or daemon is asked.
"""

import os
import sys
from collections.abc import Sequence
from typing import IO, Any

import click

from ...monitors.names import shown


class _NoName(click.ClickException):
    """A name that no vassal can have. The exit code is that of any other unknown vassal."""

    exit_code = 1

    def __init__(self, program: str, told: str) -> None:
        super().__init__(f"there is no vassal {shown(told)}: its name is not UTF-8")
        self._program = program

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it as other errors of the program are."""
        print(f"{self._program}: {self.message}", file=file or sys.stderr)


def text_of(_: click.Context, __: click.Parameter, told: str | None) -> str | None:
    """A callback of an option: a source or an author. It has U+FFFD for what is not UTF-8."""
    return None if told is None else os.fsencode(told).decode("utf-8", "replace")


def vassal_of(context: click.Context, _: click.Parameter, told: str | None) -> str | None:
    """A callback of an argument: a vassal or a pattern. Ends the program where it is not UTF-8."""
    return None if told is None else _vassal(context, told)


def vassals_of(context: click.Context, _: click.Parameter, told: Sequence[str]) -> tuple[str, ...]:
    """A callback of an argument: vassals or patterns. One of them that is not UTF-8 refuses all."""
    return tuple(_vassal(context, one) for one in told)


def _vassal(context: click.Context, told: str) -> str:
    word = os.fsencode(told)
    try:
        return word.decode()
    except UnicodeDecodeError:
        program = context.find_root().info_name or "emperor"
        raise _NoName(program, word.decode("utf-8", "surrogateescape")) from None

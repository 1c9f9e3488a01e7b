"""``undo``: the commands that would bring back what an event changed."""

import re
from typing import Final

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import Command
from ...daemon.cli.tables import write
from ...journal.reading import Reader
from .. import undo
from ..shared import raw_option, reading

_NUMBER: Final = re.compile(r"@?([0-9]{1,18})", re.ASCII)


def _seq(_: click.Context, __: click.Parameter, told: str) -> int:
    found = _NUMBER.fullmatch(told)
    if found is None:
        raise click.BadParameter(f"{told} is no event; write its number")
    return int(found[1])


@click.command("undo", cls=Command)
@click.argument("seq", callback=_seq)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@raw_option
@reading
def command(reader: Reader, seq: int, as_json: bool, raw: bool) -> None:
    """The commands that would bring back what event SEQ changed. Nothing is carried out.

    It prints a shell command for a file and for an operator's request, SQL for a row, and mongosh
    for a document. Elsewhere it prints the text and what to do with it.
    """
    found = undo.undo(reader, seq)
    if as_json:
        write([escapes.encode(undo.record(found)), b"\n"])
    else:
        write(undo.lines(found), raw=raw)

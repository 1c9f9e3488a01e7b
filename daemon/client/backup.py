"""``emperor-ctl backup``: a verified copy of the journal of the running daemon."""

import click

from ...journal.quantities import size_text
from ...monitors.names import shown
from ..cli.commandline import Command
from .asking import ask
from .format import as_json as json_option
from .format import print_json
from .output_path import absolute

_LONG = 7 * 24 * 3600.0  # seconds: it ends with its daemon


@click.command("backup", cls=Command)
@click.argument("file", type=click.Path(dir_okay=False))
@json_option
@click.pass_obj
def command(path: str, file: str, as_json: bool) -> None:
    """Write a verified copy of the journal to FILE, which is new.

    Another process copies the journal, verifies the copy, and gives it its name when it is on
    disk. The daemon works on meanwhile. The copy is a journal as any other, with mode 0600.
    """
    answer = ask(path, {"do": "backup", "file": absolute(file, "FILE")}, _LONG)
    if as_json:
        print_json(answer)
        return
    print(
        f"{shown(answer['file'])}: {answer['events']:,} events, {answer['first']} to"
        f" {answer['last']}, verified; {size_text(answer['bytes'])}; head {answer['head']}"
    )

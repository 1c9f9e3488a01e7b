"""``why``: the chain of causes that led to a vassal's phase."""

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import TIME, Command
from ...daemon.cli.tables import write
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import why
from ..rebuild import moment
from ..shared import UNREADABLE, complain, name_argument, print_lines, reading
from ..trust import complaint


@click.command("why", cls=Command)
@name_argument
@click.option("--at", type=TIME, metavar="T", help="As it was at this time.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@reading
def command(reader: Reader, name: str, at: Moment | None, as_json: bool) -> int:
    """The chain of causes that led to a vassal's present phase.

    After a crash loop it says since when the vassal is down, which deploy broke it, and which
    repairs were tried: ✓ helped, ✗ died, - came too late.
    """
    told = why.tell(reader, name, moment(reader, at, None))
    if as_json:
        write([escapes.encode(why.record(reader, told)), b"\n"])
    else:
        print_lines(why.lines(reader, told))
    return complain(complaint(reader, told.altered), UNREADABLE) if told.altered else 0

"""``why``: the chain of causes that led to a vassal's phase."""

import click

from ...daemon.cli.commandline import TIME, Command
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import why
from ..rebuild import moment
from ..shared import name_argument, print_lines, reading


@click.command("why", cls=Command)
@name_argument
@click.option("--at", type=TIME, metavar="T", help="As it was at this time.")
@reading
def command(reader: Reader, name: str, at: Moment | None) -> None:
    """The chain of causes that led to a vassal's present phase."""
    print_lines(why.story(reader, name, moment(reader, at, None)))

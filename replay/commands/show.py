"""``show``: a config text as deployed."""

import click

from ...daemon.cli.commandline import Command
from ...daemon.cli.tables import write
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import texts
from ..shared import moment_of, moments, name_argument, raw_option, reading


@click.command("show", cls=Command)
@name_argument
@moments
@click.option("--running", is_flag=True, help="The text that its process has, not the wanted one.")
@raw_option
@reading
def command(
    reader: Reader, name: str, at: Moment | None, seq: int | None, running: bool, raw: bool
) -> None:
    """The config text as deployed, which its process may not have yet: see --running.

    Its bytes are unchanged in a pipe. On a terminal what is not printable is escaped.
    """
    text = texts.running if running else texts.deployed
    write([text(reader, name, moment_of(reader, at, seq))], raw=raw)

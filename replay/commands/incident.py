"""``incident``: the opening of a post-mortem, as a page of Markdown."""

from pathlib import Path

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import TIME, Command, os_error_text
from ...daemon.cli.tables import write
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import incident_of_vassal, why
from ..page import markdown
from ..rebuild import moment
from ..shared import complain, name_argument, print_lines, reading


@click.command("incident", cls=Command)
@name_argument
@click.option("--at", type=TIME, metavar="T", help="As it was at this time.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False),
    metavar="FILE.md",
    help="Write the page to this file.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@reading
def command(reader: Reader, name: str, at: Moment | None, output: str | None, as_json: bool) -> int:
    """The opening of a post-mortem, as a page of Markdown.

    Since when the vassal was down, which deploy broke it and how, the last good config, the repairs
    that were tried, its last lines, other vassals that have a bad line now, and all else that
    changed within a minute.
    """
    told = why.tell(reader, name, moment(reader, at, None))
    if as_json:
        write([escapes.encode(incident_of_vassal.record(reader, told)), b"\n"])
        return 0
    lines = markdown(incident_of_vassal.page(reader, told))
    if output is None:
        print_lines(lines)
        return 0
    try:
        Path(output).write_text("".join(f"{line}\n" for line in lines), "utf-8")
    except OSError as error:
        return complain(os_error_text(error), 1)
    return 0

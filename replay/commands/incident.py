"""``incident``: the opening of a post-mortem, as a page of Markdown."""

from pathlib import Path
from typing import Any

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import TIME, Command, os_error_text
from ...daemon.cli.tables import write
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import incident_of_fleet, incident_of_vassal, why
from ..page import Page, markdown
from ..rebuild import moment
from ..shared import UNREADABLE, complain, name_of, reading
from ..trust import complaint


@click.command("incident", cls=Command)
@click.argument("name", required=False, callback=name_of)
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
def command(
    reader: Reader, name: str | None, at: Moment | None, output: str | None, as_json: bool
) -> int:
    """The opening of a post-mortem, as a page of Markdown.

    Since when the vassal was down, which deploy broke it and how, the last good config, the repairs
    that were tried, its last lines, other vassals that have a bad line now, and all else that
    changed within a minute. Without NAME it is about the last incident of the fleet: an outage of a
    source, a mass removal, a crash loop, or a death of the daemon.
    """
    seq = moment(reader, at, None)
    if as_json:
        record = _record(reader, name, seq)
        pieces, altered = [escapes.encode(record), b"\n"], record["altered"]
    else:
        page = _page(reader, name, seq)
        pieces = [f"{line}\n".encode() for line in markdown(page)]
        altered = list(page.altered)
    if output is None:
        write(pieces)
    else:
        try:
            Path(output).write_bytes(b"".join(pieces))
        except OSError as error:
            return complain(os_error_text(error), 1)
    return complain(complaint(reader, altered), UNREADABLE) if altered else 0


def _page(reader: Reader, name: str | None, seq: int) -> Page:
    if name is None:
        return incident_of_fleet.page(reader, seq)
    return incident_of_vassal.page(reader, why.tell(reader, name, seq))


def _record(reader: Reader, name: str | None, seq: int) -> dict[str, Any]:
    if name is None:
        return incident_of_fleet.record(reader, seq)
    return incident_of_vassal.record(reader, why.tell(reader, name, seq))

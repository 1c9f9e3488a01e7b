"""``incident``: the opening of a post-mortem, as a page of Markdown."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import TIME, Command
from ...daemon.cli.tables import write
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import incident_of_fleet, incident_of_vassal, output_files, why
from ..altered_rows import complaint
from ..clocks import keep_utc
from ..page import Page, markdown
from ..rebuild import moment
from ..several import answers, meant
from ..shared import UNREADABLE, check_order, complain, names_argument, reading
from ..story import Story

T = TypeVar("T")


@click.command("incident", cls=Command)
@names_argument
@click.option("--at", type=TIME, metavar="T", help="As it was at this time.")
@click.option("--since", type=TIME, metavar="T", help="Only an incident that began since then.")
@click.option("--until", type=TIME, metavar="T", help="As --at: later events are not looked at.")
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
    reader: Reader, names: Sequence[str], at: Moment | None, since: Moment | None,
    until: Moment | None, output: str | None, as_json: bool,
) -> int:  # fmt: skip
    """The opening of a post-mortem, as a page of Markdown.

    The page says since when the vassal was down, which deploy broke it and how, and the last good
    config. It has the repairs that were tried, and the vassal's last lines. It names other vassals
    that have a bad line now, and all else that changed within a minute. Without NAME it is about
    the last incident of the fleet. That is an outage of a source, a mass removal, a crash loop, or
    a death of the daemon. Of several names or a pattern ('app-*') it has a page for each.
    """
    keep_utc()
    if at is not None and until is not None:
        raise click.UsageError("--at and --until both say when; give one of them")
    if since is not None and names:
        raise click.UsageError("--since is for the incidents of the fleet; say --at with NAME")
    check_order(reader, since, until)
    seq = moment(reader, at if until is None else until, None)
    if as_json:
        records, several = _records(reader, names, seq, since)
        pieces = [escapes.encode(records if several else records[0]), b"\n"]
        altered = [number for record in records for number in record["altered"]]
    else:
        pages = _pages(reader, names, seq, since)
        texts = ("\n".join((*markdown(page), "")) for page in pages)
        pieces = ["\n".join(texts).encode()]
        altered = [number for page in pages for number in page.altered]
    if output is None:
        write(pieces)
    else:
        try:
            output_files.replace(output, b"".join(pieces), 0o666)
        except output_files.NotWritten as error:
            return complain(error, 1)
    return complain(complaint(reader, altered), UNREADABLE) if altered else 0


def _pages(reader: Reader, names: Sequence[str], seq: int, since: Moment | None) -> list[Page]:
    if not names:
        return [incident_of_fleet.page(reader, seq, since)]
    return _of_each(reader, names, seq, incident_of_vassal.page)[0]


def _records(
    reader: Reader, names: Sequence[str], seq: int, since: Moment | None
) -> tuple[list[dict[str, Any]], bool]:
    if not names:
        return [incident_of_fleet.record(reader, seq, since)], False
    return _of_each(reader, names, seq, incident_of_vassal.record)


def _of_each(
    reader: Reader, names: Sequence[str], seq: int, look: Callable[[Reader, Story], T]
) -> tuple[list[T], bool]:
    found, several = meant(reader, names)
    stories = why.Stories(reader, found, seq)
    return list(answers(found, lambda name: look(reader, stories.tell(name)))), several

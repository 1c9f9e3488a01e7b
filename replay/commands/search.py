"""``search``: in which configs a text was, from when to when."""

import os
from collections.abc import Sequence
from contextlib import nullcontext

import click

from ...daemon.cli.commandline import TIME, Command
from ...daemon.cli.tables import formatted, listing, write
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import line_styles, search
from ..beginnings import or_in_archive_since
from ..of_source import chosen_of, monitor_option, url_of
from ..rebuild import NotFound
from ..shared import check_order, names_argument, print_lines, reading


@click.command("search", cls=Command)
@click.argument("text")
@names_argument
@click.option("--regex", is_flag=True, help="TEXT is a regular expression of Python's, by lines.")
@click.option("--now", "only_now", is_flag=True, help="Only where it is now.")
@monitor_option
@click.option("--since", type=TIME, metavar="T", help="Only where it was then or later.")
@click.option("--until", type=TIME, metavar="T", help="Only where it was then or before.")
@listing()
@reading
def command(
    reader: Reader, text: str, names: Sequence[str], regex: bool, only_now: bool,
    monitor: str | None, since: Moment | None, until: Moment | None, form: str,
) -> None:  # fmt: skip
    """The configs that have a text, or had it, and since when.

    Each config text that the journal has is looked through. There is a line for each time that a
    vassal had the text, from the deploy that brought it to the one that removed it. Exits with 1 if
    no config has it.
    """
    check_order(reader, since, until)
    literal = os.fsencode(text)
    if not literal:
        raise click.UsageError("TEXT is empty; say which text to search for")
    try:
        find = search.pattern(text) if regex else search.literal(literal)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    url = url_of(reader, monitor)
    among = chosen_of(reader, names, url) if names or url is not None else None
    with search.limited() if regex else nullcontext():
        found = search.having(reader, find, None if regex else literal)
    first = reader.anchor.seq if since is None else reader.seq_before(since) + 1
    last = reader.head.seq if until is None else reader.seq_of(until)
    told = [
        presence
        for presence in search.presences(reader, found, among)
        if (presence.went is None if only_now else presence.went is None or presence.went >= first)
        and (presence.came is None or presence.came <= last)
        and _came_from(reader, presence, url)
    ]
    if not told:
        none = _nothing(found, only_now)
        raise NotFound(none if only_now else or_in_archive_since(reader, since, none))
    records = (search.presence_record(reader, presence, find) for presence in told)
    if form == "short":
        print_lines(line_styles.fitted(search.lines(records), line_styles.SEARCH))
    else:
        write(formatted(form, search.COLUMNS, records))


def _came_from(reader: Reader, presence: search.Presence, url: str | None) -> bool:
    """Whether a source brought it, as far as this file knows; None: any source."""
    row = None if url is None or presence.came is None else reader.row(presence.came)
    return row is None or row[3] == url


def _nothing(found: search.Found, only_now: bool) -> str:
    if only_now and found.count:
        return "no vassal has it now; without --now the former ones are told"
    return (
        "no config that was deployed then has it"
        if found.count
        else "no config in this journal has it"
    )

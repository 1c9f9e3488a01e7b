"""``events``: the raw record, one event a line."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import click
from msgspec.structs import replace

from ...daemon.cli.commandline import Command
from ...daemon.cli.tables import formatted, listing, write
from ...journal.events import KINDS
from ...journal.reading import COLUMNS, Reader, Row
from .. import record, trust
from ..following import follow
from ..hosts import HostReader, columns, merged, records, timed
from ..hosts import lines as of_hosts
from ..selecting import Selection, filters, last, lines_option
from ..shared import Unreadable, print_lines, reading_all
from ..sources import Sources

Tell = Callable[[Row], tuple[Any, bool]]

_TO_FOLLOW: Final = 10  # lines from before, unless told


@click.command("events", cls=Command)
@click.option("-f", "--follow", "following", is_flag=True, help="Go on with what is written.")
@lines_option
@listing(json="jsonl")
@reading_all
@filters(tuple(KINDS), requests=True)
def command(
    hosts: Sequence[HostReader], which: Selection, form: str, lines: int | None, following: bool
) -> int:
    """The raw record, one event a line.

    NAME is a vassal or a pattern ('app-*'). -f begins with the last 10 events, unless -n or
    a period is told, and ends with ^C.
    """
    if not following:
        return _print(which.of(hosts, lines), form, lines)
    _check_endless(hosts, which, form)
    if lines is None and which.since is None:
        lines = _TO_FOLLOW
    with suppress(KeyboardInterrupt):  # that is how it ends
        _follow(hosts[0].reader, which, form, lines)
    return 0


def _check_endless(hosts: Sequence[HostReader], which: Selection, form: str) -> None:
    if len(hosts) > 1:
        raise click.UsageError("-f follows one journal; name one")
    if form in ("json", "wide"):
        raise click.UsageError(f"-o {form} has an end; with -f say short, jsonl or csv")
    if which.until is not None or which.boot is not None:
        raise click.UsageError("-f has no end; --until and --boot have one")


def _follow(reader: Reader, which: Selection, form: str, lines: int | None) -> None:
    _print(which.of([HostReader(None, reader)], lines), form, paged=False)
    head = reader.head
    reader.db.close()  # else a daemon that ends could not fold its log in
    rest = replace(which, since=None)
    for newer, after in follow(reader.path, head.seq, head.hash):
        _print(rest.of([HostReader(None, newer)]), form, after=after, paged=False)


def _print(
    hosts: Sequence[HostReader],
    form: str,
    lines: int | None = None,
    after: int | None = None,
    paged: bool = True,
) -> int:
    """Print the events; those behind ``after`` follow others."""
    unreadable = [Unreadable(each.reader) for each in hosts]

    def told(tell: Callable[[Reader], Tell]) -> Iterator[tuple[str | None, Any]]:
        streams = (
            (each.host, bad.seen(each.reader.rows(each.which, after), timed(tell(each.reader))))
            for each, bad in zip(hosts, unreadable, strict=True)
        )
        return iter(last(merged(streams), hosts, lines))

    if form == "short":
        texts = told(lambda reader: partial(_line, reader, Sources.of(reader)))
        print_lines(of_hosts(hosts, texts), paged=paged)
        sys.stdout.flush()
    else:
        names = columns(hosts, COLUMNS.split(", "))
        pieces = formatted(form, names, records(told(lambda reader: partial(_record, reader))))
        shown = pieces if after is None or form != "csv" else _without_head(pieces)
        write(shown, paged=paged)
    return max(each.code() for each in unreadable)


def _line(reader: Reader, sources: Sources, row: Row) -> tuple[str, bool]:
    """An event on one line, marked where it is not what was written."""
    text, good = record.line(reader, sources, row)
    good = good and not trust.is_altered(reader, row)
    return (text if good else trust.marked(text)), good


def _record(reader: Reader, row: Row) -> tuple[dict[str, Any], bool]:
    """An event for programs; ``altered`` is there where it is not what was written."""
    one, good = record.event_record(row)
    if trust.is_altered(reader, row):
        return {**one, "altered": True}, False
    return one, good


def _without_head(pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield next(pieces, b"").partition(b"\n")[2]
    yield from pieces

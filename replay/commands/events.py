"""``events``: the raw record, one event a line."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import click

from ...daemon.cli.commandline import Command
from ...daemon.cli.tables import formatted, listing, write
from ...journal.events import KINDS
from ...journal.reading import COLUMNS, Reader, Row
from .. import record
from ..hosts import HostReader, columns, lines, merged, records, timed
from ..shared import Unreadable, filters, print_lines, reading_all
from ..sources import Sources

Tell = Callable[[Row], tuple[Any, bool]]


@click.command("events", cls=Command)
@listing(json="jsonl")
@reading_all
@filters(tuple(KINDS))
def command(hosts: Sequence[HostReader], form: str) -> int:
    """The raw record, one event a line."""
    unreadable = [Unreadable(each.reader) for each in hosts]

    def told(tell: Callable[[Reader], Tell]) -> Iterator[tuple[str | None, Any]]:
        return merged(
            (each.host, bad.seen(each.reader.rows(each.which), timed(tell(each.reader))))
            for each, bad in zip(hosts, unreadable, strict=True)
        )

    if form == "short":
        print_lines(
            lines(hosts, told(lambda reader: partial(record.line, reader, Sources.of(reader))))
        )
    else:
        names = columns(hosts, COLUMNS.split(", "))
        write(formatted(form, names, records(told(lambda _: record.event_record))))
    return max(each.code() for each in unreadable)

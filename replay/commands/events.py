"""``events``: the raw record, one event a line."""

from functools import partial

import click

from ...daemon.cli.commandline import Command
from ...daemon.cli.tables import formatted, listing, write
from ...journal.events import KINDS
from ...journal.reading import COLUMNS, Reader
from ...journal.selection import Filter
from .. import record
from ..shared import Unreadable, filters, print_lines, reading
from ..sources import Sources


@click.command("events", cls=Command)
@listing(json="jsonl")
@reading
@filters(tuple(KINDS))
def command(reader: Reader, which: Filter, form: str) -> int:
    """The raw record, one event a line."""
    unreadable = Unreadable(reader)
    rows = reader.rows(which)
    sources = Sources.of(reader)
    if form == "short":
        print_lines(unreadable.seen(rows, partial(record.line, reader, sources)))
    else:
        write(formatted(form, COLUMNS.split(", "), unreadable.seen(rows, record.event_record)))
    return unreadable.code()

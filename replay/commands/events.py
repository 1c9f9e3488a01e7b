"""``events``: the raw record, one event a line."""

from collections.abc import Iterable
from typing import Any

import click

from ...daemon.cli.commandline import Command
from ...daemon.cli.tables import formatted, listing, write
from ...journal.errors import VERIFY_SAYS_MORE
from ...journal.events import KINDS
from ...journal.reading import COLUMNS, Reader
from ...journal.selection import Filter
from .. import record
from ..shared import UNREADABLE, complain, filters, print_lines, reading


@click.command("events", cls=Command)
@listing(json="jsonl")
@reading
@filters(tuple(KINDS))
def command(reader: Reader, which: Filter, form: str) -> int:
    """The raw record, one event a line."""
    bad: list[int] = []
    rows = reader.rows(which)

    def records() -> Iterable[dict[str, Any]]:
        for row in rows:
            one, good = record.event_record(row)
            if not good:
                bad.append(row[0])
            yield one

    def lines() -> Iterable[str]:
        for row in rows:
            one, good = record.line(reader, row)
            if not good:
                bad.append(row[0])
            yield one

    if form == "short":
        print_lines(lines())
    else:
        write(formatted(form, COLUMNS.split(", "), records()))
    if not bad:
        return 0
    which_ = f"event {bad[0]}{f' and {len(bad) - 1} others' if len(bad) > 1 else ''}"
    text = f"{reader.path}: {which_} cannot be read by this version{VERIFY_SAYS_MORE}"
    return complain(text, UNREADABLE)

"""The raw record, one event a line: for ``emperor-replay events`` and ``emperor-ctl events``."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from msgspec.structs import replace

from ..daemon.cli.tables import formatted, write
from ..daemon.cli.waiting import until_interrupted
from ..journal.errors import JournalError
from ..journal.reading import COLUMNS, Reader, Row
from . import altered_rows, line_styles, record
from .following import TO_FOLLOW, check_endless, follow, without_head
from .hosts import HostReader, columns, merged, records, timed
from .hosts import lines as of_hosts
from .rebuild import NotFound
from .selecting import Selection, last
from .shared import Unreadable, print_lines
from .sources import Sources

Tell = Callable[[Row], tuple[Any, bool]]


def tell(
    hosts: Sequence[HostReader], which: Selection, form: str, lines: int | None, following: bool
) -> int:
    """Print these events, and with ``following`` what is written from now on; the exit code."""
    if not following:
        return _Printer(form, hosts, line_styles.Days()).tell(which.of(hosts, lines), lines)
    check_endless(form, which.until, which.boot)
    if lines is None and which.since is None:
        lines = TO_FOLLOW
    with until_interrupted():
        _follow(hosts, which, form, lines)
    return 0


def _follow(hosts: Sequence[HostReader], which: Selection, form: str, lines: int | None) -> None:
    printer = _Printer(form, hosts, line_styles.Days(), paged=False)
    printer.tell(which.of(hosts, lines), lines)
    rest = replace(which, since=None)
    for found in follow(hosts):
        for each, seq in found:
            _check_whole(each.reader, seq)
        after = {each.host: seq for each, seq in found}
        with suppress(NotFound):  # a name that no journal knows yet
            printer.tell(rest.of([each for each, _ in found]), after=after)


def _check_whole(reader: Reader, told: int) -> None:
    """Raise JournalError where events behind the last that was told are in an archive by now."""
    if reader.anchor.seq > told:
        raise JournalError(
            f"{reader.path}: the events {told + 1} to {reader.anchor.seq} went to an archive before"
            " they were told; read them there with emperor-replay --journal ARCHIVE events"
        )


class _Printer(NamedTuple):
    """Prints events of some of these hosts."""

    form: str
    among: Sequence[HostReader]
    days: line_styles.Days
    paged: bool = True

    def tell(
        self,
        hosts: Sequence[HostReader],
        lines: int | None = None,
        after: Mapping[str | None, int] | None = None,
    ) -> int:
        """Print the events; those behind ``after`` follow others."""
        unreadable = [Unreadable(each.reader, each.which) for each in hosts]
        first = after or {}

        def told(tell: Callable[[Reader], Tell]) -> Iterator[tuple[str | None, Any]]:
            streams = (
                (
                    each.host,
                    bad.seen(
                        each.reader.rows(each.which, first.get(each.host)),
                        timed(tell(each.reader)),
                    ),
                )
                for each, bad in zip(hosts, unreadable, strict=True)
            )
            return iter(last(merged(streams), hosts, lines))

        if self.form == "short":
            texts = told(lambda reader: partial(_line, reader, Sources.of(reader)))
            shown = line_styles.fitted(
                self.days.lines(of_hosts(self.among, texts)), line_styles.EVENTS
            )
            print_lines(shown, paged=self.paged)
            sys.stdout.flush()
        else:
            names = columns(hosts, COLUMNS.split(", "))
            found = records(told(lambda reader: partial(_record, reader)))
            pieces = formatted(self.form, names, found)
            headless = after is not None and self.form == "csv"
            write(without_head(pieces) if headless else pieces, paged=self.paged)
        return max(each.code() for each in unreadable)


def _line(reader: Reader, sources: Sources, row: Row) -> tuple[str, bool]:
    """An event on one line, marked where it is not what was written."""
    text, good = record.line(reader, sources, row)
    good = good and not altered_rows.is_altered(reader, row)
    return (text if good else altered_rows.marked(text)), good


def _record(reader: Reader, row: Row) -> tuple[dict[str, Any], bool]:
    """An event for programs; ``altered`` is there where it is not what was written."""
    one, good = record.event_record(row)
    if altered_rows.is_altered(reader, row):
        return {**one, "altered": True}, False
    return one, good

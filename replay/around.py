"""``around``: everything that was recorded at a time, in one stream.

Each line has the event's distance from that time, and its cause: ``<- 45``. Where the cause is not
in the stream, its distance is told, too.
"""

from collections.abc import Iterator
from typing import Any, Final

from ..journal.reading import COLUMNS as EVENT_COLUMNS
from ..journal.reading import Reader, Row
from ..journal.selection import Filter
from ..journal.times import EventNumber, Moment, rfc3339, took
from ..monitors.names import shown
from .altered_rows import altered
from .event_text import decode_actions, orders
from .rebuild import NotFound, where_it_is
from .record import event_record, said
from .sources import Sources

_SECOND: Final = 1_000_000_000
COLUMNS: Final = ("offset_s", *EVENT_COLUMNS.split(", "), "altered")


class Window:
    """The events from ``first`` to ``last``; offsets count from ``at``, the time of ``middle``."""

    def __init__(self, reader: Reader, when: Moment, before: int, after: int) -> None:
        """Spans are nanoseconds. Raises NotFound where nothing was recorded then."""
        self.reader = reader
        self._sources = Sources.of(reader)
        self.altered: list[int] = []  # events that were told, and are not what was written
        self.middle = when.seq if isinstance(when, EventNumber) else None
        self.at = when if isinstance(when, int) else self._time_of(when.seq)
        self.first = reader.seq_at(self.at - before - 1) + 1
        self.last = reader.seq_at(self.at + after)
        if self.first > self.last:
            raise NotFound(self._nothing())

    def _time_of(self, seq: int) -> int:
        row = self.reader.row(seq)
        if row is None:
            raise NotFound(where_it_is(self.reader, seq))
        if row[1].__class__ is not int:
            raise NotFound(f"the time of event {seq} is damaged; say which time is meant")
        return row[1]

    def _nothing(self) -> str:
        near = [self.reader.row(seq) for seq in (self.last, self.last + 1)]
        told = [
            f"event {row[0]} was {took(abs(row[1] - self.at))}"
            f" {'before' if row[1] < self.at else 'after'} it"
            for row in near
            if row is not None and row[1].__class__ is int
        ]
        return f"nothing was recorded around {rfc3339(self.at)}; {', '.join(told)}"

    def rows(self, which: Filter) -> Iterator[Row]:
        return self.reader.rows(which, after=self.first - 1, upto=self.last)

    def record(self, row: Row) -> tuple[dict[str, Any], bool]:
        """An event in the shape of the surface, with its offset; False where it is damaged."""
        one, good = event_record(row)
        offset = row[1] - self.at if row[1].__class__ is int else None
        seconds = None if offset is None else offset / _SECOND
        return {"offset_s": seconds, **one, "altered": self._is_altered(row)}, good

    def _is_altered(self, row: Row) -> bool:
        """Whether a row is not what was written; it is noted."""
        found = altered(self.reader, [row[0]])
        self.altered += found
        return bool(found)

    def line(self, row: Row) -> tuple[str, bool]:
        """An event for people; False with it where its body cannot be read."""
        seq, at, vassal, cause, actions = row[0], row[1], row[4], row[5], row[7]
        text, good = said(self.reader, self._sources, row)
        good = good and at.__class__ is int
        mark = "!" if self._is_altered(row) or not good else ">" if seq == self.middle else " "
        offset = _offset(at - self.at) if at.__class__ is int else shown(str(at))
        told = f"{offset:>12} {mark}{seq:>8}  {text}"
        if ordered := orders(decode_actions(actions), vassal):
            told += f"  -> {ordered}"
        return told + self._arrow(cause), good

    def _arrow(self, cause: object) -> str:
        if cause.__class__ is not int:
            return "" if cause is None else f"  <- {shown(str(cause))}"
        assert isinstance(cause, int)
        if self.first <= cause <= self.last:
            return f"  <- {cause}"
        row = self.reader.row(cause)
        if row is None or row[1].__class__ is not int:
            return f"  <- {cause} (not in this file)"
        return f"  <- {cause} {shown(row[2])} ({_offset(row[1] - self.at)})"


def _offset(nanoseconds: int) -> str:
    """A distance: ``-1.204 s``, or in the units that matter past a minute."""
    if abs(nanoseconds) < 60 * _SECOND:
        return f"{nanoseconds / _SECOND:+.3f} s"
    return f"{'-' if nanoseconds < 0 else '+'}{took(abs(nanoseconds))}"

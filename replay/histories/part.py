"""Which part of a journal an incident is: its first and last event, and its vassals."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from ...journal.reading import Reader
from ...journal.selection import Filter
from ...journal.times import EventNumber
from .. import why
from ..breaks import Break
from ..fleet_incidents import Incident, incidents
from ..names import check_known
from ..rebuild import NotFound, where_it_is
from ..story import Story

_NUMBER: Final = re.compile(r"@?([0-9]{1,18})", re.ASCII)
_NEAR: Final = 60 * 10**9  # nanoseconds
_BEFORE: Final = 600 * 10**9
# Events after which it is known what became of a vassal.
_SETTLED: Final = ("vassal_accepting", "exited", "spawn_failed", "vassal_removed")
_DEPLOYED: Final = ("vassal_added", "vassal_changed")


class Part(NamedTuple):
    """The events behind ``after`` up to ``upto``. ``names`` are its vassals, None for all."""

    after: int
    upto: int
    names: frozenset[str] | None


def part_of(reader: Reader, told: str) -> Part:
    """The part of the incident that is told by an event's number or by a vassal's name.

    Raises NotFound, Damaged.
    """
    found = _NUMBER.fullmatch(told)
    if found is None:
        return _of_vassal(reader, told, reader.head.seq)
    seq = int(found[1])
    row = reader.row(seq)
    if row is None:
        raise NotFound(where_it_is(reader, seq))
    for one in incidents(reader, reader.head.seq):
        if one.seq <= seq <= one.last and one.kind != "crash loop":
            return _of_fleet(reader, one)
    if row[4] is None:
        return Part(reader.seq_at(row[1] - _NEAR), reader.seq_at(row[1] + _NEAR), None)
    return _of_event(reader, row[4], seq)


def _of_vassal(reader: Reader, name: str, seq: int) -> Part:
    """A vassal's last break, or else what came last in its story."""
    check_known(reader, name)
    told = why.tell(reader, name, seq)
    if told.broken is not None:
        return _of_break(name, told.broken, seq)
    return _of_story(told)


def _of_break(name: str, broken: Break, head: int) -> Part:
    """From the deploy that broke it until it is up again."""
    first = broken.first.seq if broken.under is None else broken.under.seq
    last = head if broken.until_seq is None else broken.until_seq
    return Part(first - 1, last, frozenset((name,)))


def _of_story(told: Story) -> Part:
    """The last minutes of a story: a stop, a removal, a start."""
    last = told.items[-1]
    recent = [item for item in told.items if last.at - item.at <= _BEFORE]
    return Part(recent[0].seq - 1, last.last or last.seq, frozenset((told.name,)))


def _of_event(reader: Reader, name: str, seq: int) -> Part:
    """An event of a vassal: from the deploy before it until its end is known."""
    told = why.tell(reader, name, reader.head.seq)
    broken = told.broken
    if broken is not None:
        part = _of_break(name, broken, reader.head.seq)
        if part.after < seq <= part.upto:
            return part
    before = reader.last_of(name, _DEPLOYED, seq)
    first = seq if before is None else before[0]
    which = Filter(vassal=name, kinds=_SETTLED, since=EventNumber(seq + 1))
    after = next(iter(reader.rows(which)), None)
    return Part(first - 1, seq if after is None else after[0], frozenset((name,)))


def _of_fleet(reader: Reader, one: Incident) -> Part:
    """An outage, a removal or the death of a daemon, with what came of it within a minute."""
    row = reader.row(one.last)
    last = one.last if row is None else reader.seq_at(row[1] + _NEAR)
    names = None
    if one.removed:
        marks = ", ".join("?" * len(one.removed))
        rows: Sequence[tuple[str]] = reader.fetch(
            f"SELECT DISTINCT vassal FROM event WHERE seq IN ({marks})", *one.removed
        )
        names = frozenset(name for (name,) in rows)
    return Part(one.seq - 1, last, names)

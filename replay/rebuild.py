"""The fleet as it stood: a snapshot, and the fold of what came after it.

Folding a million events takes seconds, so the nearest snapshot before is where it begins, and
at most some ten thousand events are folded. Each event is checked against the chain. A
snapshot is a shortcut, never the truth: ``full`` does without, and ``verify`` compares.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from ..daemon.core.actions import Action
from ..daemon.core.blame import original
from ..daemon.core.fleet import Fleet, from_json
from ..daemon.core.fold import fold
from ..journal import chain
from ..journal.errors import VERIFY_SAYS_MORE, Damaged, JournalError, NewerFormat
from ..journal.events import Event
from ..journal.reading import Reader, Row
from ..journal.times import EventNumber, Moment
from .beginnings import look_in_archive
from .salvage import leave_out


class FoldFailed(JournalError):
    """An event is well-formed, but the fold of this version cannot take it."""


class NotFound(Exception):
    """The journal does not have it. The text says what it has, or where to look."""


def fold_one(fleet: Fleet, event: Event) -> list[Action]:
    """Fold an event of unknown origin.

    Raises FoldFailed, which names the event, where the fold breaks, and NewerFormat where a later
    version decided.

    The fold may assert what every daemon keeps to. But any program can have written a journal.
    """
    try:
        return fold(fleet, event)
    except NewerFormat as newer:
        raise NewerFormat(f"event {event.seq}: {newer}") from None
    except Exception as fault:
        error = original(fault)
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise FoldFailed(
            f"event {event.seq} ({event.kind}) cannot be folded by this version: {what};"
            " read it with the version that wrote it"
        ) from error


def base(reader: Reader, upto: int, full: bool = False) -> tuple[Fleet, bytes]:
    """The nearest fleet at or before event ``upto`` that need not be folded, and its hash."""
    if not full:
        for stored in reader.whole_snapshots(upto):
            try:
                return from_json(stored.fleet), stored.hash
            except msgspec.DecodeError:
                continue  # another version's idea of a fleet; an older one may do
    first = reader.anchor_snapshot()
    if first is None:
        return Fleet(), reader.anchor.hash
    try:
        return from_json(first.fleet), first.hash
    except msgspec.DecodeError as error:
        raise JournalError(
            f"{reader.path}: the snapshot it begins with is not of this version: {error}"
        ) from None


def fleet_at(reader: Reader, seq: int, full: bool = False) -> Fleet:
    """The fleet after event ``seq``. Raises Damaged, NewerFormat, FoldFailed, NotFound."""
    return deque(fleets(reader, seq, full), maxlen=1)[0]


class Step(NamedTuple):
    """An event that was folded, None where there is none to fold, and its orders."""

    event: Event | None
    orders: Sequence[Action] = ()


_NONE: Final = Step(None)


def fleets(reader: Reader, seq: int, full: bool = False) -> Iterator[Fleet]:
    """The one fleet, at the nearest snapshot and after each event from there up to ``seq``.

    Raises what ``fleet_at`` raises.
    """
    return (fleet for fleet, _ in folded(reader, seq, full))


def folded(reader: Reader, seq: int, full: bool = False) -> Iterator[tuple[Fleet, Step]]:
    """The same, each with the event that made it so. Raises what ``fleet_at`` raises."""
    if not reader.anchor.seq <= seq <= reader.head.seq:
        raise NotFound(where_it_is(reader, seq))
    fleet, previous = base(reader, seq, full)
    yield fleet, _NONE
    for row in reader.rows(after=fleet.seq, upto=seq):
        for missing in range(fleet.seq + 1, row[0]):
            leave_out(reader, missing, damaged(reader, missing, "is missing"))
            previous = b""  # not known
        fleet.seq = row[0]
        step = _NONE
        if previous and _link(previous, row) != row[8]:
            leave_out(reader, row[0], damaged(reader, row[0], "is not what was written"))
        else:
            step = _fold_or_leave_out(reader, fleet, row)
        previous = row[8]
        yield fleet, step
    for missing in range(fleet.seq + 1, seq + 1):
        leave_out(reader, missing, damaged(reader, missing, "is missing"))


def _fold_or_leave_out(reader: Reader, fleet: Fleet, row: Row) -> Step:
    try:
        event = reader.decode(row)
        return Step(event, fold_one(fleet, event))
    except (Damaged, FoldFailed) as error:
        leave_out(reader, row[0], error)
        return _NONE


def _link(previous: bytes, row: Row) -> bytes:
    try:
        return chain.link(previous, row[:8])
    except (UnicodeEncodeError, TypeError):
        return b""


def damaged(reader: Reader, seq: int, what: str) -> Damaged:
    """The error for an event behind which nothing can be told."""
    return Damaged(
        f"{reader.path}: event {seq} {what}, so what came of it cannot be told{VERIFY_SAYS_MORE},"
        f" and 'state --seq {seq - 1}' shows the fleet before it",
        seq,
        seq - 1,
    )


def where_it_is(reader: Reader, seq: int) -> str:
    """Why an event is not in this file."""
    if seq > reader.head.seq:
        return f"there is no event {seq}; the last one is {reader.head.seq}"
    return (
        f"event {seq} is not in this file, which begins with event {reader.anchor.seq + 1};"
        f" {look_in_archive(reader)}"
    )


def moment(reader: Reader, at: Moment | None, seq: int | None) -> int:
    """The event at which the fleet is to be looked at: the last at or before a time, or told."""
    if seq is not None:
        return seq
    if isinstance(at, EventNumber):
        return at.seq
    if at is None:
        return reader.head.seq
    found = reader.seq_at(at)
    if found == reader.anchor.seq > 0:
        raise NotFound(
            f"that was before event {found + 1}, with which this file begins;"
            f" {look_in_archive(reader)}"
        )
    return found

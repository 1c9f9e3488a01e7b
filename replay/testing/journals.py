"""The events of a journal for the fixture ``replay``: each one is checked before it is told."""

from collections.abc import Iterator

from ...daemon.core.fleet import Fleet
from ...journal import chain
from ...journal.errors import VERIFY_SAYS_MORE, Damaged
from ...journal.reading import Reader
from ..event_text import decode_actions
from ..histories.history import Step
from ..rebuild import NotFound, base, fold_one, where_it_is


def begin(reader: Reader, after: int) -> tuple[Fleet, Iterator[Step]]:
    """The fleet after event ``after``, and the events behind it. Raises Damaged, NotFound."""
    start = max(after, reader.anchor.seq)
    if start > reader.head.seq:
        raise NotFound(f"{reader.path}: {where_it_is(reader, after)}")
    fleet, hash_ = base(reader, start)
    events = _whole(reader, fleet.seq, hash_)
    while fleet.seq < start:
        fold_one(fleet, next(events).event)
    return fleet, events


def _whole(reader: Reader, last: int, previous: bytes) -> Iterator[Step]:
    """The events behind event ``last``, as long as the chain holds. Raises Damaged."""
    for row in reader.rows(after=last):
        if row[0] != last + 1:
            raise _damaged(reader, last + 1, "is missing")
        try:
            hash_ = chain.link(previous, row[:8])
        except (UnicodeEncodeError, TypeError):
            hash_ = b""
        if hash_ != row[8]:
            raise _damaged(reader, row[0], "is not what was written")
        last, previous = row[0], hash_
        yield Step(reader.decode(row), tuple(decode_actions(row[7])))


def _damaged(reader: Reader, seq: int, what: str) -> Damaged:
    return Damaged(f"{reader.path}: event {seq} {what}{VERIFY_SAYS_MORE}", seq, seq - 1)

"""Events that are as the daemon wrote them, for commands that fold a whole period.

An event that is missing, damaged or altered ends the command, which names it. With ``--salvage`` it
is left out (``salvage.py``). A hash that alone was altered says nothing against the next event.
"""

from collections.abc import Iterable, Iterator

from ..journal.errors import Damaged
from ..journal.events import Event
from ..journal.reading import Reader, Row, decoded
from .altered_rows import is_altered, link, row_of
from .rebuild import damaged
from .salvage import leave_out


def events(
    reader: Reader, after: int, upto: int, chained: bool = True
) -> Iterator[tuple[Event, Row]]:
    """The events behind ``after`` and up to ``upto``, with their rows. Raises Damaged, NewerFormat.

    Without ``chained`` an altered event is found only where it cannot be read.
    """
    seq, before = after, _hash(reader, after) if chained else None
    for row in reader.rows(after=after, upto=upto):
        if row[0] != seq + 1:
            _missing(reader, seq, row[0])
            before = None
        seq = row[0]
        if before is not None and link(before, row) != row[8] and is_altered(reader, row):
            leave_out(reader, seq, damaged(reader, seq, "is not what was written"))
        elif (event := _decoded(reader, row)) is not None:
            yield event, row
        before = row[8] if chained else None
    _missing(reader, seq, upto + 1)


def readable(reader: Reader, rows: Iterable[Row]) -> Iterator[tuple[Event, Row]]:
    """Some rows that can be read, with their events. Raises Damaged, NewerFormat."""
    for row in rows:
        if (event := _decoded(reader, row)) is not None:
            yield event, row


def _missing(reader: Reader, after: int, before: int) -> None:
    for seq in range(after + 1, before):
        leave_out(reader, seq, damaged(reader, seq, "is missing"))


def _decoded(reader: Reader, row: Row) -> Event | None:
    try:
        return decoded(reader.path, row)
    except Damaged as error:
        leave_out(reader, row[0], error)
        return None


def _hash(reader: Reader, seq: int) -> bytes | None:
    if seq == reader.anchor.seq:
        return reader.anchor.hash
    row = row_of(reader, seq)
    return None if row is None else row[8]

"""Requests of operators for all vassals.

They are under no vassal's name, so a range of events is read to find them. The range is kept for
the reader: the next vassal asks for the same one, or for a little more. An event that was written
does not change, so neither do the requests of a range.
"""

from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from ..journal.reading import COLUMNS, Reader, Row


class _Range(msgspec.Struct):
    """The requests behind ``after`` and up to ``upto``, in order."""

    after: int
    upto: int
    rows: list[Row]


_known: WeakKeyDictionary[Reader, _Range] = WeakKeyDictionary()


def requests_for_all(reader: Reader, after: int, upto: int) -> list[Row]:
    """The requests for all vassals behind an event and up to another one, in order."""
    known = _known.get(reader)
    if known is None or known.after > upto or known.upto < after:
        known = _known[reader] = _Range(after, upto, _read(reader, after, upto))
    if after < known.after:
        known.rows[:0] = _read(reader, after, known.after)
        known.after = after
    if upto > known.upto:
        known.rows += _read(reader, known.upto, upto)
        known.upto = upto
    return [row for row in known.rows if after < row[0] <= upto]


def last_for_all(reader: Reader, after: int, upto: int, requests: tuple[str, ...]) -> Row | None:
    """The last of some requests for all vassals, behind an event and up to another one."""
    for row in reversed(requests_for_all(reader, after, upto)):
        if _request(row) in requests:
            return row
    return None


def _request(row: Row) -> Any:
    try:
        body = msgspec.json.decode(row[6])
    except (msgspec.DecodeError, UnicodeEncodeError, TypeError):
        return None
    return body.get("request") if isinstance(body, dict) else None


def _read(reader: Reader, after: int, upto: int) -> list[Row]:
    return reader.fetch(
        f"SELECT {COLUMNS} FROM event WHERE seq > ? AND seq <= ? AND vassal IS NULL"
        " AND kind = 'operator_requested' ORDER BY seq",
        after, upto,
    )  # fmt: skip

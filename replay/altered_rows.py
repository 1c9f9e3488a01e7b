"""Rows that are not what was written, by the hash of the row before them.

A row fits if its hash follows from the hash of the row before and its own columns. One whose hash
alone was altered makes the next row not fit, too, although that one is intact. So a row that does
not fit is tried once more behind the hash that the row before should have.

``verify`` looks at everything. This looks at the rows that a command tells, one by one.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Final
from weakref import WeakKeyDictionary

from ..journal import chain
from ..journal.errors import VERIFY_SAYS_MORE, JournalError
from ..journal.reading import COLUMNS, Reader, Row

MARK: Final = "!"  # in front of a row that is altered
_PAIR: Final = f"SELECT {COLUMNS} FROM event WHERE seq BETWEEN ? AND ? ORDER BY seq"
_MANY: Final = f"SELECT {COLUMNS} FROM event WHERE seq IN (SELECT value FROM json_each(?))"
_ahead: WeakKeyDictionary[Reader, dict[int, Row]] = WeakKeyDictionary()  # by number
_before: WeakKeyDictionary[Reader, Row] = WeakKeyDictionary()  # the last row that was looked at


def is_altered(reader: Reader, row: Row) -> bool:
    """Whether a row is not what the daemon wrote, as far as its neighbours tell."""
    if row[0].__class__ is not int or row[0] <= reader.anchor.seq:
        return False
    former = _before.get(reader)
    if former is None or former[0] != row[0] - 1:
        former = row_of(reader, row[0] - 1)
    _before[reader] = row
    if row[0] == reader.anchor.seq + 1:
        return link(reader.anchor.hash, row) != row[8]
    if former is None:
        return False  # the row before is missing, which is another finding
    if link(former[8], row) == row[8]:
        return False
    return link(_should_be(reader, former), row) != row[8]


def marked(text: str) -> str:
    """A line about something that is altered: its first blank is the mark."""
    return MARK + (text[1:] if text.startswith(" ") else text)


def number_is_altered(reader: Reader, seq: int | None) -> bool:
    """Whether the event of this number is not what the daemon wrote."""
    row = None if seq is None else row_of(reader, seq)
    return row is not None and is_altered(reader, row)


def altered(reader: Reader, seqs: Iterable[int]) -> list[int]:
    """Those of the events whose row is not what was written, as far as the row before tells."""
    return [seq for seq in sorted(set(seqs)) if number_is_altered(reader, seq)]


def complaint(reader: Reader, seqs: list[int]) -> str:
    """A line about rows that are told, and are marked with ``!``."""
    others = f" and {len(seqs) - 1} others" if len(seqs) > 1 else ""
    return f"{reader.path}: event {seqs[0]}{others} is not what was written{VERIFY_SAYS_MORE}"


def read_ahead(reader: Reader, seqs: Iterable[int]) -> None:
    """Read the rows of these events, and those before them, by one query in place of many.

    ``row_of`` and ``is_altered`` are asked for them next. If one cannot be read, none is kept.
    """
    wanted = {each for seq in seqs for each in (seq - 1, seq)}
    _ahead[reader] = {}
    with suppress(JournalError):
        _ahead[reader] = {row[0]: row for row in reader.fetch(_MANY, json.dumps([*wanted]))}


def row_of(reader: Reader, seq: int) -> Row | None:
    """The row of an event; None where it cannot be read."""
    ahead = _ahead.get(reader, {})
    if seq in ahead:
        if seq - 1 in ahead:
            _before[reader] = ahead[seq - 1]
        return ahead[seq]
    # The row before is read with it, because ``is_altered`` asks for that next.
    with suppress(JournalError):
        rows: list[Row] = reader.fetch(_PAIR, seq - 1, seq)
        if len(rows) == 2:
            _before[reader] = rows[0]
        return rows[-1] if rows and rows[-1][0] == seq else None
    with suppress(JournalError):  # the row before may be the one that cannot be read
        return reader.row(seq)
    return None


def _should_be(reader: Reader, row: Row) -> bytes | None:
    """The hash that a row should have, by the one before it."""
    if row[0] == reader.anchor.seq + 1:
        return link(reader.anchor.hash, row)
    former = row_of(reader, row[0] - 1)
    return None if former is None else link(former[8], row)


def link(previous: bytes | None, row: Row) -> bytes | None:
    """The hash that follows from the one before and a row's columns; None where none can."""
    if not isinstance(previous, bytes):
        return None
    try:
        return chain.link(previous, row[:8])
    except (UnicodeEncodeError, TypeError):
        return None

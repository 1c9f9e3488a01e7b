"""The part of a journal that a daemon reads to go on: the newest snapshot and later events."""

import sqlite3
from collections.abc import Iterator

from . import chain
from .errors import Damaged
from .reading import COLUMNS, Link, Row, Stored, unpacked

# The snapshot with which an archived journal begins is of an event that is not in it.
_SNAPSHOTS = (
    "SELECT seq, hash, fleet, check_sum FROM snapshot AS s WHERE seq >= ?1 AND seq {} ?2 AND hash ="
    " coalesce((SELECT hash FROM event AS e WHERE e.seq = s.seq AND e.seq > ?1),"
    " (SELECT hash FROM chain AS c WHERE name = 'anchor' AND c.seq = s.seq))"
    " ORDER BY seq {}"
)
_NEWEST = _SNAPSHOTS.format("<=", "DESC")
_OLDEST = _SNAPSHOTS.format(">=", "ASC")


def newest_snapshot(
    connection: sqlite3.Connection, path: str, begin: int, upto: int
) -> Stored | None:
    """The newest snapshot up to an event that is what was written, if there is one.

    Raises Damaged if there is none in a journal that does not begin with the first event. The fleet
    at its beginning is not known then.
    """
    for row in connection.execute(_NEWEST, (begin, upto)):
        stored = unpacked(*row)
        if stored.fleet is not None:
            return stored
    if begin > 0:
        raise damaged(path, f"the snapshot of event {begin}, where it begins, is gone", begin)
    return None


def oldest_snapshot(connection: sqlite3.Connection, begin: int, since: int) -> Stored | None:
    """The oldest snapshot from an event on that is what was written, if there is one."""
    for row in connection.execute(_OLDEST, (begin, since)):
        stored = unpacked(*row)
        if stored.fleet is not None:
            return stored
    return None


def rows_after(
    connection: sqlite3.Connection, path: str, anchor: Link, head: Link, after: int
) -> Iterator[Row]:
    """The rows of the events after ``after``, each checked against the chain; raises Damaged."""
    # The event of the snapshot is looked at as well: its time is where the clock goes on.
    one = "SELECT seq, hash FROM event WHERE seq = ? AND seq > ?"
    begin = connection.execute(one, (after - 1, anchor.seq)).fetchone()
    last, current = begin or (anchor.seq, anchor.hash)
    if current.__class__ is not bytes:
        raise damaged(path, f"event {last} is not what was written", last)
    rows = connection.execute(f"SELECT {COLUMNS} FROM event WHERE seq > ? ORDER BY seq", (last,))
    for row in rows:
        seq, recorded = row[0], row[8]
        if seq != last + 1:
            raise damaged(path, f"event {last + 1} is missing", last + 1)
        current = chain.link(current, row[:8])
        if current != recorded:
            raise damaged(path, f"event {seq} is not what was written", seq)
        if seq > after:
            yield row
        last = seq
    if last < head.seq:
        raise damaged(path, f"events {last + 1} to {head.seq} are missing", last + 1)
    if (last, current) != (head.seq, head.hash):
        raise damaged(path, f"the chain's head is not that of event {last}, the last", last)


def damaged(path: str, what: str, seq: int) -> Damaged:
    """A journal that a daemon does not go on with."""
    return Damaged(f"{path}: {what}; 'emperor-replay --journal {path} verify' says more", seq)

"""Rows that are outside of the record: behind the chain's head, or not behind its anchor.

A daemon writes none there, so they are forged, or the end of the chain is. A reader hides those
that are not behind the anchor: nothing in the file proves them, and no archive is asked.
``verify`` names them. Events behind the head are found by a walk along the chain (``damage.py``).
"""

import sqlite3
from collections.abc import Iterator
from typing import Final

_NOT_BEHIND: Final = (
    "not behind the chain's anchor, so not of the record; or the row 'anchor' of the table chain is"
    " damaged"
)
_BEHIND: Final = "behind the chain's head, so not of the record"
_LAST: Final = "(SELECT max(seq) FROM main.event)"
# The first number that a row may have, counted from the anchor's: that has a snapshot.
_FIRST: Final = {"event": 1, "deploy": 1, "snapshot": 0}


def _made(db: sqlite3.Connection, place: str = "main") -> list[str]:
    names = db.execute(f"SELECT name FROM {place}.sqlite_master WHERE type = 'table'")
    made = {name for (name,) in names}
    return [table for table in _FIRST if table in made]


def hide(db: sqlite3.Connection, anchor: int) -> None:
    """Have a connection see only rows behind the anchor, the event of this number.

    SQLite takes a temporary view for a table of the same name. So views of the schema still have
    all rows. Raises sqlite3.Error.
    """
    for table in _made(db):
        query = f"SELECT * FROM main.{table} WHERE seq {{}} {anchor + _FIRST[table]}"
        if db.execute(f"{query.format('<')} LIMIT 1").fetchone() is not None:
            db.execute("PRAGMA query_only = OFF")  # the file itself is open read-only
            db.execute(f"CREATE TEMP VIEW {table} AS {query.format('>=')}")
            db.execute("PRAGMA query_only = ON")


def rows(
    db: sqlite3.Connection, anchor: int, head: int, *, live: bool = False
) -> Iterator[tuple[str, int]]:
    """Each such row of a journal between two events: the flaw, and its number.

    Events behind the head are left out. ``live``: a daemon may have gone on behind it. Raises
    sqlite3.Error.
    """
    for table in _made(db):
        yield from _not_behind(db, "main", table, anchor)
        if table == "deploy":
            yield from _behind(db, "main", table, _LAST if live else str(head))


def rows_of_part(
    db: sqlite3.Connection, place: str, anchor: int, head: int
) -> Iterator[tuple[str, int]]:
    """The same of a journal that is attached under a name, with the events behind its head."""
    for table in _made(db, place):
        yield from _not_behind(db, place, table, anchor)
        yield from _behind(db, place, table, str(head))


def remove(db: sqlite3.Connection, anchor: int, head: int) -> None:
    """Remove such rows of a copy. Raises sqlite3.Error."""
    for table in _made(db):
        first = anchor + _FIRST[table]
        db.execute(f"DELETE FROM main.{table} WHERE seq < ? OR seq > ?", (first, head))


def _not_behind(
    db: sqlite3.Connection, place: str, table: str, anchor: int
) -> Iterator[tuple[str, int]]:
    query = f"SELECT seq FROM {place}.{table} WHERE seq < ? ORDER BY seq"
    for (seq,) in db.execute(query, (anchor + _FIRST[table],)):
        yield f"{table} {seq}: {_NOT_BEHIND}", seq


def _behind(db: sqlite3.Connection, place: str, table: str, last: str) -> Iterator[tuple[str, int]]:
    query = f"SELECT seq FROM {place}.{table} WHERE seq > {last} ORDER BY seq"
    for (seq,) in db.execute(query):
        yield f"{table} {seq}: {_BEHIND}", seq

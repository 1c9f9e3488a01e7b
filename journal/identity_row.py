"""The row ``identity`` of the table ``chain``: whether it can be that of its journal.

The identity is the hash of the first event, or of the event ``journal_forked`` by which a copy goes
its own way. A journal whose beginning was archived has only this row to tell it. The event of a
fork is never archived. So the row names the first event there, or an event of the file. An archive
of such a copy ends before the fork.
"""

import sqlite3
from typing import Any, Final

from .events import FORKED
from .reading import ARCHIVE

_HASH: Final = 32  # bytes
_ITS: Final = "the journal's identity (table chain)"
Flaw = tuple[str, int | None]
"""A text, and the event that the row names, if it names one."""


def flaw(
    db: sqlite3.Connection, anchor: int, head: int, *, place: str = "main", forks: bool = False
) -> Flaw | None:
    """The flaw of the row, in the database ``place``; None where it has none.

    ``anchor`` and ``head`` are the events between which the journal is. With ``forks`` its events
    are searched for a later identity, which takes a look at all of them. Raises sqlite3.Error.
    """
    fork = _last_fork(db, place, anchor, head) if forks else None
    row = db.execute(f"SELECT seq, hash FROM {place}.chain WHERE name = 'identity'").fetchone()
    if row is None:
        if anchor == 0 and fork is None:
            return None  # 0.1.0 did not store it
        return "the journal has no identity (row 'identity' of the table chain)", None
    seq, hash_ = row
    if seq.__class__ is not int or hash_.__class__ is not bytes or len(hash_) != _HASH:
        return f"{_ITS} has no number or no hash", None
    if anchor < seq <= head:
        if _one(db, f"SELECT hash FROM {place}.event WHERE seq = ?", seq) != hash_:
            return f"{_ITS} is not the hash of event {seq}: one of the two is damaged", seq
    elif seq != 1 and not (seq > head and _is_archive(db, place, head)):
        return f"{_ITS} names event {seq}, which gives none", seq
    if fork is not None and fork != seq:
        return f"{_ITS} is not that of its fork, event {fork}", seq
    return None


def _last_fork(db: sqlite3.Connection, place: str, anchor: int, head: int) -> Any:
    query = f"SELECT max(seq) FROM {place}.event WHERE kind = ? AND seq > ? AND seq <= ?"
    return _one(db, query, FORKED, anchor, head)


def _is_archive(db: sqlite3.Connection, place: str, head: int) -> bool:
    return bool(_one(db, f"SELECT seq FROM {place}.chain WHERE name = ?", ARCHIVE) == head)


def _one(db: sqlite3.Connection, query: str, *keys: object) -> Any:
    row = db.execute(query, keys).fetchone()
    return None if row is None else row[0]

"""The SQL with which a journal is written. Each function is part of a caller's transaction."""

import contextlib
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from . import chain, deploys
from .reading import Link, identity_link
from .rows import Snapshot

_INSERT: Final = "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
# A text that was altered is put right.
_INSERT_CONFIG: Final = (
    "INSERT INTO config VALUES (?, ?) ON CONFLICT (digest)"
    " DO UPDATE SET content = excluded.content WHERE content IS NOT excluded.content"
)
_INSERT_SNAPSHOT: Final = "INSERT OR REPLACE INTO snapshot VALUES (?, ?, ?, ?)"
_SET_LINK: Final = "INSERT OR REPLACE INTO chain VALUES (?, ?, ?)"


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Commit what the block writes, or nothing of it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            with contextlib.suppress(sqlite3.OperationalError):
                db.execute("ROLLBACK")
        raise


def insert_events(db: sqlite3.Connection, rows: Iterable[tuple[chain.Columns, bytes]]) -> None:
    """Add rows, each with its hash."""
    db.executemany(_INSERT, [(*row, link) for row, link in rows])


def insert_configs(db: sqlite3.Connection, configs: Mapping[str, bytes]) -> None:
    """Add config texts by digest."""
    db.executemany(_INSERT_CONFIG, configs.items())


def insert_snapshot(db: sqlite3.Connection, snapshot: Snapshot, hash_: bytes) -> None:
    """Add the fleet as it stood after the event with this hash."""
    db.execute(_INSERT_SNAPSHOT, snapshot_row(snapshot, hash_))


def snapshot_row(snapshot: Snapshot, hash_: bytes) -> tuple[int, bytes, bytes, str]:
    """The row of a fleet as it stood after the event with this hash."""
    packed = zlib.compress(snapshot.fleet, 1)
    return snapshot.seq, hash_, packed, chain.digest(packed)


def begin_at(db: sqlite3.Connection, fleet: tuple[int, bytes, bytes, str]) -> Link:
    """Remove the events up to one of which the fleet is known. ``fleet`` is the row of that.

    The answer is that event, behind which the journal begins now.
    """
    seq, hash_, _, _ = fleet
    identity = identity_link(db)
    if identity is not None:
        set_link(db, "identity", identity.seq, identity.hash)
    for table in ("event", "deploy"):
        db.execute(f"DELETE FROM main.{table} WHERE seq <= ?", (seq,))
    db.execute("DELETE FROM snapshot WHERE seq < ?", (seq,))
    db.execute(_INSERT_SNAPSHOT, fleet)
    set_link(db, "anchor", seq, hash_)
    return Link(seq, hash_)


def set_link(db: sqlite3.Connection, name: str, seq: int, hash_: bytes) -> None:
    """Set the ``anchor``, ``head`` or ``identity`` of the chain to an event."""
    db.execute(_SET_LINK, (name, seq, hash_))


def delete_after(db: sqlite3.Connection, seq: int, hash_: bytes, former: deploys.Former) -> None:
    """Make the chain end with the event of this number and hash.

    ``former`` are the rows of deploys that the append changed which wrote the events behind it.
    """
    with transaction(db):
        for table in ("event", "snapshot"):
            db.execute(f"DELETE FROM {table} WHERE seq > ?", (seq,))
        if deploys.is_made(db):
            deploys.undo(db, seq, former)
        set_link(db, "head", seq, hash_)

"""A journal read and checked with nothing but SQLite, SHA-256 and JSON, plus the fold."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from emperord.daemon.core.actions import recorded
from emperord.daemon.core.fleet import Fleet
from emperord.daemon.core.fold import fold
from emperord.journal.decoding import decode_body
from emperord.journal.events import NOT_FOLDED, Event

_HUNG: Final = ("slow to start", "has not said that it accepts")


class Row(NamedTuple):
    """One event as it stands in the file."""

    seq: int
    at: int
    kind: str
    monitor: str | None
    vassal: str | None
    cause: int | None
    body: str
    actions: str
    hash: bytes

    def field(self, name: str) -> Any:
        return json.loads(self.body).get(name)

    def orders(self) -> list[dict[str, Any]]:
        orders: list[dict[str, Any]] = json.loads(self.actions)
        return orders


@contextmanager
def at_one_moment(journal: Path) -> Iterator[sqlite3.Connection]:
    """A connection whose queries all see the same state, although a daemon may be writing."""
    connection = sqlite3.connect(
        f"file:{journal}?mode=ro", uri=True, timeout=10, isolation_level=None
    )
    try:
        connection.execute("BEGIN")
        yield connection
    finally:
        connection.close()


def _rows(connection: sqlite3.Connection, after: int = 0) -> list[Row]:
    found = connection.execute("SELECT * FROM event WHERE seq > ? ORDER BY seq", (after,))
    return [Row(*row) for row in found]


def rows(journal: Path, after: int = 0) -> list[Row]:
    """The events of a journal, which a daemon may be writing."""
    with at_one_moment(journal) as connection:
        return _rows(connection, after)


def check_chain(found: list[Row]) -> None:
    """Every row is numbered on, later than the one before, and hashed over it."""
    previous, last = bytes(32), Row(0, 0, "", None, None, None, "", "", b"")
    for row in found:
        assert row.seq == last.seq + 1
        assert row.at > last.at
        text = json.dumps(row[:8], ensure_ascii=False, separators=(",", ":"))
        assert row.hash == hashlib.sha256(previous + text.encode()).digest(), row
        previous, last = row.hash, row


def check_head(connection: sqlite3.Connection, found: list[Row]) -> None:
    """SQLite finds the file sound, and the chain ends where the journal says."""
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    head = connection.execute("SELECT seq, hash FROM chain WHERE name = 'head'").fetchone()
    assert head == (found[-1].seq, found[-1].hash)


def event_of(row: Row) -> Event:
    """The event of a row."""
    body = decode_body(row.kind, row.body)
    return Event(*row[:6], body, row.actions == NOT_FOLDED)


def out_of_patience(found: list[Row]) -> list[Row]:
    """Deadlines that passed before a vassal said that it accepts: something hung."""
    fleet, hung = Fleet(), []
    for row in found:
        fold(fleet, event_of(row))
        vassal = fleet.vassals.get(row.vassal or "")
        if row.kind == "deadline_passed" and vassal is not None and vassal.reason in _HUNG:
            hung.append(row)
    return hung


def refold(found: list[Row]) -> Fleet:
    """The fleet that the record leads to; every recorded action must come out again."""
    fleet = Fleet()
    for row in found:
        event = event_of(row)
        assert row.kind != "vassal_failed", row  # an error of the daemon's own
        assert recorded(fold(fleet, event), failed=event.failed) == row.actions, row
    return fleet


def check_one_attempt_at_a_time(found: list[Row]) -> None:
    """By the record alone: no spawn was ordered while another attempt had not ended."""
    running: dict[str, int] = {}
    for row in found:
        if row.kind in ("exited", "spawn_failed"):
            assert row.vassal is not None
            if running.get(row.vassal) == row.field("attempt"):
                del running[row.vassal]
        for action in row.orders():
            if action["do"] == "spawn":
                assert action["vassal"] not in running, row
                running[action["vassal"]] = action["attempt"]


def ordered_marks(found: list[Row]) -> Iterator[str]:
    """The marks of all attempts whose spawn stands in the record."""
    for row in found:
        for action in row.orders():
            if action["do"] == "spawn":
                yield f"{row.seq}.{row.at}.{action['vassal']}"


def check(journal: Path) -> tuple[list[Row], Fleet]:
    """All of the above."""
    with at_one_moment(journal) as connection:
        found = _rows(connection)
        check_head(connection, found)
    check_chain(found)
    check_one_attempt_at_a_time(found)
    return found, refold(found)

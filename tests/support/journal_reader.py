"""Reads the journal of a daemon that runs: its events, and the fleet that follows from them."""

import copy
import json
import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

from emperord.daemon.core.fleet import Fleet, Vassal

from .tail import Tail


class Event(NamedTuple):
    """One row of the journal, bodies and actions as plain JSON."""

    seq: int
    at: int
    kind: str
    monitor: str | None
    vassal: str | None
    cause: int | None
    body: Any
    actions: Any


class JournalReader:
    """Reads ``journal``, which need not be there yet."""

    journal: Path
    _tail: Tail

    def events(self, kind: str = "%", vassal: str = "%", after: int = 0) -> list[Event]:
        """Events of the journal as it is now; ``kind`` and ``vassal`` as in LIKE."""
        rows = self.query(
            "SELECT seq, at, kind, monitor, vassal, cause, body, actions FROM event"
            " WHERE kind LIKE ? AND coalesce(vassal, '') LIKE ? AND seq > ? ORDER BY seq",
            kind,
            vassal,
            after,
        )
        return [
            Event(seq, at, kind, monitor, name, cause, json.loads(body), json.loads(actions))
            for seq, at, kind, monitor, name, cause, body, actions in rows
        ]

    def kinds(self, vassal: str = "%", after: int = 0) -> list[str]:
        """The kinds of these events, in order."""
        return [event.kind for event in self.events("%", vassal, after)]

    def query(self, sql: str, *values: object) -> list[Any]:
        """The rows of a query of the journal; none if there is no journal yet."""
        if not self.journal.exists():
            return []
        connection = sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True)
        try:
            return connection.execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):  # it is being made
                return []
            raise
        finally:
            connection.close()

    def config_text(self, digest: str | None) -> bytes | None:
        """The text that the journal has under this digest."""
        rows = self.query("SELECT content FROM config WHERE digest = ?", digest)
        return bytes(rows[0][0]) if rows else None

    def last_seq(self) -> int:
        """The number of the last event."""
        rows = self.query("SELECT max(seq) FROM event")
        return (rows[0][0] or 0) if rows else 0

    def fleet(self) -> Fleet:
        """The journal, folded."""
        return copy.deepcopy(self._tail.fleet(self.query))

    def vassal(self, name: str) -> Vassal | None:
        """One vassal as the journal has it."""
        return copy.deepcopy(self._tail.fleet(self.query).vassals.get(name))

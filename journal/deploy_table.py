"""The table ``deploy`` of a journal that a daemon writes."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from . import deploys
from .errors import JournalPaused
from .reading import Link, error_text, readable
from .rows import Snapshot
from .tail import oldest_snapshot
from .write_connection import WriteConnection
from .writing import set_link, transaction


class DeployTable:
    """The outcome of each deploy. A journal may lack the table, if its disk was full then.

    ``begin`` is the event behind which the journal begins. Reading raises Damaged.
    """

    def __init__(self, connection: WriteConnection, begin: int) -> None:
        self._connection = connection
        self._begin = begin
        with readable(connection.path):
            self._is_made = deploys.is_made(connection.db)
            self.lacks_rows = self._is_made and not self._is_filled()
            """Whether the outcomes are to be found out anew. Until they are, none is stored."""

    def _is_filled(self) -> bool:
        db = self._connection.db
        since = deploys.since(db, self._begin)
        if since > self._begin and deploys.is_empty(db):
            return False  # an operator put the damage right, and removed all rows
        return deploys.is_filled(db, since)

    def base(self, since: int) -> Snapshot | None:
        """The fleet after an event from ``since`` on, as early as there is one. Raises Damaged."""
        with readable(self._connection.path):
            stored = oldest_snapshot(self._connection.db, self._begin, since)
        return None if stored is None else Snapshot(stored.seq, stored.fleet or b"")

    def unsettled(self) -> list[Any]:
        """Those of which more may be known some day, as the fields of a ``Deploy``, in order."""
        if not self._is_made or self.lacks_rows:
            return []
        with readable(self._connection.path):
            return deploys.unsettled(self._connection.db, self._begin)

    def fill(self, known: Sequence[deploys.Row], since: Link) -> None:
        """Store all outcomes of deploys behind event ``since``. Raises JournalPaused."""
        db = self._connection.db
        try:
            with transaction(db):
                deploys.fill(db, known)
                db.execute("DELETE FROM chain WHERE name = ?", (deploys.SINCE,))
                if since.seq > self._begin:
                    set_link(db, deploys.SINCE, since.seq, since.hash)
        except sqlite3.DatabaseError as error:
            path = self._connection.path
            raise JournalPaused(f"{path}: cannot be written: {error_text(error)}") from error
        self.lacks_rows = False

    def store(self, known: Sequence[deploys.Row], last: int) -> None:
        """Store new outcomes, in the caller's transaction. Raises sqlite3.Error.

        ``last`` is the number of the last event that is durable.
        """
        if self._is_made and not self.lacks_rows:
            db = self._connection.db
            self._connection.former = deploys.former(db, last, known)
            deploys.store(db, known)

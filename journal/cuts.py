"""Events leave a journal that a daemon writes, after they went to an archive and were verified.

They leave some thousand at a time, the oldest first. After each step the file is a journal as any
other, which begins with a later event. The last step is made in the transaction of the event
``journal_archived``. Then the texts leave that no event names any more. A daemon that is killed
between two steps leaves a whole journal, and a later run goes on with the same archive.

An append waits while a step is made, so a caller pauses between two.
"""

import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

from . import chain, writing
from .archive_file import NAMING, SnapshotRow
from .events import ARCHIVED
from .reading import Link
from .write_connection import WriteConnection

_NAMED: Final = (
    "SELECT DISTINCT json_extract(body, ?) FROM event WHERE seq > ? AND json_valid(body)"
)
_DROP: Final = (
    "DELETE FROM config WHERE digest IN (SELECT value FROM json_each(?))"
    " AND digest NOT IN (SELECT value FROM json_each(?))"
)


class Cuts:
    """Where a journal begins: behind the event ``begin``, which may move on.

    ``last`` gives the last event that is durable.
    """

    def __init__(self, connection: WriteConnection, begin: Link, last: Callable[[], Link]) -> None:
        self.begin = begin
        self._connection = connection
        self._last = last
        self._offered: SnapshotRow | None = None

    def step(self, fleet: SnapshotRow) -> None:
        """Take out the events up to the one of this fleet. Raises JournalPaused."""
        with self._connection.in_use:
            self._connection.prepare(self.begin, self._last(), room=False)
            try:
                with writing.transaction(self._connection.db):
                    begin = writing.begin_at(self._connection.db, fleet)
            except (sqlite3.DatabaseError, OSError) as error:
                raise self._connection.paused(error) from error
            self._connection.look()
            self.begin = begin

    def offer(self, fleet: SnapshotRow | None) -> None:
        """Have the last step, to this fleet, made with the next event that says so."""
        self._offered = fleet

    def last_step(self, rows: Sequence[chain.Columns]) -> Link:
        """Make the last step if the event is among the rows, in the caller's transaction.

        The answer is where the journal then begins. Raises sqlite3.Error.
        """
        if self._offered is None or not any(row[2] == ARCHIVED for row in rows):
            return self.begin
        return writing.begin_at(self._connection.db, self._offered)

    def shrink(self, pages: int) -> bool:
        """Give some of the room in the file back to the disk; whether there may be more.

        Raises JournalPaused.
        """
        with self._connection.in_use:
            self._connection.prepare(self.begin, self._last(), room=False)
            try:
                more = self._connection.shrink(pages)
            except (sqlite3.DatabaseError, OSError) as error:
                raise self._connection.paused(error) from error
            self._connection.look()
        return more

    def drop_texts(self, digests: Sequence[str], since: int) -> None:
        """Remove texts that no event up to ``since`` needs. Raises JournalPaused.

        One that a later event names stays.
        """
        with self._connection.in_use:
            self._connection.prepare(self.begin, self._last(), room=False)
            db = self._connection.db
            try:
                with writing.transaction(db):
                    named = [
                        digest
                        for path in NAMING
                        for (digest,) in db.execute(_NAMED, (path, since))
                        if digest is not None  # otherwise SQL would know of no text to drop
                    ]
                    db.execute(_DROP, (json.dumps(digests), json.dumps(named)))
            except (sqlite3.DatabaseError, OSError) as error:
                raise self._connection.paused(error) from error
            self._connection.look()

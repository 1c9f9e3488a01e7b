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
from functools import partial
from typing import Final

from . import chain, writing
from .archive_file import NAMING, SnapshotRow
from .events import ARCHIVED
from .reading import Link
from .write_connection import WriteConnection

_NAMED: Final = (
    "SELECT DISTINCT json_extract(body, ?) FROM event"
    " WHERE seq > ? AND seq <= ? AND json_valid(body)"
)
_AT_ONCE: Final = 500  # events that are looked at while an append waits
_DROP: Final = "DELETE FROM config WHERE digest IN (SELECT value FROM json_each(?))"


class Cuts:
    """Where a journal begins: behind the event ``begin``, which may move on.

    ``last`` gives the last event that is durable.
    """

    def __init__(self, connection: WriteConnection, begin: Link, last: Callable[[], Link]) -> None:
        self.begin = begin
        self._connection = connection
        self._last = last
        self._offered: SnapshotRow | None = None
        self._looked_to = 0  # the last event whose texts are among those that are named
        self._named: set[str] = set()

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

        The file becomes smaller by ``fold_in``. Raises JournalPaused.
        """
        return self._on_file(partial(self._connection.shrink, pages))

    def fold_in(self) -> bool:
        """Have the file become smaller; whether no reader kept it from that.

        Raises JournalPaused.
        """
        return self._on_file(self._connection.fold_in)

    def _on_file(self, work: Callable[[], bool]) -> bool:
        with self._connection.in_use:
            self._connection.prepare(self.begin, self._last(), room=False)
            try:
                done = work()
            except (sqlite3.DatabaseError, OSError) as error:
                raise self._connection.paused(error) from error
            self._connection.look()
        return done

    def drop_texts(self, digests: Sequence[str], since: int) -> None:
        """Remove texts that no event up to ``since`` needs. Raises JournalPaused.

        One that a later event names stays.
        """
        self._look_to(since)
        with self._connection.in_use:
            self._connection.prepare(self.begin, self._last(), room=False)
            db = self._connection.db
            try:
                with writing.transaction(db):
                    self._note(lambda *keys: db.execute(_NAMED, keys).fetchall(), self._last().seq)
                    gone = [each for each in digests if each not in self._named]
                    db.execute(_DROP, (json.dumps(gone),))
            except (sqlite3.DatabaseError, OSError) as error:
                raise self._connection.paused(error) from error
            self._connection.look()

    def _look_to(self, since: int) -> None:
        """Note the texts of all events but the last few, while events are appended.

        The first look begins behind ``since``, each later one where the former has ended. Raises
        JournalPaused.
        """
        if since >= self._looked_to:
            self._looked_to, self._named = since, set()
        try:
            while (last := self._last().seq) - self._looked_to > _AT_ONCE:
                upto = min(last, self._looked_to + _AT_ONCE)
                self._note(lambda *keys: self._connection.read_rows(_NAMED, *keys), upto)
        except (sqlite3.Error, OSError) as error:
            raise self._connection.paused(error) from error

    def _note(self, fetch: Callable[..., list[tuple[str | None]]], upto: int) -> None:
        for path in NAMING:
            named = fetch(path, self._looked_to, upto)
            self._named.update(digest for (digest,) in named if digest is not None)
        self._looked_to = upto

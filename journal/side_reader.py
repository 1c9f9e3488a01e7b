"""Single rows of a journal for any thread, while another thread may append."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote


class SideReader:
    """A connection of its own, as the one that writes may be in a transaction. Made when needed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._in_use = threading.Lock()

    def one(self, sql: str, key: object) -> Any:
        """The row of a key, or None. Raises sqlite3.Error."""
        with self._in_use:
            return self._connection().execute(sql, (key,)).fetchone()

    def rows(self, sql: str, *keys: object) -> list[Any]:
        """All rows. Raises sqlite3.Error."""
        with self._in_use:
            return self._connection().execute(sql, keys).fetchall()

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            uri = f"file:{quote(self._path)}?mode=ro"
            self._db = sqlite3.connect(uri, uri=True, check_same_thread=False)
        return self._db

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """Close the connection; a look of another thread waits for the end of the block.

        The block may close descriptors of the journal's files. Each loses all locks of SQLite in
        this process on that file, also those of a connection that such a look would have made.
        """
        with self._in_use:
            if self._db is not None:
                self._db.close()
                self._db = None
            yield

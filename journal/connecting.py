"""Opening a journal's database for writing: its schema is checked, then brought up to date."""

import os
import sqlite3
from typing import Final

from . import schema
from .advice import advice
from .errors import Damaged, JournalError
from .lost_log import close_unfolded
from .reading import error_text, of_sqlite

INCREMENTAL: Final = "PRAGMA auto_vacuum = INCREMENTAL"  # so that the file can become smaller
_LOG_LIMIT = 64 << 20  # bytes that the log may keep after a checkpoint


def connect(path: str, file: int) -> sqlite3.Connection:
    """A connection that writes; each commit is on disk. ``file`` is the journal, open and locked.

    Raises NotAJournal, NewerFormat, Damaged, JournalError.
    """
    fresh = os.path.getsize(path) == 0
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except sqlite3.OperationalError as error:
        raise _cannot_be_opened(path, error) from None
    try:
        if fresh:
            connection.execute(INCREMENTAL)
            connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute("PRAGMA busy_timeout = 5000")
        schema.check_ours(connection, path)
        schema.check_whole(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_LIMIT}")
        schema.migrate(connection)
        return connection
    except BaseException as error:
        close_unfolded(connection, path, file)
        reason = _explained(path, error)
        if reason is None:
            raise
        raise reason from None


def _explained(path: str, error: BaseException) -> JournalError | None:
    """The error of a journal that an error of SQLite stands for; None for another error."""
    if isinstance(error, sqlite3.OperationalError):
        reason = of_sqlite(path, error)
        return reason if isinstance(reason, Damaged) else _cannot_be_opened(path, error)
    if isinstance(error, sqlite3.DatabaseError | UnicodeDecodeError):
        return Damaged(
            f"{path}: {error_text(error)}; restore it from a copy, or start a new journal"
        )
    return None


def _cannot_be_opened(path: str, error: sqlite3.OperationalError) -> JournalError:
    return JournalError(f"{path}: cannot be opened: {error_text(error)}; {advice(error)}")

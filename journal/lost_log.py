"""The log beside a journal, before SQLite may write to either: nothing recorded is destroyed.

SQLite takes a ``-wal`` for that of the database beside it, whichever it is. It deletes one beside
an empty file, and copies any other into the database when the last connection is closed. So a
journal and its log are first read together, by a connection that cannot write:

| ``journal.db`` | with its log | without it | what is done |
|---|---|---|---|
| absent or empty | | | the log is renamed |
| | whole | the same journal, or not whole | the journal is opened |
| | not whole, or another journal | whole | the log is renamed |
| | whole | whole, and goes on with later events | the log is an older one: it is renamed |
| | not whole | not whole | Damaged is raised, and nothing is touched |

*Whole* is what a daemon needs to go on: the schema, and the chain from the newest snapshot on. A
log that holds less than SQLite once committed to it, as the ``-shm`` says, is copied before.

Where a log was set aside it is called ``journal.db-wal.lost-TIME``. ``beside`` finds such files.
"""

import contextlib
import fcntl
import glob
import os
import shutil
import sqlite3
import stat
import struct
import time
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import quote

from . import schema, wal
from .errors import Damaged, JournalError, NotAJournal
from .files import wal_index
from .reading import Link, ends, of_sqlite
from .tail import newest_snapshot, rows_after

_TOGETHER: Final = "mode=ro&readonly_shm=1"
_ALONE: Final = "mode=ro&immutable=1"
_LOST: Final = ".lost-"
_FIRST: Final = "SELECT seq, hash FROM event WHERE seq > ? ORDER BY seq LIMIT 1"
# From SQLite's os.h: the last connection locks these bytes when it closes, to fold in the log.
_SHARED_FIRST: Final = 0x40000002
_SHARED_SIZE: Final = 510
_FLOCK: Final = "hhqqi4x"  # struct flock


def is_missing(path: str) -> bool:
    """Whether there is no journal: no file, or one without content."""
    try:
        status = os.stat(path)
    except OSError as error:
        return isinstance(error, FileNotFoundError)
    return stat.S_ISREG(status.st_mode) and status.st_size == 0


def beside(path: str) -> list[str]:
    """The logs that were set aside beside the journal at ``path`` and are still there."""
    return sorted(glob.glob(glob.escape(f"{os.path.realpath(path)}-wal{_LOST}") + "*"))


def advice(logs: Sequence[str]) -> str:
    """Tell an operator what these files are, and what to do with them."""
    return (
        f"{', '.join(logs)}: a log that did not belong to the journal beside it; it may hold"
        " events that are nowhere else. Put it beside its own journal.db as journal.db-wal, or move"
        " it away"
    )


def unused(name: str) -> str:
    """A name like this that no file has."""
    number, free = 1, name
    while os.path.lexists(free):
        number += 1
        free = f"{name}-{number}"
    return free


def secure(path: str) -> None:
    """Set the log beside a journal aside where opening the journal would destroy what it holds.

    To be called with the journal's lock held. Raises JournalError, OSError.
    """
    log = f"{path}-wal"
    if not os.path.isfile(log) or not os.path.getsize(log):
        return
    if is_missing(path):
        os.rename(log, _lost(log))
        return
    walked, committed = _walk(path, log), _once_committed(path)
    if committed > walked.committed:
        shutil.copyfile(log, copy := _lost(log))
        os.chmod(copy, 0o600)
    elif walked.committed and not _log_belongs(path):
        os.rename(log, _lost(log))


def close_unfolded(connection: sqlite3.Connection, path: str, file: int) -> None:
    """Close a connection and leave the log as it is.

    SQLite folds the log in and deletes it if it gets an exclusive lock of the database then. So a
    shared one is held meanwhile, of ``file`` and of whatever file has the name by now. It belongs
    to an open file description, so SQLite's own locks of this process are in conflict with it.
    """
    with contextlib.ExitStack() as stack:
        held = [file]
        with contextlib.suppress(OSError):
            held.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
            stack.callback(os.close, held[-1])
        for each in held:
            with contextlib.suppress(OSError):
                _lock(each, fcntl.F_RDLCK)
                stack.callback(_lock, each, fcntl.F_UNLCK)
        connection.close()


def _lock(file: int, kind: int) -> None:
    region = struct.pack(_FLOCK, kind, os.SEEK_SET, _SHARED_FIRST, _SHARED_SIZE, 0)
    fcntl.fcntl(file, fcntl.F_OFD_SETLK, region)


def _lost(log: str) -> str:
    return unused(f"{log}{_LOST}{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")


def _walk(path: str, log: str) -> wal.Walk:
    """Raise Damaged if SQLite would pass over events in the log, and write over them."""
    with open(log, "rb") as file:
        walked = wal.walk(file)
    if walked.certain:
        raise Damaged(
            f"{path}: {walked.damage}; copy the journal away, -wal and -shm too, and restore it. To"
            f" do without what is lost: sqlite3 {path} 'PRAGMA wal_checkpoint(TRUNCATE)'"
        )
    return walked


def _once_committed(path: str) -> int:
    """How many frames SQLite has committed to the log that is there; 0 where that is not known."""
    with open(f"{path}-wal", "rb") as log:
        salts = struct.unpack(">2I", log.read(wal.HEADER_SIZE)[16:24].ljust(8, b"\0"))
    with contextlib.suppress(FileNotFoundError):
        index = wal_index(f"{path}-shm")
        if index is not None and index.salts == salts:
            return index.committed
    return 0


def _log_belongs(path: str) -> bool:
    """Whether the log is that of the journal beside it.

    Raises JournalError if there is no whole journal, neither with the log nor without it.
    """
    # SQLite can read a log without writing only where there is an index, be it an empty one.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(f"{path}-shm", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        together = _check(path, _TOGETHER)
    except (Damaged, NotAJournal):
        with contextlib.suppress(JournalError):
            _check(path, _ALONE)
            return False
        raise
    except JournalError as error:
        if type(error) is JournalError:  # it cannot be read, so the journal will not be opened
            return True
        raise
    if together is None:
        return True
    try:
        alone = _check(path, _ALONE, upto=together.head)
    except JournalError:
        return True  # as after a crash during a checkpoint
    if alone is None:
        return True
    if alone.follows:  # no log brings a journal back to an earlier event
        return False
    one, other = alone.first, together.first
    return one is None or other is None or one.seq != other.seq or one.hash == other.hash


class _Whole(NamedTuple):
    """A whole journal."""

    first: Link | None
    head: Link
    follows: bool  # it has the event that was asked for, and later ones


def _check(path: str, how: str, upto: Link | None = None) -> _Whole | None:
    """A whole journal; None before it has tables. Raises JournalError if it is not whole."""
    with contextlib.ExitStack() as stack:
        try:
            uri = f"file:{quote(path)}?{how}"
            connection = sqlite3.connect(uri, uri=True, isolation_level=None)
            stack.callback(connection.close)
            schema.check_ours(connection, path)
            schema.check_whole(connection, path)
            if not schema.applied(connection):
                return None  # it was killed before there were tables
            anchor, head = ends(connection, path)
            snapshot = newest_snapshot(connection, path, anchor.seq, head.seq)
            after = anchor.seq if snapshot is None else snapshot.seq
            for _ in rows_after(connection, path, anchor, head, after):
                pass
            row = connection.execute(_FIRST, (anchor.seq,)).fetchone()
            follows = upto is not None and _follows(connection, anchor, head, upto)
        except sqlite3.Error as error:
            raise of_sqlite(path, error) from None
        except UnicodeDecodeError:
            raise Damaged(f"{path}: its schema is damaged") from None
    return _Whole(None if row is None else Link(*row), head, follows)


def _follows(connection: sqlite3.Connection, anchor: Link, head: Link, event: Link) -> bool:
    """Whether a journal goes on from an event, which may be archived there."""
    if head.seq <= event.seq:
        return False
    if event.seq <= anchor.seq:
        return event.seq < anchor.seq or event.hash == anchor.hash
    sql = "SELECT hash FROM event WHERE seq = ?"
    return bool(connection.execute(sql, (event.seq,)).fetchone()[0] == event.hash)

"""The connection that writes a journal. It is made anew where it may be of no use any more.

| what happened | what the next append does |
|---|---|
| a file of the three is lost (``guard.py``) | it fails, and says so; the next connects anew |
| a commit failed for another reason than a full disk | it saves all events, and connects anew |
| the disk is full | it tries again with the same connection |
| another program gave room back (``VACUUM``) | it looks whether all is there, and connects anew |
"""

import contextlib
import errno
import os
import sqlite3
import threading
from typing import Any, Final, Self
from urllib.parse import quote

from . import deploys
from .connecting import connect
from .errors import JournalError, JournalPaused
from .guard import FileShorter, Guard
from .locked_files import LockedFiles
from .lost_log import close_unfolded
from .reading import Link, ends, error_text, readable
from .rows import Snapshot
from .schema import APPLICATION_ID
from .side_reader import SideReader
from .writing import delete_after, insert_snapshot, transaction

_INCREMENTAL: Final = 2  # SQLite's number of that way to give pages back
_PER_MAP: Final = 512  # pages that one page of SQLite's map of pages describes, at least
_LOOK: Final = 1.0  # seconds that a look at the files may take; an append that takes longer hangs
_ROOM: Final = 32 << 10  # bytes that a few rows may take, indexes and all


class WriteConnection:
    """SQLite's connection to the journal at ``path``, and the guard of its files.

    ``file`` is the journal itself, open and locked. ``in_use`` is held while the files are being
    changed.
    """

    def __init__(self, path: str, file: int, db: sqlite3.Connection, guard: Guard) -> None:
        self.path = path
        self.file = file
        self.db = db
        self.former = deploys.Former(0, {})  # the rows of deploys that the last append changed
        self.in_use = threading.Lock()
        self._guard = guard
        self._side = SideReader(path)
        self._doubtful = False  # the connection may be of no use any more
        self._loss: OSError | None = None  # of a file, which was noticed and not told yet
        self._closed = False  # there is no connection, as it could not be made anew

    @classmethod
    def open(cls, path: str, file: int) -> Self:
        """Raises JournalError, OSError, sqlite3.Error."""
        db = connect(path, file)
        try:
            with readable(path):
                ends(db, path)  # a read, so that all three files are there
            LockedFiles.of(path).ids()  # they are known from now on, also if they are moved
            return cls(path, file, db, _guard(path, db))
        except BaseException:
            close_unfolded(db, path, file)
            raise

    def close(self) -> bool:
        """Close all, and fold the log into the journal, unless it was cut or overwritten.

        The answer is whether that was done: not while an append hangs. A look of another thread is
        waited for, because the guard closes the descriptors that it reads.
        """
        if not self.in_use.acquire(timeout=_LOOK):
            return False
        try:
            sound = self._is_sound()
            with self._side.closed():
                self._close(folded=sound)
        finally:
            self.in_use.release()
        return True

    def close_unfolded(self) -> None:
        """Close all, and leave the log as it is."""
        with self._side.closed():
            self._close(folded=False)

    def _is_sound(self) -> bool:
        """Whether the log may be folded in: SQLite would copy what is there, cut or overwritten."""
        try:
            if not self._closed and (self._doubtful or not self.look()):
                self._guard.check_log()
        except OSError:
            return False
        return True

    def _close(self, *, folded: bool) -> None:
        """Close all but the side reader, which the caller keeps closed."""
        if self._closed:
            return
        if folded:
            self.db.close()
        else:
            close_unfolded(self.db, self.path, self.file)
        self._guard.close()
        self._closed = True

    # The files

    @property
    def is_open(self) -> bool:
        """Whether there is a connection; it may be of no use."""
        return not self._closed

    @property
    def linked(self) -> str | None:
        """Which of the journal's files have a second name; None where none has."""
        return self._guard.linked

    def in_place(self) -> bool:
        """Whether the names of its files still lead to those that were opened."""
        try:
            self._guard.check_main()
        except OSError:
            return False
        return not self._guard.files_replaced

    def stamps(self) -> list[tuple[int, int]]:
        """Size and time of the last write of journal and log.

        No program can set the time of the journal's (ctime). A reader changes that of the log: as
        root, SQLite gives it the journal's owner (fchown(2)).
        """
        main = os.fstat(self.file)
        found = [(main.st_size, main.st_ctime_ns)]
        with contextlib.suppress(FileNotFoundError):
            log = os.stat(f"{self.path}-wal")
            found.append((log.st_size, log.st_mtime_ns))
        return found

    def is_whole(self) -> bool:
        """Whether the files are still those that SQLite has open, and whole."""
        if not self.in_use.acquire(blocking=False):
            return True  # an append looks at them itself
        try:
            return not (self._closed or self._doubtful) and self.look()
        finally:
            self.in_use.release()

    def look(self) -> bool:
        """As ``is_whole``, for a caller that holds ``in_use``. The next append tells a loss."""
        try:
            self._guard.check()
        except OSError as error:
            self._doubtful, self._loss = True, error
            return False
        return True

    def read_one(self, sql: str, key: object) -> Any:
        """The row of a key, or None, while an append may run. Raises sqlite3.Error."""
        self.is_whole()  # before SQLite reads a -shm that was cut
        return self._side.one(sql, key)

    def read_rows(self, sql: str, *keys: object) -> list[Any]:
        """The rows of these keys, while an append may run. Raises sqlite3.Error."""
        self.is_whole()
        return self._side.rows(sql, *keys)

    # Writing

    def prepare(self, anchor: Link, last: Link, *, room: bool) -> None:
        """Have a connection that can be written through. Raises JournalPaused.

        ``last`` is the last event that is durable. With ``room``, there must be some on the disk.
        """
        try:
            while not self._is_usable(anchor, last):
                pass
            if room:
                _check_room(os.path.dirname(self.path))
        except (sqlite3.Error, OSError, JournalError) as error:
            raise self.paused(error) from error

    def _is_usable(self, anchor: Link, last: Link) -> bool:
        """Have such a connection; False if the file has become shorter since the look at its size.

        Raises JournalError, OSError, sqlite3.Error.
        """
        shorter = not self._closed and self._guard.is_shorter()
        if shorter and _is_all_there(self.path, self._guard, last):
            shorter, self._doubtful, self._loss = False, True, None
        if self._loss is not None:
            loss, self._loss = self._loss, None
            raise loss
        try:
            if self._doubtful:
                self._open_anew(anchor, last)
            self._guard.check()
        except FileShorter:
            if shorter:
                raise
            return False
        return True

    def shrink(self, pages: int) -> bool:
        """Give up to so many empty pages back to the disk; whether there may be more.

        The file becomes smaller by ``fold_in``. Raises sqlite3.Error.
        """
        ((mode,),) = self.db.execute("PRAGMA auto_vacuum").fetchall()
        ((free,),) = self.db.execute("PRAGMA freelist_count").fetchall()
        if mode != _INCREMENTAL or not free:
            return False
        self._guard.may_shrink(_size(self.db) - (pages + pages // _PER_MAP + 2) * _page(self.db))
        self.db.executescript(f"PRAGMA incremental_vacuum({pages})")
        return True

    def fold_in(self) -> bool:
        """Copy the log into the file as far as its readers allow; whether nothing of it is left.

        A reader keeps what came after its transaction has begun in the log. Raises sqlite3.Error.
        """
        ((busy, pages, copied),) = self.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        return not busy and copied == pages

    def fold_log(self, snapshot: Snapshot | None, hash_: bytes) -> None:
        """Copy the log into the journal, with a snapshot whose event has this hash; begin it anew.

        The next daemon checks each byte of the log, but none behind the place where it was begun
        anew. Its file keeps its size, because a commit that has to make it longer takes more time.
        Nothing waits for readers. A failure changes nothing: the next append meets it as well. The
        caller holds ``in_use``.
        """
        if self._doubtful or not self.look():
            return
        with contextlib.suppress(sqlite3.DatabaseError):
            if snapshot is not None:
                with transaction(self.db):
                    insert_snapshot(self.db, snapshot, hash_)
            self.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            # SQLite begins a log anew with a commit. This one writes what is there, in one page.
            self.db.execute(f"PRAGMA application_id = {APPLICATION_ID}")

    def paused(self, error: Exception) -> JournalPaused:
        """The error for a caller after this one."""
        # After a full disk, another connection does not help; only room does.
        full = getattr(error, "sqlite_errorname", None) == "SQLITE_FULL" or (
            isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        )
        self._doubtful = self._doubtful or not full
        if isinstance(error, JournalError):
            return JournalPaused(str(error))
        return JournalPaused(f"{self.path}: cannot be written: {error_text(error)}")

    def _open_anew(self, anchor: Link, last: Link) -> None:
        """Save what only the connection has, and make another one.

        A file that was opened read-only stays so (a ``-wal`` with ``chattr +i``), whatever becomes
        of the file. Raises JournalError, OSError, sqlite3.Error.
        """
        if not self._closed:
            self._guard.check_main()
            self._guard.check_log()
            if self._guard.files_replaced:
                self._save()
        with self._side.closed():
            self._close(folded=True)
            db = connect(self.path, self.file)
            try:
                _end_with(db, anchor, last, ends(db, self.path)[1], self.former)
                guard = _guard(self.path, db)
            except BaseException:
                close_unfolded(db, self.path, self.file)
                raise
            self.db, self._guard = db, guard
            self._closed = self._doubtful = False

    def _save(self) -> None:
        """Copy all events into the journal itself, as its ``-wal`` or ``-shm`` has no name."""
        busy, frames, copied = self.db.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
        if busy or frames != copied:
            raise OSError("the -wal file is lost, and another program reads the journal")
        self._guard.set_aside()


def _guard(path: str, db: sqlite3.Connection) -> Guard:
    """The guard of a journal. A log that was left by a kill may be about to shorten it."""
    size = _size(db)
    guard = Guard(path)
    guard.may_shrink(size)
    return guard


def _is_all_there(path: str, guard: Guard, last: Link) -> bool:
    """Whether a journal that became shorter is whole: another program ran ``VACUUM``.

    It takes a look at all pages, and happens once. The connection that writes may have pages of
    before in its memory, so the look is another one's. Raises OSError, sqlite3.Error.
    """
    uri = f"file:{quote(path)}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as db:
        try:
            db.execute("BEGIN")  # one look for all
            row = db.execute("SELECT hash FROM event WHERE seq = ?", (last.seq,)).fetchone()
            pages = _size(db) // _page(db)
            checked = db.execute("PRAGMA quick_check(1)").fetchall()
        except sqlite3.DatabaseError:
            return False  # pages are missing
        if checked != [("ok",)] or (row is not None and row[0] != last.hash):
            return False
        return guard.take_size(pages)


def _size(db: sqlite3.Connection) -> int:
    """Bytes of the journal with its log."""
    ((pages,),) = db.execute("PRAGMA page_count").fetchall()
    return int(pages) * _page(db)


def _page(db: sqlite3.Connection) -> int:
    ((size,),) = db.execute("PRAGMA page_size").fetchall()
    return int(size)


def _end_with(
    db: sqlite3.Connection, anchor: Link, last: Link, found: Link, former: deploys.Former
) -> None:
    """Make the journal end with the last event that was durable.

    An append that failed may have left its events in the log. ``former`` are the rows of deploys
    that it changed. Raises OSError.
    """
    row = db.execute("SELECT hash FROM event WHERE seq = ?", (last.seq,)).fetchone()
    known = last.hash if last.seq == anchor.seq else None if row is None else row[0]
    if found.seq < last.seq or known != last.hash:
        raise OSError(
            f"event {last.seq} was durable and is not there; when this daemon is killed (kill"
            " -9), the next one waits for 'emperor-ctl adopt' or 'restore'"
        )
    if found.seq > last.seq:
        delete_after(db, last.seq, last.hash, former)


def _check_room(directory: str) -> None:
    # SQLite may have room left in its log for what changes nothing, and for nothing else.
    try:
        file = os.open(directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR):
            return  # this file system has no files without a name
        raise
    try:
        os.posix_fallocate(file, 0, _ROOM)
    finally:
        os.close(file)

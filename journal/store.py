"""The store: the one writer of a journal.

The process that holds the lock writes; the store refuses a second writer. The lock is a BSD lock on
a file beside the journal, which also says whose it is. A BSD lock belongs to the open file and not
to the process, so a child between fork and exec still holds it. When a new daemon gets the lock, no
child of the dead one is still on its way to exec. The recovery relies on that.

A journal with a second name (a hard link, a bind mount) has a second such file beside that, so
the journal itself is locked as well. Such a lock and SQLite's own, which are POSIX ones, do not see
each other. But SQLite's are lost whenever the process closes any descriptor of the file. So ours
stays open until SQLite has closed the file.

``append`` is synchronous and is meant to be called in a worker thread: it returns when the
events are on disk (WAL, ``synchronous=FULL``: one fsync for all of them).
"""

import contextlib
import errno
import fcntl
import os
import sqlite3
import stat
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, Self

import msgspec

from . import chain, deploys, lost_log, rows, schema
from .advice import advice
from .errors import (
    GIVE_ANOTHER,
    NOT_OURS,
    Damaged,
    JournalError,
    JournalLocked,
    JournalPaused,
    NotAJournal,
)
from .events import FORKED, Event
from .guard import Guard
from .lost_log import close_unfolded
from .reading import (
    COLUMNS,
    Link,
    as_bytes,
    decoded,
    ends,
    error_text,
    identity_link,
    of_sqlite,
)
from .tail import newest_snapshot, rows_after

SNAPSHOT_EVERY: Final = 10_000  # events
_SAME_CHILD: Final = 0.5  # seconds; as it executes, it lets go of one lock after the other
_LAST_CHILD: Final = 5.0  # seconds that a dead daemon's last child may take to its exec
_ROOM: Final = 32 << 10  # bytes that a few rows may take, indexes and all
_INSERT = "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Head(msgspec.Struct, frozen=True):
    """How far a journal is durable: its last event, and the identity of the journal.

    The identity is the hash of the first event. A copy that was told to go its own way
    (``journal_forked``) has the hash of that event instead.
    """

    identity: bytes
    seq: int
    hash: bytes
    at: int = 0


Snapshot = rows.Snapshot


# A text that was altered is put right.
_INSERT_CONFIG: Final = (
    "INSERT INTO config VALUES (?, ?) ON CONFLICT (digest)"
    " DO UPDATE SET content = excluded.content WHERE content IS NOT excluded.content"
)


class Journal:
    """An open journal with the right to append."""

    def __init__(
        self, path: str, connection: sqlite3.Connection, opened: contextlib.ExitStack, file: int
    ) -> None:
        self.path = path
        self._file = file  # the journal itself, as it was found
        self._db = connection
        self._opened = opened  # the locks
        self._reading: sqlite3.Connection | None = None
        self._reads = threading.Lock()  # held while ``_reading`` is used
        self._writes = threading.Lock()  # held while the files are being changed
        self._doubtful = False  # the connection may be of no use any more
        self._loss: OSError | None = None  # of a file, which was noticed and not told yet
        self._closed = False  # there is no connection, as it could not be made anew
        self._keeps_deploys = deploys.is_made(connection)
        with self._readable():
            self._anchor, head = ends(connection, path)
            row = connection.execute("SELECT at FROM event WHERE seq = ?", (head.seq,)).fetchone()
            named = identity_link(connection)
        self._guard = Guard(path)
        self.seq = head.seq
        self._hash = head.hash
        self._identity = None if named is None else named.hash
        self.last_at: int = row[0] if row and row[0].__class__ is int else 0
        self.made = False  # by opening it
        # Called after each append, in its thread, when the events are durable.
        self.when_durable: Callable[[Head], None] = lambda _: None

    @classmethod
    def open(cls, path: str) -> Self:
        """Open the journal for writing, creating it (0600) and its folder if need be.

        Raises JournalLocked, NotAJournal, NewerFormat, Damaged; each text says what to do.
        """
        given, path = path, os.path.realpath(path)
        opened, made = contextlib.ExitStack(), lost_log.is_missing(path)
        try:
            try:
                if os.path.islink(given) and not os.path.isdir(os.path.dirname(path)):
                    raise JournalError(
                        f"{given}: leads to {path}, and that directory is not there; mount its file"
                        " system, or make the directory"
                    )
                os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
                opened.callback(_let_go, _take_lock(path + ".lock"))
                if made:  # before there is a file
                    lost_log.secure(path)
                file = _take_file(path)
                opened.callback(_let_go, file)
                lost_log.secure(path)
            except (FileExistsError, NotADirectoryError):
                raise JournalError(f"{path}: its folder is a file; {GIVE_ANOTHER}") from None
            except OSError as error:
                raise JournalError(
                    f"{path}: cannot be opened: {error.strerror}; {advice(error)}"
                ) from None
            connection = _connect(path, file)
            try:
                journal = cls(path, connection, opened, file)
                journal.made = made
                return journal
            except OSError as error:
                close_unfolded(connection, path, file)
                raise JournalError(
                    f"{path}: cannot be opened: {error.strerror}; {advice(error)}"
                ) from None
            except BaseException:
                close_unfolded(connection, path, file)
                raise
        except BaseException:
            opened.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the journal; the WAL is folded into the file.

        While an append hangs, nothing is let go: another writer must not begin before it has ended,
        which is with this process at the latest.
        """
        if self._writes.locked():
            return
        if self._is_sound():
            self._disconnect()
        self._opened.close()

    def leave(self) -> None:
        """Let go of the journal with all files as they are: it is not gone on with.

        One that was made for nothing is removed.
        """
        if self._writes.locked():
            return
        unused = self.made and self.seq == 0 and not self._closed and self.in_place()
        self._disconnect(folded=False)
        for suffix in ("-shm", "-wal", "") if unused else ():
            with contextlib.suppress(OSError):
                os.unlink(self.path + suffix)
        self._opened.close()

    def _is_sound(self) -> bool:
        """Whether the log may be folded in: SQLite would copy what is there, cut or overwritten."""
        try:
            if not self._closed and (self._doubtful or not self._look()):
                self._guard.check_log()
        except OSError:
            return False
        return True

    def _disconnect(self, *, folded: bool = True) -> None:
        with self._reads:
            if self._reading is not None:
                self._reading.close()
                self._reading = None
        if not self._closed:
            if folded:
                self._db.close()
            else:
                close_unfolded(self._db, self.path, self._file)
            self._guard.close()
            self._closed = True

    # Which journal this is

    @property
    def head(self) -> Head | None:
        """Identity and last event; None where there was no event yet."""
        if self._identity is None:
            return None
        return Head(self._identity, self.seq, self._hash, self.last_at)

    def hash_of(self, seq: int) -> bytes | None:
        """The hash of an event. None if it is not in this file: not yet, or archived."""
        if seq == self._anchor.seq:
            return self._anchor.hash
        with self._readable():
            row = self._db.execute("SELECT hash FROM event WHERE seq = ?", (seq,)).fetchone()
        return None if row is None else bytes(row[0])

    def identity_event(self) -> Event | None:
        """The event whose hash is the journal's identity, if it is in this file."""
        with self._readable():
            row = self._db.execute(
                f"SELECT {COLUMNS} FROM event WHERE hash = ? AND seq ="
                " coalesce((SELECT seq FROM chain WHERE name = 'identity'), 1)",
                (self._identity,),
            ).fetchone()
        return None if row is None else decoded(self.path, row)

    @property
    def begin(self) -> int:
        """The number of the event before the first in this file: what is older was archived."""
        return self._anchor.seq

    def number_on(self, head: Head, snapshot: Snapshot, row: chain.Columns) -> None:
        """Let a journal without events follow the last event of one that was lost.

        It keeps that one's identity and chain, as a journal does whose events were archived.
        ``snapshot`` is the fleet with which it begins, ``row`` its first event. It raises
        JournalPaused.
        """
        assert self.seq == 0
        first = chain.link(head.hash, row)
        try:
            with self._transaction():
                self._set_link("anchor", head.seq, head.hash)
                self._set_link("head", row[0], first)
                self._set_link("identity", 1, head.identity)
                self._insert_snapshot(snapshot, head.hash)
                self._db.execute(_INSERT, (*row, first))
        except (sqlite3.DatabaseError, OSError) as error:
            raise JournalPaused(f"{self.path}: cannot be written: {error_text(error)}") from error
        self.seq, self._hash, self._identity = row[0], first, head.identity
        self._anchor, self.last_at = Link(head.seq, head.hash), row[1]

    # Reading what is needed to go on

    def snapshot(self, before: int | None = None) -> Snapshot | None:
        """The newest snapshot that is what was written, if there is one (before that event).

        Raises Damaged if there is none in a journal that does not begin with the first event:
        without it, what the fleet was there is not known.
        """
        upto = self.seq if before is None else before - 1
        with self._readable():
            stored = newest_snapshot(self._db, self.path, self._anchor.seq, upto)
        return None if stored is None else Snapshot(stored.seq, stored.fleet or b"")

    def tail(self, after: int) -> Iterator[Event]:
        """The events after ``after``, each checked against the chain; raises Damaged."""
        with self._readable():
            head = Link(self.seq, self._hash)
            for row in rows_after(self._db, self.path, self._anchor, head, after):
                yield decoded(self.path, row)

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        """Raise SQLite's errors about a broken file as Damaged."""
        try:
            yield
        except sqlite3.Error as error:
            raise of_sqlite(self.path, error) from None

    def time_of(self, seq: int) -> int:
        """The ``at`` of an event; 0 if it is not in this file any more."""
        with self._readable():
            row = self._read_one("SELECT at FROM event WHERE seq = ?", seq)
        return 0 if row is None else int(row[0])

    # Deploys

    @property
    def lacks_deploys(self) -> bool:
        """Whether what became of deploys is to be found out anew."""
        with self._readable():
            return self._keeps_deploys and not deploys.is_filled(self._db)

    @property
    def begins_after(self) -> int:
        """The event before the first one in this file."""
        return self._anchor.seq

    def fill_deploys(self, known: Sequence[deploys.Row]) -> None:
        """Store what became of all deploys. Raises JournalPaused."""
        try:
            with self._transaction():
                deploys.store(self._db, known)
        except sqlite3.DatabaseError as error:
            raise JournalPaused(f"{self.path}: cannot be written: {error_text(error)}") from error

    def unsettled_deploys(self) -> list[Any]:
        """Those of which more may be known some day, as the fields of a ``Deploy``, in order."""
        with self._readable():
            return deploys.unsettled(self._db) if self._keeps_deploys else []

    def config_text(self, digest: str) -> bytes | None:
        """The config text stored under its digest, None if it is not there, or is another.

        May be called while an append runs.
        """
        sql = "SELECT content FROM config WHERE digest = ?"
        try:
            row = self._read_one(sql, digest)
        except sqlite3.Error:
            return None
        content = b"" if row is None else as_bytes(row[0])
        return content if chain.digest(content) == digest else None

    def altered(self, digests: Iterable[str]) -> dict[str, Literal["changed", "gone"]]:
        """The config texts that are not there as they were recorded, by digest.

        Raises Damaged.
        """
        sql = "SELECT content FROM config WHERE digest = ?"
        found: dict[str, Literal["changed", "gone"]] = {}
        with self._readable():
            for digest in digests:
                row = self._db.execute(sql, (digest,)).fetchone()
                if row is None:
                    found[digest] = "gone"
                elif chain.digest(as_bytes(row[0])) != digest:
                    found[digest] = "changed"
        return found

    def _read_one(self, sql: str, key: object) -> Any:
        self.is_whole()  # before SQLite reads a -shm that was cut
        # Its own connection, as the writing one may be in a transaction in another thread.
        with self._reads:
            if self._reading is None:
                uri = f"file:{_quoted(self.path)}?mode=ro"
                self._reading = sqlite3.connect(uri, uri=True, check_same_thread=False)
            return self._reading.execute(sql, (key,)).fetchone()

    # Appending

    def append(
        self,
        rows: Sequence[chain.Columns],
        configs: Mapping[str, bytes] | None = None,
        snapshot: Snapshot | None = None,
        known: Sequence[deploys.Row] = (),
    ) -> None:
        """Append events, in order and numbered on from ``seq``; return when they are durable.

        Without rows this changes nothing, and says whether a few rows could be appended.
        ``configs`` are new texts by digest, ``known`` is what is new of deploys; both are stored
        in the same transaction. Raises JournalPaused if nothing could be written (disk full, I/O
        error, the file is gone): then nothing was, and the same call may be made again.
        """
        hashes = list(chain.links(self._hash, rows))
        seq, at, hash_ = (
            (rows[-1][0], rows[-1][1], hashes[-1]) if rows else (self.seq, self.last_at, self._hash)
        )
        identity = _renamed(rows, hashes)
        with self._writes:
            self._ready(room=not rows)
            try:
                with self._transaction():
                    if configs:
                        self._db.executemany(_INSERT_CONFIG, configs.items())
                    self._db.executemany(
                        _INSERT, [(*row, link) for row, link in zip(rows, hashes, strict=True)]
                    )
                    self._set_link("head", seq, hash_)
                    if identity is not None:
                        self._set_link("identity", *identity)
                    if self._keeps_deploys:
                        deploys.store(self._db, known)
                    if snapshot is not None:
                        self._insert_snapshot(snapshot, hashes[snapshot.seq - rows[0][0]])
            except sqlite3.ProgrammingError:
                raise  # a bug of ours
            except (sqlite3.DatabaseError, OSError) as error:
                # Whatever it is, full, read-only or malformed: vassals are better off running.
                raise self._paused(error) from error
            self._look()  # a loss meanwhile is the next append's
        self.seq, self.last_at, self._hash = seq, at, hash_
        if identity is not None:
            self._identity = identity[1]
        if rows and self._identity is not None:
            self.when_durable(Head(self._identity, self.seq, self._hash, self.last_at))

    def is_whole(self) -> bool:
        """Whether the journal's files are still those that SQLite has open.

        Where they are not, the next ``append`` says so, and the one after it saves what it can.
        """
        if not self._writes.acquire(blocking=False):
            return True  # an append looks at them itself
        try:
            return not self._doubtful and self._look()
        finally:
            self._writes.release()

    @property
    def linked(self) -> str | None:
        """Which of the journal's files have a second name; None where none has."""
        return self._guard.linked

    @property
    def opened(self) -> os.stat_result:
        """The file that was opened, whatever has its name by now."""
        return os.fstat(self._file)

    def in_place(self) -> bool:
        """Whether the names of its files still lead to those that were opened."""
        try:
            self._guard.check_main()
        except OSError:
            return False
        return not self._guard.astray

    def troubles(self) -> dict[str, str]:
        """About the files beside the journal, for an operator: of which kind, and what to do."""
        logs = lost_log.beside(self.path)
        found = {"linked": self.linked, "lost log": lost_log.advice(logs) if logs else None}
        return {what: reason for what, reason in found.items() if reason is not None}

    def _look(self) -> bool:
        try:
            self._guard.check()
        except OSError as error:
            self._doubtful, self._loss = True, error
            return False
        return True

    def _ready(self, *, room: bool) -> None:
        """Have a connection that can be written through. Raises JournalPaused."""
        try:
            if self._loss is not None:
                loss, self._loss = self._loss, None
                raise loss
            if self._doubtful:
                self._open_anew()
            self._guard.check()
            if room:
                self._check_room()
        except (sqlite3.Error, OSError, JournalError) as error:
            raise self._paused(error) from error

    def _paused(self, error: Exception) -> JournalPaused:
        # After a full disk, another connection does not help; only room does.
        full = getattr(error, "sqlite_errorname", None) == "SQLITE_FULL" or (
            isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        )
        self._doubtful = self._doubtful or not full
        if isinstance(error, JournalError):
            return JournalPaused(str(error))
        return JournalPaused(f"{self.path}: cannot be written: {error_text(error)}")

    def _open_anew(self) -> None:
        """Save what only the connection has, and make another one.

        A file that was opened read-only stays so (a ``-wal`` with ``chattr +i``), whatever becomes
        of the file. Raises JournalError, OSError, sqlite3.Error.
        """
        if not self._closed:
            self._guard.check_main()
            self._guard.check_log()
            if self._guard.astray:
                self._save()
            self._disconnect()
        connection = _connect(self.path, self._file)
        try:
            _, head = ends(connection, self.path)
            self._take_back(connection, head.seq)
            guard = Guard(self.path)
        except BaseException:
            close_unfolded(connection, self.path, self._file)
            raise
        self._db, self._guard = connection, guard
        self._closed = self._doubtful = False

    def _save(self) -> None:
        """Copy all events into the journal itself, as its ``-wal`` or ``-shm`` has no name."""
        busy, frames, copied = self._db.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
        if busy or frames != copied:
            raise OSError("the -wal file is lost, and another program reads the journal")
        self._guard.set_aside()

    def _take_back(self, connection: sqlite3.Connection, last: int) -> None:
        """Make the journal end with the last event that was durable. Raises OSError.

        An append that failed may have left its events in the log.
        """
        row = connection.execute("SELECT hash FROM event WHERE seq = ?", (self.seq,)).fetchone()
        known = self._hash if self.seq == self._anchor.seq else None if row is None else row[0]
        if last < self.seq or known != self._hash:
            raise OSError(
                f"event {self.seq} was durable and is not there; when this daemon is killed (kill"
                " -9), the next one waits for 'emperor-ctl adopt' or 'restore'"
            )
        if last == self.seq:
            return
        connection.execute("BEGIN IMMEDIATE")
        for table in ("event", "snapshot"):
            connection.execute(f"DELETE FROM {table} WHERE seq > ?", (self.seq,))
        sql = "INSERT OR REPLACE INTO chain VALUES ('head', ?, ?)"
        connection.execute(sql, (self.seq, self._hash))
        connection.execute("COMMIT")

    def _set_link(self, name: str, seq: int, hash_: bytes) -> None:
        self._db.execute("INSERT OR REPLACE INTO chain VALUES (?, ?, ?)", (name, seq, hash_))

    def _insert_snapshot(self, snapshot: Snapshot, hash_: bytes) -> None:
        packed = zlib.compress(snapshot.fleet, 1)
        self._db.execute(
            "INSERT OR REPLACE INTO snapshot VALUES (?, ?, ?, ?)",
            (snapshot.seq, hash_, packed, chain.digest(packed)),
        )

    def _check_room(self) -> None:
        # SQLite may have room left in its log for what changes nothing, and for nothing else.
        try:
            file = os.open(os.path.dirname(self.path), os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.EISDIR):
                return  # this file system has no files without a name
            raise
        try:
            os.posix_fallocate(file, 0, _ROOM)
        finally:
            os.close(file)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                with contextlib.suppress(sqlite3.OperationalError):
                    self._db.execute("ROLLBACK")
            raise


def _renamed(rows: Sequence[chain.Columns], hashes: Sequence[bytes]) -> tuple[int, bytes] | None:
    """The event among these whose hash is the journal's identity from then on."""
    for row, hash_ in zip(reversed(rows), reversed(hashes), strict=True):
        if row[0] == 1 or row[2] == FORKED:
            return row[0], hash_
    return None


def _take_lock(path: str) -> int:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock_exclusively(lock, path)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    except BaseException:
        os.close(lock)
        raise
    return lock


def _lock_exclusively(lock: int, path: str) -> None:
    until = time.monotonic() + _LAST_CHILD
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        if time.monotonic() > until or not _has_died(owner):
            raise JournalLocked(
                f"{path.removesuffix('.lock')}: in use by a running emperor (pid {owner}); "
                "stop that one, or give this one another --journal"
            )
        time.sleep(0.01)


def _let_go(lock: int) -> None:
    with contextlib.suppress(OSError):  # close(2) may say what writing it had to say
        os.close(lock)


def _take_file(path: str) -> int:
    """Lock the journal itself, whatever it is called, making it if there is none."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise NotAJournal(f"{path}: not a regular file; {NOT_OURS}")
        start = os.pread(file, len(schema.MAGIC), 0)
        if start and start != schema.MAGIC:
            raise NotAJournal(f"{path}: not an SQLite database; {NOT_OURS}")
        _lock_file(path, file)
        # SQLite keeps a log beside the name that it was given, and finds only that one.
        if (names := os.fstat(file).st_nlink) > 1:
            raise JournalError(
                f"{path}: the file has {names} names (hard links), and events may be in a -wal file"
                " beside each of them; remove all but the one that was in use"
            )
    except BaseException:
        os.close(file)
        raise
    return file


def _lock_file(path: str, file: int) -> None:
    until = time.monotonic() + _SAME_CHILD
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise JournalLocked(
                    f"{path}: in use by a running emperor, to which it has another name;"
                    " stop that one, or give this one another --journal"
                ) from None
        time.sleep(0.01)


def _connect(path: str, file: int) -> sqlite3.Connection:
    fresh = os.path.getsize(path) == 0
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except sqlite3.OperationalError as error:
        raise _cannot_be_opened(path, error) from None
    try:
        if fresh:
            connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute("PRAGMA busy_timeout = 5000")
        schema.check_ours(connection, path)
        schema.check_whole(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {64 << 20}")
        with _without("numpy", "pandas"):
            schema.migrate(connection)
        return connection
    except sqlite3.OperationalError as error:
        close_unfolded(connection, path, file)
        if isinstance(reason := of_sqlite(path, error), Damaged):
            raise reason from None
        raise _cannot_be_opened(path, error) from None
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        close_unfolded(connection, path, file)
        raise Damaged(
            f"{path}: {error_text(error)}; restore it from a copy, or start a new journal"
        ) from None
    except BaseException:
        close_unfolded(connection, path, file)
        raise


def _cannot_be_opened(path: str, error: sqlite3.OperationalError) -> JournalError:
    return JournalError(f"{path}: cannot be opened: {error_text(error)}; {advice(error)}")


def _has_died(owner: str) -> bool:
    """Whether it is only a child on its way to exec that still holds a dead daemon's lock."""
    if not owner.isdigit():
        return False
    try:
        with open(f"/proc/{owner}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


@contextlib.contextmanager
def _without(*modules: str) -> Iterator[None]:
    """Let these count as not installed if they are not imported yet.

    sqlite-utils imports them where it can. That would cost a daemon that makes its journal
    16 MB for as long as it runs, for nothing.
    """
    hidden = [name for name in modules if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _quoted(path: str) -> str:
    from urllib.parse import quote

    return quote(path)

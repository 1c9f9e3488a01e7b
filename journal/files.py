"""Opening a journal for reading without leaving a trace.

SQLite's ``mode=ro`` is not enough. On a database in WAL mode it makes the files ``-wal`` and
``-shm`` where there are none, and it writes to an existing ``-shm``. So the way to open a journal
depends on the files beside it:

==================  ============================================================================
``-wal``, ``-shm``  ``mode=ro&readonly_shm=1``. If a daemon is at work, its wal-index is read;
                    if those are what a dead one left, SQLite makes an index in memory.
``-wal`` alone      the journal is copied, log and all, into a private temporary directory: SQLite
                    cannot read a log without an index, nor keep the index elsewhere.
``-journal``        same: an unfinished transaction of another program must be rolled back first.
neither             ``immutable=1``: no process has it open in WAL mode, and no lock can be taken
                    without making files. If a daemon starts while we read, ``disturbed`` says so.
==================  ============================================================================

POSIX locks have a trap: closing *any* descriptor of a file drops all locks that the process has
on it. So nothing here opens a file by itself that SQLite has open in this process, unless it
keeps it open for good.
"""

import contextlib
import fcntl
import os
import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Iterator
from typing import BinaryIO, Final, Literal
from urllib.parse import quote

import msgspec

from .errors import GIVE_THE_RIGHT_ONE, JournalError, NotAJournal
from .schema import MAGIC

Access = Literal["shared", "immutable", "copied", "plain"]

# From SQLite's os_unix.c: each process that has a wal-index open keeps a lock on this byte of it.
_SHM_IN_USE: Final = 128
_FLOCK: Final = "hhqqi4x"  # struct flock
_WAL_INDEX: Final = 48  # bytes of the first copy of the wal-index header

_LOOKS: Final = 5  # at the files, where a daemon changes them meanwhile
_SMALLEST: Final = 512  # bytes; SQLite's smallest page

_kept: list[int] = []


class WalIndex(msgspec.Struct, frozen=True):
    """The ``-shm`` file's header: the state of the log that it belongs to."""

    salts: tuple[int, int]
    committed: int  # frames
    live: bool  # a process has it open


class Files:
    """A journal's files, and the way they can be read."""

    def __init__(self, path: str) -> None:
        """Raises JournalError, NotAJournal."""
        self.path = path
        self.archives: tuple[str, ...] = ()  # that are read with it, see joined.py
        self.flaws: list[tuple[str, int | None]] = []  # found when they were joined
        self.real = os.path.realpath(path)
        with _reasons(path):
            _check_regular(path, self.real)
            self.look()
            if not self.live:  # else it is a database, and in use
                _check_magic(path, self.real)

    def look(self) -> None:
        """See which files there are. A daemon that ends takes its log and its index away."""
        for looks_left in reversed(range(_LOOKS)):
            shm, wal = self._size("-shm"), self._size("-wal")
            self.index: WalIndex | None = None
            try:
                if shm is not None and wal is not None:
                    self.index = wal_index(self.real + "-shm")
                self.live = self.index is not None and self.index.live
                self.access: Access = self._access(shm, wal)
                return
            except FileNotFoundError:
                if not looks_left:
                    raise

    def _access(self, shm: int | None, wal: int | None) -> Access:
        if self._size("-journal"):
            return "copied"
        if shm is not None and wal is not None:
            return "shared"
        if wal:
            return "copied"
        return "immutable" if _is_wal_mode(self.real) else "plain"

    def _size(self, suffix: str) -> int | None:
        try:
            return os.stat(self.real + suffix).st_size
        except FileNotFoundError:
            return None

    @contextlib.contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection that cannot write. Raises JournalError."""
        with contextlib.ExitStack() as stack:
            with _reasons(self.path):
                connection = self._opened(stack)
            connection.execute("PRAGMA query_only = 1")
            connection.execute("PRAGMA busy_timeout = 5000")
            yield connection

    def _opened(self, stack: contextlib.ExitStack) -> sqlite3.Connection:
        """A connection by the files as they are now: a daemon may have ended since the last look.

        Without a second look, a command that runs while the daemon is replaced would fail. The
        last try leaves an error of SQLite to the caller's first query, which tells it in words.
        """
        for tries_left in reversed(range(_LOOKS)):
            try:
                uri = self._uri(stack)
                connection = sqlite3.connect(uri, uri=True, isolation_level=None)
            except (FileNotFoundError, sqlite3.OperationalError):
                if not tries_left:
                    raise
            else:
                if not tries_left or self._opens(connection):
                    stack.callback(connection.close)
                    return connection
                connection.close()
            self.look()
        raise AssertionError(_LOOKS)

    @staticmethod
    def _opens(connection: sqlite3.Connection) -> bool:
        """Whether SQLite finds the log and the index that it was told to use."""
        try:
            connection.execute("PRAGMA schema_version")
        except sqlite3.Error as error:
            return getattr(error, "sqlite_errorname", "") != "SQLITE_CANTOPEN"
        return True

    @contextlib.contextmanager
    def attached(self, connection: sqlite3.Connection, name: str) -> Iterator[None]:
        """Have the journal in a connection to another database, as ``name``. Raises JournalError.

        It cannot be written through there.
        """
        with contextlib.ExitStack() as stack:
            with _reasons(self.path):
                connection.execute(f"ATTACH ? AS {name}", (self._uri(stack),))
            try:
                yield
            finally:
                connection.execute(f"DETACH {name}")

    def _uri(self, stack: contextlib.ExitStack) -> str:
        if self.access == "copied":
            return f"file:{quote(self._copy(stack))}"
        how = {
            "shared": "mode=ro&readonly_shm=1",
            "immutable": "mode=ro&immutable=1",
            "plain": "mode=ro",
        }
        return f"file:{quote(self.real)}?{how[self.access]}"

    def _copy(self, stack: contextlib.ExitStack) -> str:
        """Where a copy of the journal and its log is, until the stack is closed."""
        try:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="emperor-replay-"))
            for suffix in ("-journal", "-wal", ""):
                if self._size(suffix) is not None:
                    shutil.copyfile(self.real + suffix, os.path.join(folder, "journal" + suffix))
        except OSError as error:
            if isinstance(error, PermissionError | FileNotFoundError) and error.filename:
                raise  # the journal's own
            size = sum(self._size(suffix) or 0 for suffix in ("-journal", "-wal", ""))
            raise JournalError(
                f"{self.path}: its log can be read in a copy only, which takes {size} bytes in a"
                f" temporary directory: {error.strerror}; set TMPDIR to one that has room"
            ) from None
        return os.path.join(folder, "journal")

    @contextlib.contextmanager
    def log(self) -> Iterator[BinaryIO | None]:
        """The write-ahead log, if there is one. SQLite takes no locks on that file."""
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(open(self.real + "-wal", "rb"))
            except FileNotFoundError:
                yield None
            else:
                yield file

    def disturbed(self) -> bool:
        """Whether a daemon began to write while we read a file that we took for still.

        A killed daemon leaves its log and its index behind. The next one begins both anew.
        """
        if self.access in ("immutable", "copied"):
            return self._size("-shm") is not None
        if self.access != "shared" or self.live:
            return False
        try:
            return wal_index(self.real + "-shm") != self.index
        except OSError:  # it has ended again
            return True


@contextlib.contextmanager
def _reasons(path: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise JournalError(f"{path}: there is no such file{GIVE_THE_RIGHT_ONE}") from None
    except NotADirectoryError:
        raise JournalError(f"{path}: its folder is a file{GIVE_THE_RIGHT_ONE}") from None
    except PermissionError:
        raise JournalError(
            f"{path}: may not be read by this user; journals are private: read it as its owner"
            " or as root"
        ) from None
    except OSError as error:
        raise JournalError(f"{path}: cannot be read: {error.strerror}") from None


def _check_regular(path: str, real: str) -> None:
    status = os.stat(real)
    if os.path.isdir(real):
        raise NotAJournal(f"{path}: a directory, not a journal; give the file in it")
    if not os.path.isfile(real):
        raise NotAJournal(f"{path}: not a regular file, so not a journal{GIVE_THE_RIGHT_ONE}")
    if status.st_size == 0:
        raise NotAJournal(f"{path}: empty; no daemon ever wrote to it{GIVE_THE_RIGHT_ONE}")
    if status.st_size < _SMALLEST:
        raise NotAJournal(
            f"{path}: not an SQLite database, or cut within its header: {status.st_size} bytes"
            f"{GIVE_THE_RIGHT_ONE}"
        )


def _check_magic(path: str, real: str) -> None:
    with open(real, "rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise NotAJournal(
                f"{path}: not an SQLite database, so not a journal{GIVE_THE_RIGHT_ONE}"
            )


def _is_wal_mode(real: str) -> bool:
    # Bytes 18 and 19 of the header: 2 for WAL, 1 for a rollback journal.
    with open(real, "rb") as file:
        file.seek(18)
        return file.read(2) != b"\x01\x01"


def wal_index(shm: str) -> WalIndex | None:
    """The wal-index header, and whether any process, this one included, has it open."""
    descriptor = os.open(shm, os.O_RDONLY | os.O_CLOEXEC)
    holder = 0
    try:
        # The lock is asked for as an open file description's, so that our own process's locks
        # are seen too; nothing is locked by asking.
        ask = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, _SHM_IN_USE, 1, 0)
        kind, _, _, _, holder = struct.unpack(
            _FLOCK, fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, ask)
        )
        live = kind != fcntl.F_UNLCK
        return _parse_index(os.pread(descriptor, 2 * _WAL_INDEX, 0), live)
    finally:
        if holder == os.getpid():
            _kept.append(descriptor)  # closing it would drop the locks of that connection
        else:
            os.close(descriptor)


def _parse_index(header: bytes, live: bool) -> WalIndex | None:
    # Struct WalIndexHdr of wal.c, in the machine's byte order; two copies that must agree.
    if len(header) < 2 * _WAL_INDEX or header[:_WAL_INDEX] != header[_WAL_INDEX:]:
        return WalIndex((0, 0), 0, live) if live else None
    (committed,) = struct.unpack_from("=I", header, 16)
    salts = struct.unpack_from(">2I", header, 32)
    return WalIndex((salts[0], salts[1]), committed, live)

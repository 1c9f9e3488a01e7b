"""The three files of an open journal: each has to stay the one that SQLite has open.

SQLite opens a file once and looks at its name no more. A ``-wal`` that was deleted is written on
without a name, and all events in it are gone when the daemon dies (sqlite.org/howtocorrupt.html,
section 4.4). So the files are looked at before and after each append, and every second:

| file | lost when |
|---|---|
| journal | its name is gone or is another file's; the file has become shorter, and neither |
| | the daemon nor ``VACUUM`` by another program gave empty pages back to the disk |
| ``-wal`` | the same; or it is shorter than the frames that were committed to it |
| ``-shm`` | its name is gone or is another file's; other programs would see no locks |
| | it has become shorter, which it never does while it is open |

SQLite has the ``-shm`` in its memory, so a process that reads behind the cut dies of SIGBUS. The
guard makes it as long as it was, without a valid header: SQLite makes the index anew then, from the
log.

The number of committed frames stands in the ``-shm``. So a checkpoint by another program, which
may cut the ``-wal`` to nothing, is not taken for a loss. It is read by a descriptor that stays
open: a process that closes any descriptor of that file loses SQLite's locks of it.
"""

import contextlib
import os
import struct
import time
from typing import Final

from . import wal

_INDEX: Final = 100  # bytes: the wal-index header, twice, and how much was copied
_FIRST: Final = 48  # bytes of one copy
_FRAME: Final = wal.FRAME_HEADER_SIZE
_LOOKS: Final = 20  # at a log that another program begins anew


class FileLost(OSError):
    """One of the files is not the one that SQLite has open."""


class FileShorter(FileLost):
    """The journal has become shorter. It is whole if SQLite made it so."""


class Guard:
    """Looks after the files of the journal at ``path``, which SQLite has open."""

    def __init__(self, path: str) -> None:
        """Raises OSError."""
        self._path = path
        self._main = os.stat(path)
        self._least: int | None = None  # bytes to which SQLite may cut the journal
        self._files: dict[str, int] = {}
        self._index_size = 0
        self._index_cut = False  # once; then its header may not fit the log
        self._known: tuple[int, int, int] | None = None  # its header as it was read last
        try:
            for suffix in ("-wal", "-shm"):
                self._files[suffix] = _opened(path + suffix, writable=suffix == "-shm")
            self._index_size = os.fstat(self._files["-shm"]).st_size
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go. Call it when SQLite has closed the files, not before."""
        for file in self._files.values():
            with contextlib.suppress(OSError):  # nothing was written to it, and it is closed now
                os.close(file)
        self._files.clear()

    def check(self) -> None:
        """Raise FileLost, OSError if something is lost."""
        self._keep_index()  # first, as SQLite may read it whatever else is lost
        self.check_main()
        for suffix in self._files:
            self._check_name(suffix)
        if self._index_cut:
            raise FileLost("the -shm file was cut")
        if not self._holds_log():
            raise FileLost("the -wal file was cut; events in it are lost")

    @property
    def linked(self) -> str | None:
        """Which of the files have a second name, and what to do; None where none has.

        That alone harms nothing. A program that opens the journal by it has another log.
        """
        found = []
        with contextlib.suppress(OSError):  # of a file that is lost, ``check`` tells
            if os.stat(self._path).st_nlink > 1:
                found.append(self._path)
            found += [
                self._path + suffix
                for suffix, file in tuple(self._files.items())
                if os.fstat(file).st_nlink > 1
            ]
        if not found:
            return None
        text = f"{', '.join(found)}: another name (hard link) leads there; remove it"
        if found[0] == self._path:
            text += ", as the next daemon does not go on with such a journal"
        return text

    def check_main(self) -> None:
        """Raise FileLost if the journal itself is not the one that SQLite has open."""
        try:
            now = os.stat(self._path)
        except FileNotFoundError:
            raise FileLost("the file is gone; put it back where it was") from None
        if not os.path.samestat(now, self._main):
            raise FileLost("the file was replaced by another; put the journal back")
        if now.st_size < self._main.st_size:
            if self._least is None or now.st_size < self._least:
                raise FileShorter("the file was cut; events in it may be lost")
            self._least = None  # that was SQLite
        self._main = now

    def is_shorter(self) -> bool:
        """Whether the journal has become shorter, and that was not expected."""
        try:
            self.check_main()
        except FileShorter:
            return True
        except OSError:
            return False  # of another loss, ``check`` tells
        return False

    def take_size(self, pages: int) -> bool:
        """Take the size that the journal has for the right one, if no page of it is lost.

        ``pages`` is how many it has by a look of SQLite. Those behind the end of the file have to
        be in the log, in frames that are still to be copied. Raises OSError.
        """
        index = self._index()  # before the size: copying makes the file longer
        now = os.stat(self._path)
        if index is None or not os.path.samestat(now, self._main):
            return False
        committed, copied, page = index
        lacking = range(now.st_size // page + 1, pages + 1)
        if len(lacking) > committed - copied or not set(lacking) <= self._logged(*index):
            return False
        self._main, self._least = now, None
        return True

    def _logged(self, committed: int, copied: int, page: int) -> set[int]:
        """The pages in the log that are still to be copied into the journal."""
        begin, step, log = wal.HEADER_SIZE, _FRAME + page, self._files["-wal"]
        numbers = (os.pread(log, 4, begin + frame * step) for frame in range(copied, committed))
        return {int.from_bytes(number) for number in numbers}

    def may_shrink(self, size: int) -> None:
        """Expect the journal to become shorter once, when the log is folded in."""
        if size < self._main.st_size:
            self._least = size

    @property
    def files_replaced(self) -> bool:
        """Whether the ``-wal`` or ``-shm`` that SQLite has open is no longer found by its name."""
        try:
            for suffix in self._files:
                self._check_name(suffix)
        except OSError:
            return True
        return False

    def check_log(self) -> None:
        """Raise FileLost if the ``-wal`` that SQLite has open lacks what was committed to it.

        A checkpoint would copy other bytes into the journal, because SQLite checks no checksums
        then. Frames that a checkpoint copied before are not missed. Another program may begin the
        log anew during the look. It writes the index before, so the look counts only if the index
        has stayed the same.
        """
        for _ in range(_LOOKS):
            header = self._header()
            index = self._known if self._index_cut else _read(header)
            if index is not None and self._has_frames(*index):
                return
            if self._index_cut or self._header() == header:
                if index is None:
                    return
                raise FileLost("the -wal file was cut or written to; events in it are lost")
        raise OSError("another program writes to the journal without a pause")

    def _has_frames(self, committed: int, copied: int, _: int) -> bool:
        """Whether the log has what was committed to it, but for frames that were copied."""
        if committed <= copied:
            return True
        with open(os.dup(self._files["-wal"]), "rb") as log:
            log.seek(0)
            walked = wal.walk(log, proven=committed, only_proven=True)
        return walked.committed >= committed

    def set_aside(self) -> None:
        """Rename a ``-wal`` that is not ours: SQLite would take it for the journal's.

        Raises OSError.
        """
        name = self._path + "-wal"
        with contextlib.suppress(FileNotFoundError):
            if not os.path.samestat(os.stat(name), os.fstat(self._files["-wal"])):
                os.rename(name, f"{name}.replaced-{time.time_ns()}")

    def _check_name(self, suffix: str) -> None:
        what = f"the {suffix} file"
        try:
            now = os.stat(self._path + suffix)
        except FileNotFoundError:
            raise FileLost(f"{what} is gone") from None
        if not os.path.samestat(now, os.fstat(self._files[suffix])):
            raise FileLost(f"{what} was replaced by another")

    def _keep_index(self) -> None:
        """Give a ``-shm`` that was cut its length again, and have SQLite make it anew."""
        index = self._files["-shm"]
        size = os.fstat(index).st_size
        if size < self._index_size:
            self._index_cut = True
            os.pwrite(index, bytes(2 * _FIRST), 0)
            with contextlib.suppress(OSError):  # on a full disk
                os.posix_fallocate(index, 0, self._index_size)
            os.ftruncate(index, self._index_size)
        self._index_size = max(size, self._index_size)

    def _holds_log(self) -> bool:
        index = self._index()
        if index is None:
            return True
        self._known = index
        committed, _, page = index
        size = os.fstat(self._files["-wal"]).st_size
        if committed == 0 or size >= wal.HEADER_SIZE + committed * (_FRAME + page):
            return True
        return self._index() != index  # another program has begun it anew meanwhile

    def _index(self) -> tuple[int, int, int] | None:
        """Frames that were committed, those copied into the journal, and the size of a page."""
        return _read(self._header())

    def _header(self) -> bytes:
        return os.pread(self._files["-shm"], _INDEX, 0)


def _read(header: bytes) -> tuple[int, int, int] | None:
    """The numbers in the header of an index, as ``Guard._index`` has them."""
    # Struct WalIndexHdr and WalCkptInfo of SQLite's wal.c, in the machine's byte order.
    if len(header) < _INDEX or header[:_FIRST] != header[_FIRST : 2 * _FIRST]:
        return None  # being written
    page, committed = struct.unpack_from("=HI", header, 14)
    (copied,) = struct.unpack_from("=I", header, 2 * _FIRST)
    return committed, copied, 65536 if page == 1 else page


def _opened(path: str, *, writable: bool) -> int:
    if writable:
        with contextlib.suppress(OSError):  # immutable, or read-only
            return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

"""The journal's own files, which no part of the daemon may open by a name that others choose.

SQLite has POSIX locks (fcntl(2)) on the journal and its ``-shm``. A process loses all of its locks
on a file when it closes any descriptor of that file, whatever the name was. Then another program
that closes the journal takes itself for the last one. It deletes the log on which the daemon goes
on writing (sqlite.org/howtocorrupt.html, section 2.2).

A symlink or a hard link among configs, or another file that an option names, may lead to such a
file. So files are compared by device and inode before they are opened. A descriptor that is opened
with O_PATH may be closed, because the kernel ends no locks then.

SQLite has a file of the journal open also after that was moved away. So each path is remembered
with the file that was there last. Where another file takes its place, that one counts.
"""

import contextlib
import errno
import os
from typing import Final, NamedTuple, Self

_SUFFIXES: Final = ("", "-wal", "-shm")
_REASON: Final = (
    "it is a file of the daemon's own journal, which nothing else may open in the daemon; remove"
    " the link, or keep the journal in a directory of its own"
)

Ids = frozenset[tuple[int, int]]
"""Files by device and inode."""

# The file that was last at a path, for all that ask for the same journal.
_last_seen: dict[str, tuple[int, int]] = {}


class LockedFile(OSError):
    """The path leads to a file of the journal."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(errno.EBUSY, _REASON, path)


class LockedFiles(NamedTuple):
    """The files of one journal."""

    paths: tuple[str, ...] = ()

    @classmethod
    def of(cls, journal: str) -> Self:
        """Those of the journal at a path, which may be a symlink."""
        real = os.path.realpath(journal)
        return cls(tuple(real + suffix for suffix in _SUFFIXES))

    def ids(self) -> Ids:
        """Which files they are now, or were last. To be asked with the daemon's own rights."""
        for path in self.paths:
            with contextlib.suppress(OSError):
                status = os.stat(path)
                _last_seen[path] = status.st_dev, status.st_ino
        return frozenset(_last_seen[path] for path in self.paths if path in _last_seen)

    def open(self, path: str | os.PathLike[str], flags: int, mode: int = 0o777) -> int:
        """As os.open(), of a file that is none of these. Raises LockedFile, OSError."""
        own = self.ids()
        try:
            refuse(os.stat(path, follow_symlinks=not flags & os.O_NOFOLLOW), own, path)
        except LockedFile:
            raise
        except OSError:
            pass  # open(2) has the same error, or makes the file
        descriptor = os.open(path, flags, mode)
        # The file was exchanged since. The descriptor stays open, because its end ends the locks.
        refuse(os.fstat(descriptor), own, path)
        return descriptor


NO_JOURNAL: Final = LockedFiles()
"""For a path that can lead to no journal that this process has open."""


def refuse(status: os.stat_result, own: Ids, path: str | os.PathLike[str]) -> None:
    """Raise LockedFile if the file that has this status is one of these."""
    if (status.st_dev, status.st_ino) in own:
        raise LockedFile(path)

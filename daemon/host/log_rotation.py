"""How a log is cut: its end is copied away, and the log truncated.

The vassal has its log open for append, and goes on at the new end. So there is no pipe between them
that could break, and no signal that the vassal must understand. Lines that it writes between the
copy and the cut are lost. The older parts are ``NAME.log.1`` and so on (``older_parts.py``).

A log shrinks even if its end cannot be copied, as on a full disk. Then the daemon reads the end
first, cuts the log, and writes the end to the room that this made.
"""

import contextlib
import errno
import os
import re
import stat
import threading
from collections.abc import Callable
from typing import BinaryIO, Final

from ...journal.locked_files import LockedFiles, refuse
from . import older_parts
from .log_cuts import LogCuts
from .older_parts import PATIENT, UNHELD, LinesLost, keep_end, keep_read, read_end

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class LogRotation:
    """Cuts logs at the size ``limit``, in bytes. Of what is cut away, ``keep`` older parts stay.

    No log is one of the ``locked`` files.
    """

    def __init__(self, limit: int, keep: int, locked: LockedFiles) -> None:
        self.cuts = LogCuts(locked)
        self._limit = limit
        self._keep = keep
        self._locked = locked
        self._one_by_one = threading.Lock()  # a start begins a log, and a look cuts others

    def bound(self, path: str, flags: int = UNHELD) -> bool:
        """Cut a log if it is over the limit; True if it was.

        Raises OSError: BlockingIOError if its owner has a lease on it, unless ``flags`` are
        ``PATIENT``. With those it waits for the end of the lease, 45 s at most. LinesLost if it was
        cut, and less was kept than should be.
        """
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return False
        if not older_parts.is_over(status, self._limit):
            return False
        opened = self._locked.open(path, flags | os.O_RDWR | os.O_APPEND)
        with open(opened, "rb+") as log, self._one_by_one:
            status = os.fstat(log.fileno())
            if not (_is_at(status, path) and older_parts.is_over(status, self._limit)):
                return False
            self._cut(log, path, status.st_size)
        return True

    def _cut(self, log: BinaryIO, path: str, size: int) -> None:
        """Truncate a log whose end is kept, if there is any way to keep it. Raises as ``bound``."""
        wanted = min(size, 2 * self._limit) if self._keep else 0
        end, part, failed = b"", None, None
        try:
            self._keep_part(log, path, size)
            part = f"{path}.1" if self._keep else None
        except OSError as error:
            end, failed = read_end(log, size, wanted), error
        finally:
            # On a full disk above all, the log must shrink.
            self.cuts.truncate(log, part)
        if failed is None:
            return
        kept = self._keep_read(log, path, end) if end else 0
        if not wanted:
            raise failed
        if kept < wanted:
            raise LinesLost(path, failed, size - kept) from failed

    def _keep_read(self, log: BinaryIO, path: str, end: bytes) -> int:
        """Have an end that was read as the newest part; how many bytes of it are kept.

        If there can be no part, as much as fits goes back to the log. It then follows the lines
        that the vassal has written since the cut.
        """
        new = f"{path}.1.new"
        try:
            keep_read(log, new, end)
            self._move_up(path)
            os.rename(new, f"{path}.1")
            self.cuts.kept(log, f"{path}.1")
            return len(end)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(new)
            try:
                return self.cuts.put_back(log, end[-(self._limit // 2) :])
            except OSError:
                return 0

    def _keep_part(self, log: BinaryIO, path: str, size: int) -> None:
        """Have the log's end as the newest part; the others move up.

        A part takes its name when it is whole, so a reader never sees the half of one.
        """
        if not self._keep:
            self._move_up(path)
            return
        new = f"{path}.1.new"
        try:
            try:
                keep_end(log, new, size, 2 * self._limit)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                with contextlib.suppress(OSError):  # the oldest part gives its room
                    os.unlink(f"{path}.{self._keep}")
                keep_end(log, new, size, 2 * self._limit)
            self._move_up(path)
            os.rename(new, f"{path}.1")
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(new)
            raise

    def _move_up(self, path: str) -> None:
        """Renumber the older parts, so that ``.1`` can be replaced; remove those too many."""
        directory, name = os.path.split(path)
        part = re.compile(re.escape(name) + r"\.([1-9][0-9]{0,2}|1000)")  # a longer one is a date
        found = map(part.fullmatch, os.listdir(directory))
        numbers = [int(each[1]) for each in found if each is not None]
        for number in sorted(numbers, reverse=True):
            older = f"{path}.{number}"
            with contextlib.suppress(FileNotFoundError):
                if number < self._keep:
                    os.rename(older, f"{path}.{number + 1}")
                elif number > 1 or not self._keep:
                    os.unlink(older)

    def set_aside(self, path: str, owner: tuple[int, int] | None) -> None:
        """Begin a new log if this one is another user's, who may have it open still.

        ``owner`` is the user and the group of the new log, None for the daemon's user. The group of
        the daemon's own logs is not compared. A directory with the set-gid bit gives its own, and
        an operator may have chosen one. Raises LockedFile, OSError.
        """
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            return
        if owner is None:
            same = status.st_uid == os.geteuid()
        else:
            same = (status.st_uid, status.st_gid) == owner
        if same or not stat.S_ISREG(status.st_mode):
            return
        refuse(status, self._locked.ids(), path)
        with self._one_by_one:
            self._set_aside(path, status.st_size)

    def replace(self, path: str, flags: int = UNHELD) -> None:
        """Put a copy of the end of an older part in its place. Raises OSError, as ``bound``."""
        with open(self._locked.open(path, flags | os.O_RDWR), "rb+") as part, self._one_by_one:
            if _is_at(os.fstat(part.fileno()), path):
                older_parts.replace(part, path, 2 * self._limit)

    def bound_others(self, directory: str) -> tuple[dict[str, int], OSError | None]:
        """Cut logs and replace older parts of other users, as ``LogDirectory`` has it."""
        held: dict[str, int] = {}
        failed: OSError | None = None
        try:
            logs, parts = older_parts.of_others(directory, self._limit)
        except FileNotFoundError:  # the directory was removed; the next start makes it anew
            return held, None
        steps: list[tuple[Callable[[str], object], str]] = [
            *((self.bound, path) for path in logs),
            *((self.replace, path) for path in parts),
        ]
        for step, path in steps:
            try:
                with contextlib.suppress(FileNotFoundError):
                    step(path)
            except BlockingIOError:
                with contextlib.suppress(FileNotFoundError):
                    held[path] = os.lstat(path).st_uid
            except OSError as error:
                if not isinstance(failed, LinesLost):  # the other errors are met again
                    failed = error
        return held, failed

    def bound_held(self, path: str) -> None:
        """Cut a log or replace a part on which its owner may have a lease, once that has ended.

        Raises OSError. Blocks for 45 s at most.
        """
        if older_parts.is_part(path):
            self.replace(path, PATIENT)
        else:
            self.bound(path, PATIENT)

    def _set_aside(self, path: str, size: int) -> None:
        if size and self._keep:
            try:
                with open(self._locked.open(path, UNHELD | os.O_RDONLY), "rb") as log:
                    self._keep_part(log, path, size)
                os.unlink(path)
            except OSError:  # the disk may be full; it is replaced when there is room
                self._move_up(path)
                os.rename(path, path + ".1")
        else:  # nothing was written: an older part is worth more
            os.unlink(path)


def _is_at(status: os.stat_result, path: str) -> bool:
    """Whether an open file still has this path. Another thread may have replaced it."""
    try:
        return os.path.samestat(status, os.lstat(path))
    except FileNotFoundError:
        return False

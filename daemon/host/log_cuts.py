"""How much was cut off each log, so that the lines of a process are found after a cut.

A place in a log is counted from its beginning, as if it had never been cut. The counts are of this
daemon. The next one takes vassals over at the ends of their logs, and counts anew.
"""

import contextlib
import os
import threading
from typing import BinaryIO, Final, NamedTuple, Self

from ...journal.locked_files import LockedFiles
from .older_parts import UNHELD


class LogFile(NamedTuple):
    """Which file a log is, whatever its name is now."""

    device: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """The file that has this status."""
        return cls(status.st_dev, status.st_ino)


class _Cut(NamedTuple):
    """How many bytes were cut off a log; the file ``part`` has their end."""

    size: int
    part: LogFile | None


_NONE: Final = _Cut(0, None)


class LogCuts:
    """The cuts of all logs. There are never more than files that were over the limit.

    No log is one of the ``locked`` files.
    """

    def __init__(self, locked: LockedFiles) -> None:
        self._locked = locked
        self._cuts: dict[LogFile, _Cut] = {}
        self._lock = threading.Lock()  # a size, and what was cut off before, are of one moment

    def end(self, log: int | str) -> tuple[LogFile, int]:
        """Which file a log is, a descriptor or a path, and the place of its end. Raises OSError."""
        with self._lock:
            status = os.stat(log)
            file = LogFile.of(status)
            return file, self._cuts.get(file, _NONE).size + status.st_size

    def truncate(self, log: BinaryIO, part: str | None = None) -> None:
        """Make a log empty whose end is in this file by now, if there is one. Raises OSError."""
        end = None
        if part is not None:
            with contextlib.suppress(OSError):
                end = LogFile.of(os.lstat(part))
        with self._lock:
            status = os.fstat(log.fileno())
            file = LogFile.of(status)
            os.truncate(log.fileno(), 0)
            before = self._cuts.get(file, _NONE).size
            self._cuts[file] = _Cut(before + status.st_size, end)

    def kept(self, log: BinaryIO, part: str) -> None:
        """Note that this file has the end of what was cut off last. Raises OSError."""
        file, end = LogFile.of(os.fstat(log.fileno())), LogFile.of(os.lstat(part))
        with self._lock:
            self._cuts[file] = self._cuts.get(file, _NONE)._replace(part=end)

    def put_back(self, log: BinaryIO, content: bytes) -> int:
        """Write the end of what was cut off to the log; how many bytes are. Raises OSError."""
        with self._lock:
            written = os.write(log.fileno(), content)
            file = LogFile.of(os.fstat(log.fileno()))
            before = self._cuts.get(file, _NONE).size
            self._cuts[file] = _Cut(before - written, None)
        return written

    def last_bytes(self, path: str, since: int, most: int) -> bytes:
        """The last bytes of a log after a place in it, ``most`` at most. Raises OSError.

        If the log has less, those before the last cut are read from its newest part.
        """
        opened = self._locked.open(path, UNHELD | os.O_RDONLY)
        with open(opened, "rb") as log, self._lock:
            cut = self._cuts.get(LogFile.of(os.fstat(log.fileno())), _NONE)
            size = log.seek(0, os.SEEK_END)
            begin = max(0, since - cut.size)
            if begin > size:  # another program has cut it
                begin = 0
            log.seek(max(begin, size - most))
            found = log.read(most)
        missing = min(most - len(found), cut.size - since)
        if missing <= 0 or cut.part is None:
            return found
        return self._end_of(f"{path}.1", cut.part, missing) + found

    def _end_of(self, path: str, file: LogFile, most: int) -> bytes:
        """The last bytes of a file; none if the path is another one's by now."""
        try:
            with open(self._locked.open(path, UNHELD | os.O_RDONLY), "rb") as part:
                if LogFile.of(os.fstat(part.fileno())) != file:
                    return b""
                part.seek(max(0, part.seek(0, os.SEEK_END) - most))
                return part.read(most)
        except OSError:
            return b""

"""Logs of vassals as files: opening them, their older parts, and where their last lines begin.

A log that is too long is cut, and ``NAME.log.1`` has what was cut away; ``.2`` is older. logrotate
names them in the same way, and may compress them (``.2.gz``). Together they are one text, of which
the log is the end.
"""

import os
import stat
from collections.abc import Iterator
from typing import Final, NamedTuple, Self

from .packed_logs import unpacked

# A log is another user's file in tyrant mode: no link of theirs is followed, no lease waited for.
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
_BLOCK: Final = 1 << 16
_MOST_PARTS: Final = 1000


class LogPart(NamedTuple):
    """An open file."""

    descriptor: int
    inode: int
    changed: float  # when it was written last, in seconds of UTC
    number: int = 0  # of an older part: that of its name

    @classmethod
    def open(cls, path: str) -> Self:
        """Raises OSError."""
        descriptor = os.open(path, _FLAGS)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise OSError(0, "that is no file", path)
        return cls(descriptor, status.st_ino, status.st_mtime)

    @property
    def size(self) -> int:
        return os.fstat(self.descriptor).st_size

    def close(self) -> None:
        os.close(self.descriptor)

    def read(self, start: int, most: int = _BLOCK) -> bytes:
        """Some bytes from there on; none at the end."""
        return os.pread(self.descriptor, most, start)

    def blocks_back(self) -> Iterator[tuple[int, bytes]]:
        """The blocks of the file from its end to its beginning, each with its place."""
        at = self.size
        while at > 0:
            start = max(0, at - _BLOCK)
            yield start, self.read(start, at - start)
            at = start


class LastLines(NamedTuple):
    """The files that have the last lines of a log, the oldest first, and where these begin."""

    parts: list[LogPart]
    at: int  # the place in the first part
    trouble: OSError | None = None  # the reason that lines of an older part are missing


def last_lines(path: str, lines: int, since: float | None = None) -> LastLines:
    """The last so many lines of a log and its older parts; a line without an end counts as well.

    Parts are opened from the newest backwards, as far as they are needed. Those that were not
    written since then are left out. Raises OSError where there is a log that may not be read, or
    where there is none at all.
    """
    found: list[LogPart] = []
    counter = _Counter(lines)
    try:
        for part in _newest_first(path, since):
            found.append(part)
            if (at := counter.beginning(part)) is not None:
                return LastLines(found[::-1], at)
    except _OlderPart as older:
        return LastLines(found[::-1], 0, older.error)
    except BaseException:
        for part in found:
            part.close()
        raise
    return LastLines(found[::-1], 0)


class _OlderPart(Exception):
    """An older part cannot be read."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


def _newest_first(path: str, since: float | None) -> Iterator[LogPart]:
    """A log and its older parts, each opened when it is asked for."""
    missing = None
    try:
        part = LogPart.open(path)
    except FileNotFoundError as error:
        missing = error  # it was renamed, and the next one has not begun
    else:
        if since is not None and part.changed < since:
            part.close()
            return
        yield part
    for number in range(1, _MOST_PARTS + 1):
        older = _older(f"{path}.{number}", since)
        if older is None:
            break
        missing = None
        yield older._replace(number=number)
    if missing is not None:
        raise missing


def _older(path: str, since: float | None) -> LogPart | None:
    """An older part, unpacked if it is compressed; None where there is none to be read.

    Older parts are the daemon's, and need not be for all to read. Raises _OlderPart.
    """
    for name in (path, path + ".gz"):
        try:
            part = LogPart.open(name)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        if since is not None and part.changed < since:
            part.close()
            return None
        if name == path:
            return part
        try:
            return part._replace(descriptor=unpacked(part.descriptor, name))
        except OSError as error:
            raise _OlderPart(error) from None
        finally:
            part.close()
    return None


class _Counter:
    """Counts lines backwards, until there are enough."""

    def __init__(self, lines: int) -> None:
        self._left = lines + 1  # line ends, of which the first is that of the line before
        self._none = lines == 0
        self._is_end = True

    def beginning(self, part: LogPart) -> int | None:
        """Where the lines begin in this part; None where they begin in an older one."""
        if self._none:
            return part.size
        for start, block in part.blocks_back():
            if self._is_end and block:
                self._left -= not block.endswith(b"\n")
                self._is_end = False
            count = block.count(b"\n")
            if count >= self._left:
                at = len(block)
                for _ in range(self._left):
                    at = block.rfind(b"\n", 0, at)
                return start + at + 1
            self._left -= count
        return None

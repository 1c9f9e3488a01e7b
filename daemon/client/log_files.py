"""Logs of vassals as files: opening them, their older parts, and where their last lines begin.

A log that is too long is cut, and ``NAME.log.1`` has what was cut away; ``.2`` is older. logrotate
names them in the same way. Together they are one text, of which the log is the end.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Self

# A log is another user's file in tyrant mode: no link of theirs is followed, no lease waited for.
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
_BLOCK: Final = 1 << 16
_MOST_PARTS: Final = 1000


class LogPart(NamedTuple):
    """An open file."""

    descriptor: int
    inode: int
    changed: float  # when it was written last, in seconds of UTC

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


class Beginning(NamedTuple):
    """From where the last lines are to be read: the part, and the place in it."""

    part: int
    at: int


def parts_of(path: str, since: float | None = None) -> list[LogPart]:
    """A log and its older parts, the oldest first; those that were written since then.

    Raises OSError where there is a log that may not be read, or where there is none at all.
    """
    found: list[LogPart] = []
    missing: OSError | None = None
    try:
        for number in range(_MOST_PARTS + 1):
            try:
                part = LogPart.open(path if not number else f"{path}.{number}")
            except FileNotFoundError as error:
                if number:
                    break
                missing = error  # it was renamed, and the next one has not begun
                continue
            except OSError:
                if number:  # older parts are the daemon's, and need not be for all to read
                    break
                raise
            if since is not None and part.changed < since:
                part.close()
                return found[::-1]
            found.append(part)
    except BaseException:
        for part in found:
            part.close()
        raise
    if missing is not None and not found:
        raise missing
    return found[::-1]


def last_lines(parts: Sequence[LogPart], lines: int) -> Beginning:
    """Where the last so many lines begin; a line without an end counts as well."""
    if not parts or lines == 0:
        return Beginning(len(parts), 0)
    left = lines + 1  # line ends, of which the first is that of the line before
    is_end = True
    for index in range(len(parts) - 1, -1, -1):
        for start, block in parts[index].blocks_back():
            if is_end and block:
                left -= not block.endswith(b"\n")
                is_end = False
            count = block.count(b"\n")
            if count >= left:
                at = len(block)
                for _ in range(left):
                    at = block.rfind(b"\n", 0, at)
                return Beginning(index, start + at + 1)
            left -= count
    return Beginning(0, 0)

"""A log that is followed, whatever becomes of its file: it is read where it is, without the daemon.

A log may be absent, be cut (by the daemon, and by logrotate with ``copytruncate``), and be renamed.
A vassal writes on to a renamed log until it is started again, so both files are read until then.
The older part, ``NAME.log.1``, has the lines between the last look and a cut.
"""

import os
from collections.abc import Iterator
from typing import Final

from .log_files import LogPart

_MARK: Final = 256  # bytes that were read last: they tell whether a file is still the same
_MOST: Final = 64 << 20  # of an older part that are looked through


class _File:
    """One file of a log, and how far it was read. ``number`` counts the files of the log."""

    def __init__(self, part: LogPart, at: int, number: int) -> None:
        self.part = part
        self.number = number
        self.at = at
        self.mark = part.read(max(0, at - _MARK), min(at, _MARK))

    def news(self, path: str) -> Iterator[bytes]:
        """The bytes that are new since the last look, also where the file was cut meanwhile."""
        size = self.part.size
        if size == self.at:
            return
        if size < self.at or not self._is_same(self.part):
            yield from self._before_the_cut(path)
            self.at, self.mark = 0, b""
        while block := self.part.read(self.at):
            self.at += len(block)
            self.mark = (self.mark + block)[-_MARK:]
            yield block

    def _is_same(self, part: LogPart) -> bool:
        length = len(self.mark)
        return part.read(self.at - length, length) == self.mark if length else self.at == 0

    def _before_the_cut(self, path: str) -> Iterator[bytes]:
        """The rest of what was cut away; nothing where there is no older part that has it."""
        try:
            older = LogPart.open(path + ".1")
        except OSError:
            return
        try:
            at = self.at if self._is_same(older) else _behind(older, self.mark)
            while at is not None and (block := older.read(at)):
                at += len(block)
                yield block
        finally:
            older.close()


def _behind(part: LogPart, mark: bytes) -> int | None:
    """The place behind the last bytes that were read; None where they are not in this part."""
    start = max(0, part.size - _MOST)
    found = part.read(start, _MOST).rfind(mark) if mark else -1
    return None if found < 0 else start + found + len(mark)


class Tail:
    """A log that is followed. ``trouble`` says why it cannot be read now."""

    def __init__(self, path: str, part: LogPart | None = None, at: int = 0) -> None:
        """``part`` was read up to ``at``; without one, all that there is is new."""
        self.trouble: OSError | None = None
        self._path = path
        self._files = [] if part is None else [_File(part, at, 0)]
        self._number = 0  # of the file that was opened last

    def news(self) -> Iterator[tuple[int, bytes]]:
        """The bytes that are new since the last look, each with the number of their file.

        Bytes of a file that is cut have the same number as those behind the cut, because a line may
        reach over it. The file that was read before has the number 0.
        """
        self._look()
        for each in self._files:
            for block in each.news(self._path):
                yield each.number, block

    def _look(self) -> None:
        """Open the file that has the log's name now, if it is another one than before."""
        try:
            inode = os.lstat(self._path).st_ino
            if any(each.part.inode == inode for each in self._files):
                return
            part = LogPart.open(self._path)
        except FileNotFoundError:
            return
        except OSError as error:
            self.trouble = error
            return
        self.trouble = None
        self._number += 1
        self._files.append(_File(part, 0, self._number))
        if len(self._files) > 2:
            self._files.pop(0).part.close()

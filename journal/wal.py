"""Walking a write-ahead log, frame by frame, to tell a torn end from damage.

SQLite reads a WAL up to the first frame that is not right and takes the rest for something left
over. After a crash that is just what is wanted. But it is also what happens when a byte of a frame
rots, and then transactions that were on disk are gone without a word. So this module walks the log
once more, by the description of the format (sqlite.org/fileformat2.html, section 4). It judges the
frames that SQLite would pass over:

- frames with other salts are left over from before the log was last begun anew: nothing;
- good frames without a commit after them are a transaction that was never finished: a note;
- frames with the log's salts whose checksums are wrong, and which are a commit, or have a
  commit after them: damage. Transactions behind it were finished once and cannot be read now.

Each frame's checksum goes on from that of the frame before it. Behind a bad frame the walk goes
on from what that frame says its checksum is, so one bad byte is one bad frame.
"""

import struct
import sys
from array import array
from typing import BinaryIO, Final

import msgspec

HEADER_SIZE: Final = 32
FRAME_HEADER_SIZE: Final = 24
_MAGIC: Final = {0x377F0682: "little", 0x377F0683: "big"}
_FORMAT: Final = 3_007_000
_MASK: Final = 0xFFFFFFFF

Sum = tuple[int, int]


class Walk(msgspec.Struct, frozen=True):
    """The contents of a write-ahead log. Frames count from 1; 0 means none."""

    frames: int  # with the log's salts, whether good or not
    committed: int  # the last frame of the last transaction that SQLite reads
    salts: Sum = (0, 0)
    damage: str | None = None
    certain: bool = False  # it is damage, and not what a power failure may leave
    note: str | None = None


def check_sum(data: bytes, order: str, start: Sum = (0, 0)) -> Sum:
    """SQLite's running checksum over a multiple of 8 bytes."""
    words = array("I", data)
    if order != sys.byteorder:
        words.byteswap()
    one, two = start
    pairs = iter(words)
    for even, odd in zip(pairs, pairs, strict=True):
        one = (one + even + two) & _MASK
        two = (two + odd + one) & _MASK
    return one, two


def walk(log: BinaryIO, proven: int | None = None, only_proven: bool = False) -> Walk:
    """Walk the log from the file's present position.

    ``proven`` is the number of frames that are known to have been committed, by the wal-index
    of the same log. With ``only_proven`` frames behind them are not looked at: a writer may be
    at work on those.
    """
    header = log.read(HEADER_SIZE)
    if not header:
        return Walk(0, 0)
    if len(header) < HEADER_SIZE:
        return Walk(0, 0, note="the write-ahead log ends within its header")
    magic, version, page_size, _, salt1, salt2, one, two = struct.unpack(">8I", header)
    order = _MAGIC.get(magic)
    if order is None or version != _FORMAT or check_sum(header[:24], order) != (one, two):
        return _headless(log, header)
    return _Walker(log, page_size, order, (salt1, salt2), (one, two)).run(proven, only_proven)


def _headless(log: BinaryIO, header: bytes) -> Walk:
    rest = log.read(1 << 16)
    if not any(header) and not any(rest):
        return Walk(0, 0, note="the write-ahead log is empty but for zeros")
    if not rest:
        return Walk(0, 0, note="the write-ahead log ends with its header, which was not finished")
    return Walk(
        0, 0, damage="the header of the write-ahead log is damaged: nothing in it can be read",
        certain=True,
    )  # fmt: skip


class _Walker:
    def __init__(self, log: BinaryIO, page_size: int, order: str, salts: Sum, start: Sum) -> None:
        self.log, self.size, self.order, self.salts = log, page_size, order, salts
        self.running = start
        self.frames = 0
        self.committed = 0  # as SQLite reads it
        self.commits = 0  # the last frame that says that it commits, bad ones included
        self.unread = 0  # commits that SQLite does not get to
        self.bad: list[int] = []
        self.cut = False  # the file ends within a frame

    def run(self, proven: int | None, only_proven: bool) -> Walk:
        while not (only_proven and proven is not None and self.frames >= proven):
            if not self._step():
                break
        # One is on disk before the next begins, so only the last can have been cut short.
        return Walk(
            self.frames, self.committed, self.salts, self._damage(proven), self.unread > 1,
            self._note(),
        )  # fmt: skip

    def _step(self) -> bool:
        """Take one frame; False where the log ends."""
        header = self.log.read(FRAME_HEADER_SIZE)
        page = self.log.read(self.size)
        if len(header) < FRAME_HEADER_SIZE:
            self.cut = bool(header)
            return False
        _, commit, salt1, salt2, one, two = struct.unpack(">6I", header)
        if (salt1, salt2) != self.salts:
            # One frame whose own salts are bad, or where the log ends? Only what follows tells.
            return self._resume(page)
        if len(page) < self.size:
            self.cut = True
            return False
        self._take(header, page, commit, (one, two))
        return True

    def _take(self, header: bytes, page: bytes, commit: int, recorded: Sum) -> None:
        self.frames += 1
        computed = check_sum(page, self.order, check_sum(header[:8], self.order, self.running))
        if computed != recorded:
            self.bad.append(self.frames)
        if commit:
            self.commits = self.frames
            if not self.bad:
                self.committed = self.frames
            else:
                self.unread += 1
        self.running = recorded

    def _resume(self, page: bytes) -> bool:
        """Whether the log goes on behind a frame with other salts."""
        if len(page) < self.size:
            return False
        here = self.log.tell()
        following = self.log.read(FRAME_HEADER_SIZE)
        self.log.seek(here)
        if len(following) < FRAME_HEADER_SIZE:
            return False
        if struct.unpack(">2I", following[8:16]) != self.salts:
            return False
        self.frames += 1
        self.bad.append(self.frames)
        # The right checksum of this frame is not known, so the next frame counts as bad as well.
        self.running = (0, 0)
        return True

    def _damage(self, proven: int | None) -> str | None:
        lost = self.commits - self.committed
        if self.bad and self.commits >= self.bad[0]:
            which = f"frame {self.bad[0]} of the write-ahead log is damaged"
            if self.commits == self.bad[0]:
                return (
                    f"{which}: the last transaction in it cannot be read (if the machine lost"
                    " power in the middle of it, nobody was ever told that it was done)"
                )
            return f"{which}: {lost} finished frames from there on cannot be read"
        if proven is not None and proven > self.committed:
            first = self.bad[0] if self.bad else self.frames + 1
            return (
                f"the write-ahead log breaks off at frame {first}:"
                f" frames up to {proven} were finished once"
            )
        return None

    def _note(self) -> str | None:
        unfinished = self.frames - max(self.committed, self.commits)
        if not unfinished and not self.cut:
            return None
        frames = "1 frame" if unfinished == 1 else f"{unfinished} frames"
        return (
            f"the write-ahead log ends with an unfinished transaction ({frames}"
            f"{' and a part of one' if self.cut else ''}); it was never acknowledged"
        )

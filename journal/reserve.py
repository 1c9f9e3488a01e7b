"""Room on the journal's file system that only the daemon's own events may use.

When the disk is full, the journal pauses. Nothing that is not recorded is done, so a daemon could
neither start nor stop on that disk. Therefore a file beside the journal (``journal.db.reserve``)
keeps so much room allocated. When an event of the daemon's own finds the disk full, the file
becomes shorter by 1 MiB. The event is tried again at once, until it fits.

A MiB at a time, because the program that filled the disk may take the room that becomes free. A
look at the free room (statvfs) instead of a file would not help against that at all. Room within
the ``-wal`` could not be taken; but SQLite makes a new one at each start.

Once the file is shorter than it should be, all other events wait until it has its size again. So
they do not use what was given up for the daemon. A file that was removed is made anew when there is
room for it twice, and nothing waits for that.
"""

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from . import chain
from .deploys import Row
from .errors import JournalPaused
from .log_folding import LogFolding
from .quantities import size_text
from .store import Journal, Snapshot
from .texts import Texts

STEP: Final = 1 << 20  # bytes that are given up at a time
_BETWEEN: Final = 60.0  # seconds between two tries to make the file
_STOPPING: Final = "daemon_stopping"
# With these events a start, a stop or an operator's decision is recorded.
_OWN: Final = frozenset(
    (
        "daemon_started",
        "daemon_ready",
        _STOPPING,
        "daemon_stopped",
        "journal_adopted",
        "journal_forked",
    )
)


class Reserve:
    """The file that keeps ``size`` bytes for the journal at ``path``. Its methods may block."""

    def __init__(self, path: str, size: int) -> None:
        self.path = f"{path}.reserve"
        self.size = size

    @property
    def room(self) -> int | None:
        """The bytes that it keeps; None where it was never made, or was removed."""
        try:
            return os.lstat(self.path).st_blocks * 512
        except OSError:
            return None

    def make(self) -> str | None:
        """Keep the room; None if it is kept, else why it is not."""
        if not self.size:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
            return None
        try:
            room = self.room
            if room is not None and room >= self.size:
                return None
            lacks = self.size - (room or 0)
            # The reserve takes free space, and it must not fill the disk by itself.
            if _free(os.path.dirname(self.path)) < lacks + (self.size if room is None else 0):
                return f"{self.path}: there is no room for {size_text(self.size)}"
            self._allocate()
        except OSError as error:
            return f"{self.path}: cannot be made: {error.strerror}"
        return None

    def _allocate(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(self.path, flags, 0o600)
        try:
            os.posix_fallocate(file, 0, self.size)
        finally:
            os.close(file)

    def give(self) -> bool:
        """Give up a step of it, if the disk is full. Whether it has."""
        room = self.room
        try:
            if not room or _free(os.path.dirname(self.path)) >= 2 * STEP:
                return False
            os.truncate(self.path, max(0, min(room, self.size) - STEP))
        except OSError:
            return False
        return True


def _free(directory: str) -> int:
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


class Reserved:
    """A journal that appends the daemon's own events even when its disk is full.

    ``urgent`` says that the daemon was told to stop, so whatever waits is in the way of that.
    """

    def __init__(self, journal: Journal, reserve: Reserve) -> None:
        self._journal = journal
        self._reserve = reserve
        self._stopping = False
        self._tried = time.monotonic()
        self.urgent: Callable[[], bool] = lambda: False

    @property
    def path(self) -> str:
        """Of the journal."""
        return self._journal.path

    def append(
        self,
        rows: Sequence[chain.Columns],
        configs: Mapping[str, bytes] | None = None,
        snapshot: Snapshot | None = None,
        known: Sequence[Row] = (),
    ) -> None:
        """As ``Journal.append``. Raises JournalPaused."""
        own = self._stopping or self.urgent() or any(row[2] in _OWN for row in rows)
        if not own:
            self._check()
        while True:
            try:
                self._journal.append(rows, configs, snapshot, known)
                break
            except JournalPaused:
                if not own or not self._reserve.give():
                    raise
        self._stopping = self._stopping or any(row[2] == _STOPPING for row in rows)

    def _check(self) -> None:
        """Raise JournalPaused while what is left is for the daemon's own events."""
        room = self._reserve.room
        if room is None:
            if time.monotonic() > self._tried + _BETWEEN:
                self._tried = time.monotonic()
                self._reserve.make()
        elif room < self._reserve.size and (reason := self._reserve.make()) is not None:
            raise JournalPaused(
                f"{self.path}: the disk was full, and what is left is for the daemon's own events"
                f" (--journal-reserve): {reason}"
            )

    @property
    def log(self) -> LogFolding:
        """Of the journal."""
        return self._journal.log

    @property
    def texts(self) -> Texts:
        """Of the journal."""
        return self._journal.texts

    def is_whole(self) -> bool:
        """As ``Journal.is_whole``."""
        return self._journal.is_whole()

    def troubles(self) -> dict[str, str]:
        """As ``Journal.troubles``."""
        return self._journal.troubles()

    def time_of(self, seq: int) -> int:
        """As ``Journal.time_of``."""
        return self._journal.time_of(seq)

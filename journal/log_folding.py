"""Folding the log into the journal while nothing is appended: the next daemon has less to read.

A start checks each page of the log, as SQLite would pass over what is damaged (``lost_log.py``).
It checks none behind the place where the log was begun anew. The file keeps its size, because a
commit that has to make it longer takes more time.
"""

from collections.abc import Callable
from typing import Final

from .reading import Link
from .rows import Snapshot
from .write_connection import WriteConnection

_MANY: Final = 64  # events of which a log is long


class LogFolding:
    """Of the journal that ``connection`` writes, and whose last event ``last`` tells."""

    def __init__(self, connection: WriteConnection, last: Callable[[], Link]) -> None:
        self._connection = connection
        self._last = last
        self._folded = last().seq  # when that was done, or when the daemon started

    @property
    def is_worthwhile(self) -> bool:
        """Whether there are many events since the last time, or since the daemon's start."""
        return self._last().seq - self._folded >= _MANY

    def fold(self, snapshot: Snapshot | None) -> None:
        """Fold the log in, and store the fleet as it is at the last event. Blocks.

        A snapshot of an earlier event is left out.
        """
        with self._connection.in_use:
            last = self._last()
            self._folded = last.seq
            its = snapshot is not None and snapshot.seq == last.seq
            self._connection.fold_log(snapshot if its else None, last.hash)

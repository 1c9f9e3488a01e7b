"""The fleet of a journal that grows: each look folds only the events since the last one."""

from collections.abc import Callable
from typing import Any

from emperord.daemon.core.fleet import Fleet
from emperord.daemon.core.fold import fold
from emperord.journal.decoding import decode_body
from emperord.journal.events import NOT_FOLDED, Event

# With the last one that was folded, whose hash says whether it is the same journal still.
_SINCE = (
    "SELECT seq, at, kind, monitor, vassal, cause, body, actions, hash FROM event"
    " WHERE seq >= ? ORDER BY seq"
)
_Query = Callable[[str, int], list[Any]]


class Tail:
    """The fleet that one test has folded so far."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._fleet = Fleet()
        self._hash: bytes | None = None

    def fleet(self, query: _Query) -> Fleet:
        """The fleet as the journal has it now. It changes at the next look."""
        rows = query(_SINCE, self._fleet.seq)
        if self._hash is not None:
            if not rows or rows[0][-1] != self._hash:  # another journal, or one put back
                self._begin()
                return self.fleet(query)
            del rows[0]
        try:
            for row in rows:
                self._fold(*row)
        except BaseException:
            self._begin()
            raise
        return self._fleet

    def _fold(
        self,
        seq: int,
        at: int,
        kind: str,
        monitor: str | None,
        vassal: str | None,
        cause: int | None,
        body: str,
        actions: str,
        digest: bytes,
    ) -> None:
        failed = actions == NOT_FOLDED
        event = Event(seq, at, kind, monitor, vassal, cause, decode_body(kind, body), failed)
        fold(self._fleet, event)
        self._fleet.seq, self._hash = seq, digest

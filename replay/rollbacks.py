"""Rollbacks that an operator asked for, as outcomes of the deploys that they took back.

The daemon concludes an outcome when a deploy has come to something, and does not change it later.
So a deploy that was accepting, and that an operator rolled back afterwards, is told as rolled back.
A request that was cancelled before the next deploy does not count.

Only requests and deploys of the vassal are read, and few ahead at first. So the answer about one
vassal does not take longer in a longer journal.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ..daemon.core.deploys import Deploy
from ..journal.deploys import DEPLOYS
from ..journal.reading import Reader

_REQUESTED: Final = "operator_requested"
_BY_HAND: Final = ("rollback", "cancel_rollback")
_KINDS: Final = (_REQUESTED, *DEPLOYS)
_AFTER: Final = (
    f"SELECT seq, at, kind, CASE WHEN kind = '{_REQUESTED}' AND json_valid(body)"
    " THEN json_extract(body, '$.request') END"
    " FROM event WHERE vassal = ? AND seq > ? AND seq <= ?"
    f" AND kind IN ({', '.join('?' * len(_KINDS))}) ORDER BY seq LIMIT ?"
)
_FEW: Final = 2  # events that are read first: the next deploy mostly comes at once
_MANY: Final = 1_000
_Row = tuple[int, Any, str, Any]  # number, time, kind, and what was requested


class Rollbacks:
    """The requests of one journal, looked for behind each deploy that may have been rolled back."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._ahead: dict[str, _Ahead] = {}  # by vassal

    def told(self, deploy: Deploy) -> Deploy:
        """The deploy with the outcome that an operator gave it, if one did."""
        if deploy.outcome not in ("accepting", "running"):
            return deploy
        if deploy.vassal not in self._ahead:
            self._ahead[deploy.vassal] = _Ahead(self._reader, deploy.vassal)
        last: _Row | None = None
        for row in self._ahead[deploy.vassal].behind(deploy.seq):
            if row[2] != _REQUESTED:
                break
            if row[3] in _BY_HAND and row[1].__class__ is int:
                last = row
        if last is None or last[3] != "rollback":
            return deploy
        return msgspec.structs.replace(
            deploy, outcome="rolled_back", outcome_seq=last[0], outcome_at=last[1]
        )


class _Ahead:
    """The next requests and deploys of one vassal, read in ever larger pieces.

    A query for each deploy took a quarter of the time of a history of 15,000 deploys.
    """

    def __init__(self, reader: Reader, vassal: str) -> None:
        self._reader = reader
        self._vassal = vassal
        self._rows: deque[_Row] = deque()  # all between these two events
        self._after = self._upto = 0
        self._length = _FEW

    def behind(self, seq: int) -> Iterator[_Row]:
        """Those behind an event, in order."""
        if not self._after <= seq <= self._upto:
            self._rows.clear()
            self._upto = seq
        while self._rows and self._rows[0][0] <= seq:
            self._rows.popleft()
        self._after = seq
        yield from self._rows
        while self._upto < self._reader.head.seq:
            yield from self._read_more()

    def _read_more(self) -> list[_Row]:
        end = self._reader.head.seq
        rows = self._reader.fetch(_AFTER, self._vassal, self._upto, end, *_KINDS, self._length)
        self._upto = rows[-1][0] if len(rows) == self._length else end
        self._rows += rows
        self._length = min(2 * self._length, _MANY)
        return rows

"""Rollbacks that an operator asked for, as outcomes of the deploys that they took back.

The daemon concludes an outcome when a deploy has come to something, and does not change it later.
So a deploy that was accepting, and that an operator rolled back afterwards, is told as rolled back.
A request that was cancelled before the next deploy does not count.

Only the events of the vassal between two of its deploys are read. So the answer about one vassal
does not take longer in a longer journal.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from ..daemon.core.deploys import Deploy
from ..journal.deploys import DEPLOYS
from ..journal.reading import Reader

_REQUESTED: Final = "operator_requested"
_BY_HAND: Final = ("rollback", "cancel_rollback")
_KINDS: Final = (_REQUESTED, *DEPLOYS)
_AFTER: Final = (
    "SELECT seq, at, kind, CASE WHEN json_valid(body) THEN json_extract(body, '$.request') END"
    " FROM event WHERE vassal = ? AND seq > ? AND seq <= ?"
    f" AND kind IN ({', '.join('?' * len(_KINDS))}) ORDER BY seq LIMIT 1"
)


class _Request(NamedTuple):
    seq: int
    at: int
    what: str


class Rollbacks:
    """The requests of one journal, looked for behind each deploy that may have been rolled back."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def told(self, deploy: Deploy) -> Deploy:
        """The deploy with the outcome that an operator gave it, if one did."""
        if deploy.outcome not in ("accepting", "running"):
            return deploy
        asked = [*self._requests(deploy)]
        if not asked or asked[-1].what != "rollback":
            return deploy
        return msgspec.structs.replace(
            deploy, outcome="rolled_back", outcome_seq=asked[-1].seq, outcome_at=asked[-1].at
        )

    def _requests(self, deploy: Deploy) -> Iterator[_Request]:
        """Those about its vassal up to the next deploy of that, which mostly comes first."""
        after, end = deploy.seq, self._reader.head.seq
        while rows := self._reader.fetch(_AFTER, deploy.vassal, after, end, *_KINDS):
            [(after, at, kind, what)] = rows
            if kind != _REQUESTED:
                return
            if what in _BY_HAND and at.__class__ is int:
                yield _Request(after, at, what)

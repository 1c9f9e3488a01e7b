"""Rollbacks that an operator asked for, as outcomes of the deploys that they took back.

The daemon concludes an outcome when a deploy has come to something, and does not change it later.
So a deploy that was accepting, and that an operator rolled back afterwards, is told as rolled back.
A request that was cancelled before the next deploy does not count.
"""

from bisect import bisect_right
from typing import NamedTuple

import msgspec

from ..daemon.core.deploys import Deploy
from ..journal.deploys import DEPLOYS
from ..journal.reading import Reader
from ..journal.selection import Filter

_BY_HAND = ("rollback", "cancel_rollback")
_NEXT = (
    "SELECT min(seq) FROM event WHERE vassal = ? AND seq > ?"
    f" AND kind IN ({', '.join('?' * len(DEPLOYS))})"
)


class _Request(NamedTuple):
    seq: int
    at: int
    what: str


class Rollbacks:
    """The requests of one journal, by vassal. They are read when the first deploy is looked at."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._requests: dict[str, list[_Request]] | None = None

    def told(self, deploy: Deploy) -> Deploy:
        """The deploy with the outcome that an operator gave it, if one did."""
        if deploy.outcome not in ("accepting", "running"):
            return deploy
        if self._requests is None:
            self._requests = self._read()
        of_vassal = self._requests.get(deploy.vassal, [])
        later = of_vassal[bisect_right(of_vassal, deploy.seq, key=lambda each: each.seq) :]
        if not later:
            return deploy
        (following,) = self._reader.fetch(_NEXT, deploy.vassal, deploy.seq, *DEPLOYS)[0]
        mine = [each for each in later if following is None or each.seq < following]
        if not mine or mine[-1].what != "rollback":
            return deploy
        return msgspec.structs.replace(
            deploy, outcome="rolled_back", outcome_seq=mine[-1].seq, outcome_at=mine[-1].at
        )

    def _read(self) -> dict[str, list[_Request]]:
        found: dict[str, list[_Request]] = {}
        columns = "event.seq, at, vassal, CASE WHEN json_valid(body) THEN"
        columns += " json_extract(body, '$.request') END"
        which = Filter(kinds=("operator_requested",))
        for row in self._reader.select(columns, which):
            seq, at, vassal, what = row
            if vassal is not None and what in _BY_HAND and at.__class__ is int:
                found.setdefault(vassal, []).append(_Request(seq, at, what))
        return found

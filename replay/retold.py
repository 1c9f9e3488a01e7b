"""Deploys whose outcome came, or became another, behind an event: ``history -f`` tells them again.

A change that died may be rolled back a moment later, and an operator may take back one that works.
"""

from typing import Final

from ..journal.deploys import DEPLOYS
from ..journal.reading import Reader

_CONCLUDED: Final = "SELECT min(seq) FROM deploy WHERE outcome_seq > ? AND seq <= ?"
_BY_HAND: Final = f"""
SELECT min((
    SELECT max(seq) FROM event AS deploy WHERE deploy.vassal = request.vassal
        AND deploy.seq < request.seq AND deploy.kind IN ({", ".join("?" * len(DEPLOYS))})
)) FROM event AS request
WHERE request.seq > ? AND request.kind = 'operator_requested' AND request.vassal IS NOT NULL
"""


def first(reader: Reader, after: int) -> int:
    """The first deploy that has to be looked at again; the event behind ``after`` if none has."""
    found = [after + 1]
    if reader.has_deploys():
        found += reader.fetch(_CONCLUDED, after, after)[0]
    found += reader.fetch(_BY_HAND, *DEPLOYS, after)[0]
    return min(seq for seq in found if seq is not None)


class Told:
    """The deploys of one journal that were told: their outcomes, and those that are open."""

    def __init__(self) -> None:
        self.last = 0  # the last event that was told
        self._outcomes: dict[int, str] = {}
        self._open: set[int] = set()

    def first(self, reader: Reader, after: int) -> int:
        """Where to begin with what is behind this event."""
        self.last = after
        return min([first(reader, after), *self._open])

    def is_news(self, seq: int, outcome: str, outcome_seq: int | None) -> bool:
        """Whether a deploy, or its outcome, is not yet told. From now on it is."""
        before = self._outcomes.get(seq)
        self._outcomes[seq] = outcome
        (self._open.add if outcome in ("pending", "held") else self._open.discard)(seq)
        return outcome != before if before else max(seq, outcome_seq or 0) > self.last

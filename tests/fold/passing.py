"""Time in the world of the fold's properties: deadlines pass, and addresses are opened."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from emperord.daemon.core.fleet import Fleet


class Passing(ABC):
    """Lets deadlines pass."""

    fleet: Fleet
    now: int

    @abstractmethod
    def happen(
        self, kind: str, vassal: str | None = None, monitor: str | None = None, **fields: Any
    ) -> None:
        """Journal and fold one event, and carry out its orders."""

    def pass_deadline(self, name: str, attempt: int | None = None) -> None:
        """The deadline of a vassal passes, or that of its second attempt."""
        vassal = self.fleet.vassals[name]
        second = attempt is not None and vassal.candidate is not None
        deadline = vassal.candidate.deadline if second and vassal.candidate else vassal.deadline
        assert deadline is not None
        self.now = max(self.now, deadline)
        self.happen("deadline_passed", name, deadline=deadline, attempt=attempt)

    @property
    def deadlines(self) -> list[tuple[str, int | None]]:
        """The vassals whose deadlines are to pass, and their second attempts."""
        return list(_deadlines(self.fleet))

    def pass_rollout_deadline(self, seq: int) -> None:
        deadline = self.fleet.rollouts[seq].deadline
        assert deadline is not None
        self.now = max(self.now, deadline)
        self.happen("rollout_due", rollout=seq, deadline=deadline)

    def open_all(self) -> None:
        """The new addresses of vassals are open."""
        for name, vassal in list(self.fleet.vassals.items()):
            if vassal.opening is not None:
                self.happen("listen_opened", name, None, change=vassal.opening)


def _deadlines(fleet: Fleet) -> Iterator[tuple[str, int | None]]:
    for name, vassal in fleet.vassals.items():
        if vassal.deadline is not None:
            yield name, None
        if vassal.candidate is not None and vassal.candidate.deadline is not None:
            yield name, vassal.candidate.attempt

"""Bodies of the events about the service of a vassal that runs: its sockets, its health."""

from .body import Body


class ListenOpened(Body, frozen=True):
    """The addresses that a ``change`` adds are open: it is the event that ordered to open them."""

    change: int


class ListenRefused(Body, frozen=True):
    """An address that a ``change`` adds cannot be had, so the vassal runs on as it is."""

    change: int
    reason: str


class HealthLost(Body, frozen=True):
    """So many checks in a row of the attempt's process have failed as its settings say."""

    attempt: int
    failures: int


class HealthRegained(Body, frozen=True):
    """A check of the attempt's process has passed again."""

    attempt: int


class RolloutDue(Body, frozen=True):
    """A deadline of a rollout passed; the fold ignores one that is not the rollout's own.

    ``rollout`` is the event that opened it.
    """

    rollout: int
    deadline: int

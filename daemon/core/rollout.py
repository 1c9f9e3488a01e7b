"""Rollouts as data: changes of one source that are carried out a few at a time.

``rollout_moves.py`` decides about them. A vassal whose change waits for its turn is in one of two
lines, and its ``waits_in`` names the rollout.
"""

from collections.abc import Container

import msgspec


class Turn(msgspec.Struct, omit_defaults=True):
    """A vassal that is changing. Times are UTC nanoseconds.

    ``until``: it has failed if it has not settled by then. ``attempt`` is the run that has its new
    config. ``settles``: from then on it counts as done, as it cannot say more than that it runs.
    """

    until: int
    attempt: int | None = None
    settles: int | None = None
    canary: bool = False


class Rollout(msgspec.Struct, omit_defaults=True):
    """One rollout, known by ``seq``, the event that opened it.

    A vassal is in one of five places, each in the order of arrival. It waits (``canaries``,
    ``line``), is ``turning``, or has settled (``done`` with its attempt, ``failed`` with a reason).
    """

    seq: int
    at: int
    monitor: str
    size: int  # how many may be turning at once
    canaries: dict[str, None] = {}
    line: dict[str, None] = {}
    turning: dict[str, Turn] = {}
    done: dict[str, int | None] = {}
    failed: dict[str, str] = {}
    pardoned: int = 0  # the first failures, after which an operator has continued it
    held: int | None = None  # the event since which those that wait are held back
    aborted: int | None = None  # the request by which they stay so
    gathers: int | None = None  # until then only canaries have a turn
    quiet: int | None = None  # it closes then, if nothing more comes
    latest: int = 0  # when its last change came
    deadline: int | None = None  # when to look at it again

    @property
    def waiting(self) -> int:
        """How many wait for their turn, or are held back."""
        return len(self.canaries) + len(self.line)

    @property
    def is_under_way(self) -> bool:
        """Whether some are turning, or will without a word of an operator."""
        return bool(self.turning) or (self.held is None and self.waiting > 0)

    @property
    def total(self) -> int:
        """How many vassals it has."""
        return self.waiting + len(self.turning) + len(self.done) + len(self.failed)

    def forget_failure(self, name: str) -> None:
        """A vassal that has failed may have changed again, and counts no more."""
        if name in self.failed:
            self.pardoned -= [*self.failed].index(name) < self.pardoned
            del self.failed[name]

    def only(self, kept: Container[str]) -> "Rollout":
        """The same with these vassals alone."""
        return msgspec.structs.replace(
            self,
            canaries={name: None for name in self.canaries if name in kept},
            line={name: None for name in self.line if name in kept},
            turning={name: turn for name, turn in self.turning.items() if name in kept},
            done={name: attempt for name, attempt in self.done.items() if name in kept},
            failed={name: reason for name, reason in self.failed.items() if name in kept},
        )

    @property
    def everybody(self) -> list[str]:
        """All vassals that it has."""
        return [*self.names, *self.turning, *self.done, *self.failed]

    @property
    def names(self) -> list[str]:
        """Those that wait."""
        return [*self.canaries, *self.line]


class Closed(msgspec.Struct, frozen=True, omit_defaults=True):
    """The last rollout of a source that has closed, by event ``closed``."""

    seq: int
    at: int
    closed: int
    ended: int
    done: int
    failed: dict[str, str] = {}
    aborted: bool = False

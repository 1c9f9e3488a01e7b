"""Comparing states: the checkpoints of a journal against the fleet that the fold makes.

A checkpoint has a digest of the fleet before it (``daemon/core/checkpoints.py``). Where it differs
from the one of this fold, the two parted somewhere behind the last checkpoint that was the same.
Checkpoints behind that one are counted only, because one difference mostly stays.
"""

from collections.abc import Iterator, Sequence

import msgspec

from ..daemon.core.actions import Action
from ..daemon.core.checkpoints import NEWEST, PROJECTIONS, States
from ..daemon.core.fleet import Fleet
from ..journal.events import Checkpoint, Event


class Parting(msgspec.Struct, frozen=True):
    """Between these two events the states parted. ``after`` is 0 where none was the same."""

    after: int
    until: int
    recorded: str
    computed: str


class Comparison:
    """Follows the fold, and compares at each checkpoint."""

    def __init__(self) -> None:
        self.first: int | None = None  # the first checkpoint that was compared
        self.same: int = 0  # the last one that was the same
        self.count = 0
        self.parting: Parting | None = None
        self.parted = 0  # checkpoints that differ
        self.unknown: dict[int, int] = {}  # version of the projection -> its first checkpoint
        self._states: States | None = None  # from the first checkpoint on

    def before(self, fleet: Fleet, event: Event) -> bool:
        """An event is about to be folded; whether the states are known to differ there."""
        return isinstance(event.body, Checkpoint) and self._differs(fleet, event, event.body)

    def after(self, fleet: Fleet, event: Event, actions: Sequence[Action]) -> None:
        """It was folded, and ordered these."""
        if self._states is not None:
            self._states.note(fleet, event, actions)

    def replaced(self) -> None:
        """The fold goes on with another fleet, the one of a snapshot."""
        if self._states is not None:
            self._states.forget()

    def _differs(self, fleet: Fleet, event: Event, body: Checkpoint) -> bool:
        if body.v not in PROJECTIONS:
            self.unknown.setdefault(body.v, event.seq)
            return False
        if self._states is None or self._states.version != body.v:
            self._states = States(body.v)
        computed = self._states.digest(fleet)
        self.count += 1
        if self.first is None:
            self.first = event.seq
        if computed == body.digest:
            self.same = event.seq
            return False
        self.parted += 1
        if self.parting is None:
            self.parting = Parting(self.same, event.seq, body.digest, computed)
        return True

    def lines(self) -> Iterator[str]:
        """The parting of states, for people."""
        parting = self.parting
        if parting is None:
            return
        after = (
            f"between the checkpoints {parting.after} and {parting.until}"
            if parting.after
            else f"before the checkpoint {parting.until}, the first that is compared"
        )
        yield f"states part {after}: the fold concludes otherwise, whatever it orders"
        yield f"  recorded: {parting.recorded}"
        yield f"  computed: {parting.computed}"
        if self.parted > 1:
            yield f"  and {self.parted - 1} checkpoints behind it"

    def notes(self, begin: int) -> Iterator[str]:
        """From where on states are compared. ``begin`` is the first event of the file."""
        if self.first is None:
            yield "states are not compared: there is no checkpoint, only actions and snapshots"
        elif self.first > begin + 1:
            yield f"states are compared from event {self.first} on, the first checkpoint"
        for version, seq in self.unknown.items():
            yield (
                f"checkpoints from event {seq} on have projection {version}, and this version"
                f" knows {NEWEST}: their states are not compared"
            )

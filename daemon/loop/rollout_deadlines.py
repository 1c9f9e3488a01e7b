"""The deadlines of rollouts: when one is to be looked at again, and when it closes."""

from collections.abc import Iterable
from functools import partial
from typing import Final

import trio

from ...journal.events import RolloutDue
from ..core.draft import Draft
from ..core.fleet import Fleet
from .clock import Clock
from .turn import Tell

_KIND: Final = "rollout_due"


class RolloutDeadlines:
    """Remembers the deadline of each rollout, of which there are few. ``tell`` is told of them."""

    def __init__(self, clock: Clock, tell: Tell) -> None:
        self._clock = clock
        self._tell = tell
        self._planned: dict[int, int] = {}  # by the event that opened it
        self._told: dict[int, int] = {}  # the last deadline that was told
        self._replanned = trio.Event()

    def plan(self, fleet: Fleet) -> None:
        """Take over the deadlines of the fleet's rollouts."""
        if not fleet.rollouts and not self._planned:
            return
        planned = {
            seq: each.deadline
            for seq, each in fleet.rollouts.items()
            if each.deadline is not None and self._told.get(seq) != each.deadline
        }
        self._told = {seq: at for seq, at in self._told.items() if seq in fleet.rollouts}
        if planned != self._planned:
            self._planned = planned
            self._replanned.set()

    def plan_all(self, fleet: Fleet) -> None:
        """The same, and forget which ones were told: that was taken back."""
        self._told = {}
        self.plan(fleet)

    async def watch(self) -> None:
        """Tell of each deadline that passes, until cancelled."""
        while True:
            self._replanned = trio.Event()
            if not self._planned:
                await self._replanned.wait()
                continue
            deadline, seq = min((at, seq) for seq, at in self._planned.items())
            if deadline > self._clock.now():
                with trio.move_on_after(self._clock.seconds_until(deadline)):
                    await self._replanned.wait()
                continue
            del self._planned[seq]
            self._told[seq] = deadline
            await self._tell(partial(_passed, seq, deadline))


def _passed(seq: int, deadline: int, _: Fleet) -> Iterable[Draft]:
    yield Draft(_KIND, RolloutDue(rollout=seq, deadline=deadline))

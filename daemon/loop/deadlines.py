"""The deadlines of vassals: which is next, and when it has passed. Rollouts have some, too."""

import heapq
from collections.abc import Iterable
from functools import partial

import trio

from ...journal.events import DeadlinePassed
from ..core.draft import Draft
from ..core.fleet import Fleet
from ..core.fold import MOVES_NO_VASSAL
from .clock import Clock
from .rollout_deadlines import RolloutDeadlines
from .turn import Tell


def may_move(fleet: Fleet, kind: str, vassal: str | None) -> set[str]:
    """The vassals whose deadline such an event may move without an order.

    ``fleet`` is the one before the event. A blocked vassal may begin when another one gives
    its address back.
    """
    if vassal is not None:
        return {vassal, *fleet.blocked}
    return set() if kind in MOVES_NO_VASSAL else set(fleet.vassals)


class Deadlines:
    """Remembers the deadline of each vassal that has one. ``tell`` is told of those that pass."""

    def __init__(self, clock: Clock, tell: Tell) -> None:
        self.rollouts = RolloutDeadlines(clock, tell)
        self._clock = clock
        self._tell = tell
        # When to look, whose deadline, and the deadline.
        self._heap: list[tuple[int, str, int]] = []
        self._planned: dict[str, int | None] = {}
        self._postponed: dict[str, int] = {}  # vassal -> until when its deadline is not told
        self._replanned = trio.Event()

    def plan(self, fleet: Fleet, names: Iterable[str]) -> None:
        """Take over the deadlines of these vassals."""
        for name in names:
            vassal = fleet.vassals.get(name)
            deadline = None if vassal is None else vassal.deadline
            if self._planned.get(name) != deadline:
                self._postponed.pop(name, None)
                if deadline is not None:
                    heapq.heappush(self._heap, (deadline, name, deadline))
                    self._replanned.set()
            if deadline is None:
                self._planned.pop(name, None)
            else:
                self._planned[name] = deadline

    def plan_all(self, fleet: Fleet) -> None:
        """Take over the deadlines of the whole fleet, and forget all others."""
        self._planned = {
            vassal.name: vassal.deadline
            for vassal in fleet.vassals.values()
            if vassal.deadline is not None
        }
        self._heap = [(at, name, at) for name, at in self._planned.items() if at is not None]
        self._postponed = {}
        heapq.heapify(self._heap)
        self._replanned.set()
        self.rollouts.plan_all(fleet)

    def postpone(self, fleet: Fleet, name: str, late: int) -> None:
        """An order was carried out this many nanoseconds late, so its time ends as much later."""
        vassal = fleet.vassals.get(name)
        if vassal is not None and vassal.deadline is not None:
            until = vassal.deadline + late
            self._postponed[name], self._planned[name] = until, vassal.deadline
            heapq.heappush(self._heap, (until, name, vassal.deadline))
            self._replanned.set()

    async def watch(self) -> None:
        """Tell of each deadline that passes, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.rollouts.watch)
            await self._watch()

    async def _watch(self) -> None:
        while True:
            self._replanned = trio.Event()
            if not self._heap:
                await self._replanned.wait()
                continue
            when, name, deadline = self._heap[0]
            if self._planned.get(name) != deadline:
                heapq.heappop(self._heap)  # it was moved or is over
            elif self._is_early(name):
                heapq.heappop(self._heap)  # it stands there for a later time, too
            elif when <= self._clock.now():
                heapq.heappop(self._heap)
                del self._planned[name]
                await self._tell(partial(self._passing, deadline, name))
            else:
                with trio.move_on_after(self._clock.seconds_until(when)):
                    await self._replanned.wait()

    def _is_early(self, name: str) -> bool:
        until = self._postponed.get(name)
        return until is not None and self._heap[0][0] < until

    def _passing(self, deadline: int, name: str, _: Fleet) -> Iterable[Draft]:
        """The event, unless the deadline was postponed while it waited to be recorded."""
        until = self._postponed.get(name)
        if until is None or until <= self._clock.now():
            self._postponed.pop(name, None)
            yield Draft("deadline_passed", DeadlinePassed(deadline=deadline), None, name)

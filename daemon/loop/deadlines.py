"""The deadlines of vassals: which is next, and when it has passed. Rollouts have some, too."""

import heapq
from collections.abc import Iterable
from functools import partial

import trio

from ...journal.events import DeadlinePassed
from ..core import attempts
from ..core.actions import Action
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


# A vassal, and whether the deadline is that of its second attempt (``core/candidate.py``).
_Key = tuple[str, bool]


def _deadline(fleet: Fleet, key: _Key) -> int | None:
    vassal = fleet.vassals.get(key[0])
    if vassal is None:
        return None
    if not key[1]:
        return vassal.deadline
    return None if vassal.candidate is None else vassal.candidate.deadline


class Deadlines:
    """Remembers the deadlines of each vassal that has one. ``tell`` is told of those that pass."""

    def __init__(self, clock: Clock, tell: Tell) -> None:
        self.rollouts = RolloutDeadlines(clock, tell)
        self._clock = clock
        self._tell = tell
        # When to look, whose deadline, and the deadline.
        self._heap: list[tuple[int, _Key, int]] = []
        self._planned: dict[_Key, int] = {}
        self._postponed: dict[_Key, int] = {}  # until when a deadline is not told
        self._replanned = trio.Event()

    def plan(self, fleet: Fleet, names: Iterable[str]) -> None:
        """Take over the deadlines of these vassals."""
        for name in names:
            vassal = fleet.vassals.get(name)
            candidate = None if vassal is None else vassal.candidate
            self._plan((name, False), None if vassal is None else vassal.deadline)
            self._plan((name, True), None if candidate is None else candidate.deadline)

    def _plan(self, key: _Key, deadline: int | None) -> None:
        if self._planned.get(key) == deadline:
            return
        self._postponed.pop(key, None)
        if deadline is None:
            del self._planned[key]
        else:
            self._push((deadline, key, deadline))
            self._planned[key] = deadline

    def _push(self, planned: tuple[int, _Key, int]) -> None:
        """Look at a deadline at its time. The watch is woken only if it is the next one."""
        heapq.heappush(self._heap, planned)
        if self._heap[0] is planned:
            self._replanned.set()

    def plan_all(self, fleet: Fleet) -> None:
        """Take over the deadlines of the whole fleet, and forget all others."""
        keys = ((name, second) for name in fleet.vassals for second in (False, True))
        found = ((key, _deadline(fleet, key)) for key in keys)
        self._planned = {key: at for key, at in found if at is not None}
        self._heap = [(at, key, at) for key, at in self._planned.items()]
        self._postponed = {}
        heapq.heapify(self._heap)
        self._replanned.set()
        self.rollouts.plan_all(fleet)

    def postpone(self, fleet: Fleet, action: Action, late: int) -> None:
        """An order was carried out this many nanoseconds late, so its time ends as much later."""
        vassal = fleet.vassals.get(action.vassal)
        second = vassal is not None and attempts.is_candidates(vassal, action.attempt)
        key = (action.vassal, second)
        deadline = _deadline(fleet, key)
        if deadline is not None:
            until = deadline + late
            self._postponed[key], self._planned[key] = until, deadline
            self._push((until, key, deadline))

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
            when, key, deadline = self._heap[0]
            if self._planned.get(key) != deadline:
                heapq.heappop(self._heap)  # it was moved or is over
            elif self._is_early(key):
                heapq.heappop(self._heap)  # it stands there for a later time, too
            elif when <= self._clock.now():
                heapq.heappop(self._heap)
                del self._planned[key]
                await self._tell(partial(self._passing, deadline, key))
            else:
                with trio.move_on_after(self._clock.seconds_until(when)):
                    await self._replanned.wait()

    def _is_early(self, key: _Key) -> bool:
        until = self._postponed.get(key)
        return until is not None and self._heap[0][0] < until

    def _passing(self, deadline: int, key: _Key, fleet: Fleet) -> Iterable[Draft]:
        """The event, unless the deadline was postponed while it waited to be recorded."""
        until = self._postponed.get(key)
        if until is not None and until > self._clock.now():
            return
        self._postponed.pop(key, None)
        name, second = key
        body = DeadlinePassed(deadline=deadline)
        if second:
            vassal = fleet.vassals.get(name)
            if vassal is None or vassal.candidate is None:
                return  # it has ended meanwhile
            body = DeadlinePassed(deadline=deadline, attempt=vassal.candidate.attempt)
        yield Draft("deadline_passed", body, None, name)

"""Looks at processes, each at a later time.

One task makes all of them. A task for each would take 10 KB until its time has come, and a third of
the time that a stop of all takes. Those that are due at nearly the same time are made together, as
hundreds of vassals may be reloaded at once. To wake for each look would take five times as long.
"""

import heapq
import itertools
from collections.abc import Callable
from typing import Final

import trio

from .process import Process
from .vassal_tasks import VassalTasks

Look = Callable[[Process], None]

_EARLY: Final = 0.01  # of its time; a look may come so much sooner, together with another one


class LaterLooks:
    """The looks to come. An error in one bars that vassal only."""

    def __init__(self, tasks: VassalTasks) -> None:
        self._tasks = tasks
        # When each is due, soonest first; the number keeps those of one time in order. Then the
        # seconds that it may be made sooner.
        self._planned: list[tuple[float, int, float, Process, str, Look]] = []
        self._numbers = itertools.count()
        self._is_sooner = trio.Event()
        self._works = False

    def plan(self, seconds: float, process: Process, place: str, look: Look) -> None:
        """Have this look made after so many seconds. ``place`` names it where it fails."""
        due = trio.current_time() + seconds
        planned = (due, next(self._numbers), seconds * _EARLY, process, place, look)
        heapq.heappush(self._planned, planned)
        if self._planned[0] is planned:
            self._is_sooner.set()
        if not self._works:
            self._works = True
            self._tasks.nursery.start_soon(self._work)

    async def _work(self) -> None:
        try:
            while self._planned:
                self._is_sooner = trio.Event()
                with trio.move_on_at(self._planned[0][0]) as waited:
                    await self._is_sooner.wait()  # another one may be due before the first
                if waited.cancelled_caught:
                    self._make(self._planned[0][0])
        finally:
            self._works = False

    def _make(self, now: float) -> None:
        """Make the looks that are due, and those that may be made already."""
        while self._planned and self._planned[0][0] - self._planned[0][2] <= now:
            _, _, _, process, place, look = heapq.heappop(self._planned)
            with self._tasks.confined(process.name, place):
                look(process)

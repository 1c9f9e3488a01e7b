"""Looks at processes, each at a later time.

One task makes all of them. A task for each would take 10 KB until its time has come, and a third of
the time that a stop of all takes.
"""

import heapq
import itertools
from collections.abc import Callable

import trio

from .process import Process
from .vassal_tasks import VassalTasks

Look = Callable[[Process], None]


class LaterLooks:
    """The looks to come. An error in one bars that vassal only."""

    def __init__(self, tasks: VassalTasks) -> None:
        self._tasks = tasks
        # When each is due, soonest first; the number keeps those of one time in order.
        self._planned: list[tuple[float, int, Process, str, Look]] = []
        self._numbers = itertools.count()
        self._is_sooner = trio.Event()
        self._works = False

    def plan(self, seconds: float, process: Process, place: str, look: Look) -> None:
        """Have this look made after so many seconds. ``place`` names it where it fails."""
        due = trio.current_time() + seconds
        planned = (due, next(self._numbers), process, place, look)
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
                    _, _, process, place, look = heapq.heappop(self._planned)
                    with self._tasks.confined(process.name, place):
                        look(process)
        finally:
            self._works = False

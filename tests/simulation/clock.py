"""Virtual time, which moves when nothing can run, and then to the next thing that is to happen.

Trio's ``MockClock`` does that too. This one does it in the pass of the loop in which it finds out.
It lets a sleeping task wait without a cancel scope, because those took half of a run's time. Which
task runs in which pass is the same with both.
"""

import heapq
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import Any, Final

import trio
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

NEVER: Final = 86400.0  # real seconds that trio may wait for input; there is none


class Clock(trio.abc.Clock):
    """The time of one run, in seconds since its beginning."""

    def __init__(self) -> None:
        self._now = 0.0
        self._number = itertools.count()
        # Tasks by the time until which they sleep; None where the sleep was cancelled.
        self._sleepers: list[tuple[float, int, list[Task | None]]] = []

    def start_clock(self) -> None:
        """It began when it was made."""

    def current_time(self) -> float:
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Trio asks this when no task can run, and ``deadline`` is the next of a cancel scope."""
        while self._sleepers and self._sleepers[0][2][0] is None:
            heapq.heappop(self._sleepers)
        if self._sleepers:
            deadline = min(deadline, self._sleepers[0][0])
        if deadline == inf:
            return NEVER
        if deadline > self._now:
            # Not ``= deadline``: digests hold times that were added up.
            self._now += deadline - self._now
        while self._sleepers and self._sleepers[0][0] <= self._now:
            task = heapq.heappop(self._sleepers)[2][0]
            if task is not None:
                reschedule(task)
        return 0.0

    async def sleep_until(self, deadline: float) -> None:
        """In place of ``trio.sleep_until``, for a time to come."""
        sleeper: list[Task | None] = [current_task()]
        heapq.heappush(self._sleepers, (deadline, next(self._number), sleeper))

        def abort(_: object) -> Abort:
            sleeper[0] = None
            return Abort.SUCCEEDED

        await wait_task_rescheduled(abort)

    @contextmanager
    def keeping_sleeps(self) -> Iterator[None]:
        """All sleeps of trio are this clock's in here."""
        theirs: Any = trio
        sleep, sleep_until = trio.sleep, trio.sleep_until

        async def until(deadline: float) -> None:
            if self._now < deadline < inf:
                await self.sleep_until(deadline)
            else:
                await sleep_until(deadline)

        async def for_(seconds: float) -> None:
            if seconds > 0:
                await until(self._now + seconds)
            else:
                await sleep(seconds)

        theirs.sleep, theirs.sleep_until = for_, until
        try:
            yield
        finally:
            theirs.sleep, theirs.sleep_until = sleep, sleep_until

"""Spawns run in a worker thread, several in one run of it.

There is one spawn at a time, because between making a descriptor inheritable and the exec another
spawn would inherit it too. A run of the thread for each spawn would cost more than the spawn.
Worse, each ``spawned`` would come by itself, and cost a transaction and an fsync of its own. So a
run takes the spawns that wait, up to ``_MOST``. Their events become durable together. A run begins
no other spawn after ``_RUN`` seconds, as the events of those that are done wait for its end.
"""

import threading
import time
from collections import deque
from typing import Final

import trio

from ..core.fleet import Vassal
from . import threads
from .process import Process
from .spawn import Starter
from .users import User
from .vassal_tasks import VassalTasks

_MOST: Final = 16  # spawns of a run
_RUN: Final = 0.05  # seconds after which a run begins no other spawn


class _Spawn:
    """One spawn: the vassal, the time of its order, its user; then the process or the error."""

    def __init__(self, vassal: Vassal, at: int, user: User | None) -> None:
        self.vassal, self.at, self.user = vassal, at, user
        self.is_over = trio.Event()
        self.result: Process | Exception | None = None


class Spawner:
    """Runs the starter's spawns. Others that start processes take ``one_spawn`` as well."""

    def __init__(self, starter: Starter, tasks: VassalTasks) -> None:
        self.one_spawn = trio.CapacityLimiter(1)
        self._starter = starter
        self._tasks = tasks
        self._waiting: deque[_Spawn] = deque()
        self._taking = threading.Lock()  # the loop and the thread take from it
        self._works = False

    async def start(self, vassal: Vassal, at: int, user: User | None) -> Process:
        """Start a vassal as ordered ``at`` that time. Raises what the starter raises.

        A cancelled start is not made, unless a thread is at it: its process would be lost.
        """
        spawn = _Spawn(vassal, at, user)
        self._waiting.append(spawn)
        if not self._works:
            self._works = True
            self._tasks.nursery.start_soon(self._work)
        try:
            await spawn.is_over.wait()
        except trio.Cancelled:
            if self._withdraws(spawn):
                raise
            with trio.CancelScope(shield=True):
                await spawn.is_over.wait()
        result, spawn.result = spawn.result, None
        if isinstance(result, Process):
            return result
        assert result is not None
        try:
            raise result
        finally:
            del result  # otherwise error, traceback and this frame are a cycle

    def _withdraws(self, spawn: _Spawn) -> bool:
        """Have it not made; False if a thread is at it."""
        with self._taking:
            if spawn not in self._waiting:
                return False
            self._waiting.remove(spawn)
            return True

    async def _work(self) -> None:
        try:
            while self._waiting:
                for spawn in await threads.run_sync(self._run, limiter=self.one_spawn):
                    spawn.is_over.set()
        finally:
            self._works = False

    def _run(self) -> list[_Spawn]:
        """Carry out the spawns that wait, until the run is over. Blocks."""
        end = time.monotonic() + _RUN
        done: list[_Spawn] = []
        self._starter.begin_run()
        while len(done) < _MOST:
            with self._taking:
                if not self._waiting:
                    break
                spawn = self._waiting.popleft()
            try:
                spawn.result = self._starter.start(spawn.vassal, spawn.at, spawn.user)
            except Exception as error:
                spawn.result = error
            done.append(spawn)
            if time.monotonic() >= end:
                break
        return done

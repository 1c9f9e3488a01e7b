"""Threads for what may block on a tenant's files: for so long only.

A tenant decides on which file system its files are, and so whether the daemon gets an answer there.
A thread on a dead mount cannot be ended, only left behind. So each user has one thread at a time.
While that hangs, starts of this user's vassals fail at once, and those of others go on.

A caller may be cancelled while its job runs. That job hangs only after it has taken as long as any
job may, so the next one waits for it until then.
"""

from collections.abc import Callable, Hashable
from typing import Final, TypeVar, TypeVarTuple

import trio

from . import threads

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

PATIENCE: Final = 5.0  # seconds for one job
_AT_ONCE: Final = 16  # jobs of different users; those that hang do not count


class NoAnswer(Exception):
    """The job did not end in time; if it ends at all, its result is lost."""


class _Thread:
    """The thread of one user. Its job may go on after its caller has given up."""

    def __init__(self) -> None:
        self.turn = trio.Lock()
        self.limiter = trio.CapacityLimiter(1)
        self.began = 0.0  # of its last job, as ``trio.current_time()``


class UserThreads:
    """Runs jobs in threads; a user has one at a time."""

    def __init__(self, patience: float = PATIENCE, at_once: int = _AT_ONCE) -> None:
        self._patience = patience
        self._threads: dict[Hashable, _Thread] = {}
        self._at_once = trio.Semaphore(at_once)

    async def run(self, whose: Hashable, job: Callable[[*Ts], T], *args: *Ts) -> T:
        """The result of a job. ``whose`` is its key: a uid for files that a tenant chose.

        Raises NoAnswer; for a tenant's job also if there are no more threads. Other jobs are then
        done on the event loop.
        """
        thread = self._threads.setdefault(whose, _Thread())
        async with thread.turn:
            if await self._is_free(thread):
                async with self._at_once:
                    thread.began = trio.current_time()
                    with trio.move_on_after(self._patience):
                        own = isinstance(whose, int)
                        return await self._in_thread(thread, job, *args, own=own)
        raise NoAnswer(f"no answer within {self._patience:g} s")

    async def _is_free(self, thread: _Thread) -> bool:
        """Whether it takes a job. Waits for one whose caller was cancelled until that is late."""
        if thread.limiter.borrowed_tokens == 0:
            return True
        with trio.move_on_at(thread.began + self._patience):
            async with thread.limiter:
                return True
        return False

    @staticmethod
    async def _in_thread(thread: _Thread, job: Callable[[*Ts], T], *args: *Ts, own: bool) -> T:
        if not own:
            return await threads.run_sync(
                job, *args, limiter=thread.limiter, abandon_on_cancel=True
            )
        try:
            return await trio.to_thread.run_sync(
                job, *args, limiter=thread.limiter, abandon_on_cancel=True
            )
        except RuntimeError as error:
            if not threads.refused(error):
                raise
        raise NoAnswer("no answer, as there are no more threads")

"""Threads for what may block on a tenant's files, or in the user database: for so long only.

A tenant decides on which file system its files are, and so whether the daemon gets an answer there.
A thread on a dead mount cannot be ended, only left behind. So each user has one thread at a time.
While that hangs, starts of this user's vassals fail at once, and those of others go on.
"""

from collections.abc import Callable, Hashable
from typing import Final, NamedTuple, TypeVar, TypeVarTuple

import trio

from . import threads

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

PATIENCE: Final = 5.0  # seconds for one job
_AT_ONCE: Final = 16  # jobs of different users; those that hang do not count


class Account(NamedTuple):
    """The key of a lookup in the user database: ids or names. That may not answer, either.

    ``owner`` is whose the sockets of the vassal are, where its settings say so.
    """

    user: int | str | None
    group: int | str | None = None
    owner: str | None = None


class NoAnswer(Exception):
    """The job did not end in time; if it ends at all, its result is lost."""


class _Thread:
    """The thread of one user. It may hang after its caller has given up."""

    def __init__(self) -> None:
        self.turn = trio.Lock()
        self.limiter = trio.CapacityLimiter(1)

    @property
    def hangs(self) -> bool:
        return self.limiter.borrowed_tokens > 0


class UserThreads:
    """Runs jobs in threads; a user has one at a time."""

    def __init__(self, patience: float = PATIENCE, at_once: int = _AT_ONCE) -> None:
        self._patience = patience
        self._threads: dict[Hashable, _Thread] = {}
        self._at_once = trio.Semaphore(at_once)

    async def run(self, whose: Hashable, job: Callable[[*Ts], T], *args: *Ts) -> T:
        """The result of a job. ``whose`` is its key: a uid for files that a tenant chose.

        Raises NoAnswer; for a tenant's job or a lookup also if there are no more threads. Other
        jobs are then done on the event loop.
        """
        thread = self._threads.setdefault(whose, _Thread())
        async with thread.turn:
            if not thread.hangs:
                async with self._at_once:
                    with trio.move_on_after(self._patience):
                        own = isinstance(whose, int | Account)
                        return await self._in_thread(thread, job, *args, own=own)
        raise NoAnswer(f"no answer within {self._patience:g} s")

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

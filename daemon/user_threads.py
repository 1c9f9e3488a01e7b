"""Threads for what may block on a tenant's files: one a user, and for so long only.

A tenant decides on which file system its files are, and so whether the daemon gets an answer there.
A thread on a dead mount cannot be ended, only left behind. So each user has one thread at a time:
while that hangs, this user's vassals are told so, and the others' go on.
"""

from collections.abc import Callable
from typing import Final, TypeVar, TypeVarTuple
from weakref import WeakValueDictionary

import trio

from . import threads

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

PATIENCE: Final = 5.0  # seconds, those before the thread is free included


class NoAnswer(Exception):
    """The job did not end in time; if it ends at all, its result is lost."""


class UserThreads:
    """Runs jobs in threads; a user has one at a time."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        # One that hangs has its limiter, and so keeps it here.
        self._limiters: WeakValueDictionary[int | None, trio.CapacityLimiter] = (
            WeakValueDictionary()
        )

    async def run(self, uid: int | None, job: Callable[[*Ts], T], *args: *Ts) -> T:
        """What the job returns, which is about files that ``uid`` chose; None: root did.

        Raises NoAnswer; for a user's job also if there are no more threads.
        """
        limiter = self._limiters.setdefault(uid, trio.CapacityLimiter(1))
        with trio.move_on_after(self._patience):
            if uid is None:
                return await threads.run_sync(job, *args, limiter=limiter, abandon_on_cancel=True)
            try:
                return await trio.to_thread.run_sync(
                    job, *args, limiter=limiter, abandon_on_cancel=True
                )
            except RuntimeError as error:
                if not threads.refused(error):
                    raise
        raise NoAnswer(f"no answer within {self._patience:g} s")

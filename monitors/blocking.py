"""File systems may hang: blocking work runs in a thread for as long as it makes progress."""

import time
from collections.abc import Callable
from typing import TypeVar

import trio

T = TypeVar("T")


class Stalled(Exception):
    """The thread has not come back, nor made progress, within the time limit."""


async def close_watches(close: Callable[[], None]) -> None:
    """Close a descriptor of inotify in a thread, also where the caller is cancelled.

    The kernel takes 8 to 16 ms for that, and does nothing: it waits until no processor uses the
    watches. The waits of several descriptors overlap, each in its thread.
    """
    with trio.CancelScope(shield=True):
        try:
            await trio.to_thread.run_sync(close, limiter=trio.CapacityLimiter(1))
        except RuntimeError:  # there can be no more threads
            close()


class BlockingRunner:
    """Runs what may block in a thread. The limiter says how many such threads there may be.

    A thread that hangs stays behind and keeps its place in the limiter, so that hanging threads
    do not add up.
    """

    def __init__(self, limiter: trio.CapacityLimiter, patience: float) -> None:
        self._limiter = limiter
        self._patience = patience
        self._scope = trio.CancelScope()
        self._beaten = 0.0

    async def run(self, job: Callable[[], T]) -> T:
        """Run the job in a thread and return its result. Raises Stalled if it hangs."""
        self._beaten = time.monotonic()
        with trio.CancelScope(deadline=trio.current_time() + self._patience) as self._scope:
            return await trio.to_thread.run_sync(job, abandon_on_cancel=True, limiter=self._limiter)
        raise Stalled

    def beat(self) -> None:
        """Report progress from the thread: ten thousand slow reads are not a hang."""
        now = time.monotonic()
        if now - self._beaten > min(1.0, self._patience / 4):
            self._beaten = now
            trio.from_thread.run_sync(self._extend, self._scope)

    def _extend(self, scope: trio.CancelScope) -> None:
        scope.deadline = max(scope.deadline, trio.current_time() + self._patience)

"""Work that may block is done off the event loop; on it where no thread can be had.

At the limit of processes (``RLIMIT_NPROC``, a cgroup's ``pids.max``) the kernel refuses threads,
too. Just then the daemon must go on: it has deaths to record and vassals to stop. A slow turn is
better than none.
"""

from collections.abc import Callable
from typing import Final, Generic, TypeVar, TypeVarTuple

import trio

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

SHARE: Final = 8  # jobs of one user at once, of the 40 threads that trio has by default


def refused(error: Exception) -> bool:
    """Whether this error says that there can be no more threads."""
    return isinstance(error, RuntimeError) and str(error) == "can't start new thread"


async def run_sync(
    job: Callable[[*Ts], T],
    *args: *Ts,
    limiter: trio.CapacityLimiter | None = None,
    abandon_on_cancel: bool = False,
) -> T:
    """As ``trio.to_thread.run_sync``, but it always gets done."""
    limiter = limiter or trio.to_thread.current_default_thread_limiter()
    try:
        return await trio.to_thread.run_sync(
            job, *args, limiter=limiter, abandon_on_cancel=abandon_on_cancel
        )
    except RuntimeError as error:
        if not refused(error):
            raise
    async with limiter:
        return job(*args)


class Shares:
    """Jobs in the threads that all share, of which a user has ``SHARE`` at once.

    Thousands of vassals of one user may end at once. The jobs for another user's vassal are not to
    wait for theirs.
    """

    def __init__(self) -> None:
        self._turns: dict[int, trio.Semaphore] = {}

    async def run_sync(self, uid: int | None, job: Callable[[*Ts], T], *args: *Ts) -> T:
        """As ``run_sync``. Without a ``uid`` there is one user only, and no share."""
        if uid is None:
            return await run_sync(job, *args)
        async with self._turns.setdefault(uid, trio.Semaphore(SHARE)):
            return await run_sync(job, *args)


class _Look(Generic[T]):
    """One look for all that wait for it, and its result. Without one it has failed."""

    def __init__(self) -> None:
        self.over = trio.Event()
        self.seen: list[T] = []


class Shared(Generic[T]):
    """A costly look, in a thread. One serves all callers that waited when it began.

    When thousands of vassals end at once, looking once for each would take minutes. While another
    task has the ``lock``, there is no look.
    """

    def __init__(self, look: Callable[[], T]) -> None:
        self._look = look
        self.lock = trio.Lock()
        self._next: _Look[T] | None = None  # that has not begun

    async def __call__(self) -> T:
        while (look := self._next) is not None:
            await look.over.wait()
            if look.seen:
                return look.seen[0]
        return await self._make()

    async def _make(self) -> T:
        look = self._next = _Look()
        try:
            async with self.lock:
                self._next = None
                seen = await run_sync(self._look)
                look.seen.append(seen)
                return seen
        finally:
            if self._next is look:
                self._next = None
            look.over.set()

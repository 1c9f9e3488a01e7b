"""Work that may block is done off the event loop; on it where no thread can be had.

Who runs into the limit of processes (``RLIMIT_NPROC``, a cgroup's ``pids.max``) gets no threads
either, and that is just when the daemon must go on: it has deaths to record and vassals to stop.
A slow turn is better than none.
"""

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import trio

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


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

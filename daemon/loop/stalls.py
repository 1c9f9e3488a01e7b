"""An append that does not come back: its disk, or what that is reached by, hangs.

The kernel gives no error then (a frozen file system, NFS whose server is away), so it is the time
that tells. The append is not given up: it is not known whether its events become durable.
"""

from collections.abc import Callable
from typing import Final, TypeVarTuple

import trio

from ..host import threads

HANGS: Final = 5.0  # seconds after which an append counts as one that hangs

Ts = TypeVarTuple("Ts")


class Stalls:
    """Runs appends, one at a time, and notices one that hangs.

    They have a thread of their own. Otherwise an append would wait for thousands of jobs that all
    share the other threads, such as those for the ends of one user's vassals.
    """

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(1)
        self._began: float | None = None  # trio's time; None while no append runs
        self._begun = trio.Event()
        self._scope = trio.CancelScope()

    async def run(self, append: Callable[[*Ts], None], *args: *Ts, known: bool) -> None:
        """Append in a thread. A cancelled caller waits for it, unless it is ``known`` to hang."""
        self._began = trio.current_time()
        self._begun.set()
        self._scope = trio.CancelScope(shield=not known)
        try:
            with self._scope:
                await threads.run_sync(append, *args, limiter=self._limiter, abandon_on_cancel=True)
        finally:
            self._began = None

    async def wait(self) -> None:
        """Return when an append runs."""
        if self._began is None:
            self._begun = trio.Event()
            await self._begun.wait()

    def look(self) -> str | None:
        """Why nothing can be recorded now, if an append hangs. Its caller need not wait."""
        if self._began is None or trio.current_time() - self._began < HANGS:
            return None
        self._scope.shield = False
        return f"a write has not come back for {HANGS:g} s; look at the disk of the journal"

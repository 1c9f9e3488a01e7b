"""The regular look for strays among the children of daemon and keeper (``stray_processes.py``).

A process that no look has seen as a candidate mostly becomes a stray by the end of a vassal. So
without one the looks are seldom. They find processes that a check or a hook has left, and those
that remove mark and tag in the midst of their life.
"""

import contextlib
from collections.abc import Callable
from typing import Final

import trio

from . import threads
from .context import HostContext
from .launcher import Launcher
from .preflights import Preflights
from .stray_processes import StrayProcesses

_INTERVAL: Final = 5.0  # seconds between looks
_SELDOM: Final = 60.0  # seconds between looks while no vassal ends, and none was a candidate


class StrayWatch:
    """Looks for strays. ``orphans`` gives the pids of all children, also in a worker thread."""

    def __init__(
        self,
        context: HostContext,
        strays: StrayProcesses,
        orphans: Callable[[], set[int]],
        launcher: Launcher,
        preflights: Preflights,
    ) -> None:
        self._strays = strays
        self._orphans = orphans
        self._processes = context.processes
        self._unjournaled = context.unjournaled
        self._launcher = launcher
        self._preflights = preflights

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            await trio.sleep(_INTERVAL)
            # A child that is not in the table yet would be taken for a stray.
            if not self._launcher.is_busy:
                ended = self._strays.next_end()
                with contextlib.suppress(OSError):  # out of descriptors; next time, then
                    await threads.run_sync(self._look)
                    if not self._strays.has_candidates:
                        with trio.move_on_after(_SELDOM):
                            await ended.wait()

    def _look(self) -> None:
        others = self._orphans() - self._processes.pids() - self._preflights.pids
        processes = [*self._processes, *self._preflights] if others else []
        self._strays.look(others, processes, self._unjournaled.marks)

    def last_look(self) -> None:
        """Log which processes are left when all vassals have stopped. Blocks for a moment."""
        self._strays.look(self._orphans(), [], self._unjournaled.marks, last=True)

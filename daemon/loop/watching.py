"""Sources that list their vassals, and directories, are watched until the daemon leaves.

A daemon that stops its vassals does nothing about a change of a source. The next one finds it in
its first listing. The kernel takes some 10 ms to end the watch of a directory, and it does that
while the vassals end.

A source that announces its vassals says each thing once. So it is heard until the end, and the
record has all that it said.
"""

import logging
from collections.abc import Sequence

import trio

from ...monitors import contract
from ..host import failures
from . import ports
from .monitor_runner import MonitorRunner
from .recorder import Recorder
from .turn import Tell

log = logging.getLogger("emperor")


class Watching:
    """Runs the monitors, and the watch of the journal's files; the host watches the logs."""

    def __init__(
        self, monitors: MonitorRunner, recorder: Recorder, host: ports.Host, tell: Tell
    ) -> None:
        self._monitors = monitors
        self._recorder = recorder
        self._host = host
        self._tell = tell
        self._listing = trio.CancelScope()
        self._files = trio.CancelScope()

    def begin(self, nursery: trio.Nursery, monitors: Sequence[contract.Monitor]) -> None:
        """Watch in the nursery. The start of the fleet waits for the first looks of monitors."""
        self._monitors.expect(monitors)
        announcing = [each for each in monitors if isinstance(each, contract.Announcer)]
        nursery.start_soon(self._recorder.watch_files, self._tell, self._files)
        nursery.start_soon(self._monitors.try_deferred)
        nursery.start_soon(self._monitors.run, announcing)
        nursery.start_soon(self._run, [each for each in monitors if each not in announcing])

    def end(self) -> None:
        """The daemon leaves, and its vassals are told to stop. More calls change nothing."""
        self._listing.cancel()
        self._files.cancel()
        self._host.leave()

    async def _run(self, monitors: Sequence[contract.Monitor]) -> None:
        try:
            with self._listing:
                await self._monitors.run(monitors)
        except* Exception as errors:
            if not self._listing.cancel_called:
                raise
            # It must not end the daemon before its vassals have stopped.
            log.error("a source was not left in order: %s", failures.describe(errors))

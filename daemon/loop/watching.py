"""Sources and directories are watched until the daemon leaves.

A daemon that stops its vassals does nothing about a change of a source. The next one finds it in
its first listing. An append looks at the journal's files itself. The kernel takes some 10 ms to end
the watch of a directory, and it does that while the vassals end.
"""

from collections.abc import Sequence

import trio

from ...monitors import contract
from . import ports
from .monitor_runner import MonitorRunner
from .recorder import Recorder
from .turn import Tell


class Watching:
    """Runs the monitors, and the watch of the journal's files; the host watches the logs."""

    def __init__(
        self, monitors: MonitorRunner, recorder: Recorder, host: ports.Host, tell: Tell
    ) -> None:
        self._monitors = monitors
        self._recorder = recorder
        self._host = host
        self._tell = tell
        self._scope = trio.CancelScope()

    def begin(self, nursery: trio.Nursery, monitors: Sequence[contract.Monitor]) -> None:
        """Watch in the nursery. The start of the fleet waits for the first looks of monitors."""
        self._monitors.expect(monitors)
        nursery.start_soon(self._run, monitors)

    def end(self) -> None:
        """The daemon leaves."""
        if not self._scope.cancel_called:
            self._scope.cancel()
            self._host.leave()

    async def _run(self, monitors: Sequence[contract.Monitor]) -> None:
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._recorder.watch_files, self._tell)
                nursery.start_soon(self._monitors.run, monitors)

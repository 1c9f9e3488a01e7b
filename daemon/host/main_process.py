"""The main process of a vassal, where its program has named one (``MAINPID=``, sd_notify(3)).

The daemon starts and watches the leader. A leader such as a shell may start another process, which
does the work. That one gets the signals to reload and to stop, as long as it lives. The end of the
leader is still the end of the vassal.
"""

import os
import signal
from collections.abc import Callable

from . import procfs


class MainProcess:
    """A process of the vassal's tree, held by its pidfd."""

    def __init__(self, pid: int, started: int, pidfd: int) -> None:
        self.pid = pid
        self.started = started  # clock ticks since boot
        self._pidfd = pidfd

    def signal(self, number: int) -> bool:
        """Send it a signal; False if it has ended."""
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except OSError:  # it has ended, or has become another user's
            return False
        return True

    def close(self) -> None:
        os.close(self._pidfd)


def found(pid: int, is_it: Callable[[int, int], bool]) -> MainProcess | None:
    """The process ``pid``, if ``is_it`` says so of its uid and its start time; else None."""
    try:
        pidfd = os.pidfd_open(pid)
    except (OSError, OverflowError):  # there is none, or no descriptor is left
        return None
    try:
        started, owner = procfs.start_time(pid), procfs.owner(pid)
        if started is not None and owner is not None and is_it(owner, started):
            main = MainProcess(pid, started, pidfd)
            # If it lives after the look, the look was at no later process with its pid.
            if main.signal(0):
                return main
    except OSError:
        pass
    os.close(pidfd)
    return None

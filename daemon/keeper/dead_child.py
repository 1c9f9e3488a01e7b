"""Tells vassals from other dead children of the keeper, as long as they are not reaped."""

import os
import signal
import time
from collections.abc import Iterator

_BLIND = 5.0  # seconds that a dead child waits for a look at it
_MOST = 256  # dead children in one turn: a vassal that forks without end holds up nothing else


class Leaders:
    """Finds out which dead children were vassals: they led sessions of their own."""

    def __init__(self) -> None:
        self._blind = 0.0  # since when a dead child cannot be looked at
        self.more = False  # there may be dead children that ``dead`` did not give

    def dead(self) -> Iterator[tuple[int, int | None, int | None]]:
        """Dead children, each to be reaped before the next: pid, exit code or else the signal.

        After some it has SIGCHLD raised, for the next turn.
        """
        self.more = True
        for _ in range(_MOST):
            try:
                status = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                status = None
            if status is None:
                self.more = False
                return
            exited = status.si_code == os.CLD_EXITED
            code, number = (status.si_status, None) if exited else (None, status.si_status)
            yield status.si_pid, code, number
        signal.raise_signal(signal.SIGCHLD)

    def start_of(self, pid: int) -> int | None:
        """When it started, in clock ticks since boot; None if it led no session.

        Raises OSError where /proc cannot be read for now. Without a start time the daemon could not
        tell which process has died, and a vassal would end without a status. After 5 s the answer
        is None.
        """
        try:
            start = _start_of_leader(pid)
        except OSError:
            self._blind = self._blind or time.monotonic()
            if time.monotonic() - self._blind < _BLIND:
                raise
            start = None
        self._blind = 0.0
        return start


def _start_of_leader(pid: int) -> int | None:
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return int(fields[19]) if int(fields[3]) == pid else None

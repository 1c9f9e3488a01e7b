"""A daemon whose start hangs: it neither works nor ends, and does not take signals yet.

A start may take long: it folds the journal, copies the write-ahead log, or waits for a lock or a
disk. So the keeper judges by the kernel, which counts for each thread how often it has run, for
daemons of any release (proc(5)). A start hangs if none of its threads has run between many looks,
and all of them wait for an event that may never come. That is so with a FIFO that no process writes
to, or a service of accounts that gives no answer. A thread that is ready to run, or that waits for
a disk, is no sign of a hang.
"""

import functools
import os
import signal
import time

from . import stdio

_LOOK = 1.0  # seconds between looks
_PATIENCE = 60  # looks, while vassals run on without a daemon
_LAST_PATIENCE = 10  # looks, after the keeper was told to stop all
_WAITS = b"S"  # the state of a thread that waits for an event, and no disk
_STOPPED = b"Tt"  # by a signal or a debugger

log = functools.partial(stdio.log, "emperor.keeper")
_Sign = list[tuple[str, bytes, list[bytes]]]  # of each thread: id, state, how often it has run


class HungStart:
    """Looks at a daemon that starts. ``killed``: it was found to hang, and was killed."""

    def __init__(self) -> None:
        self.killed = False
        self._looked = 0.0
        self._sign: _Sign = []
        self._idle = 0  # looks in which it had not run since the one before

    def begin(self) -> None:
        """A daemon is started now."""
        self.killed, self._sign, self._idle = False, [], 0

    def sooner(self, timeout: float | None) -> float:
        """The seconds after which it is to be looked at, if that is before a timeout."""
        left = max(0.0, self._looked + _LOOK - time.monotonic())
        return left if timeout is None else min(left, timeout)

    def look(self, daemon: int, stopping: bool) -> None:
        """Kill it if it hangs. A look counts, and no time: the keeper may be stopped as well.

        ``stopping``: all is to be stopped, so a daemon that was stopped by a signal hangs as well.
        """
        if self.sooner(None):
            return
        self._looked = time.monotonic()
        before, self._sign = self._sign, _sign_of(daemon)
        waits = _WAITS + _STOPPED if stopping else _WAITS
        idle = self._sign and self._sign == before and all(s in waits for _, s, _ in self._sign)
        self._idle = self._idle + 1 if idle else 0
        if self._idle >= (_LAST_PATIENCE if stopping else _PATIENCE) and not self.killed:
            log("the daemon hangs at its start; killing it", stdio.ERROR)
            os.kill(daemon, signal.SIGKILL)
            self.killed = True


def _sign_of(daemon: int) -> _Sign:
    """All threads of a process; empty where they cannot be looked at."""
    found: _Sign = []
    try:
        for thread in sorted(os.listdir(f"/proc/{daemon}/task")):
            with open(f"/proc/{daemon}/task/{thread}/status", "rb") as file:
                fields = dict(line.split(b":", 1) for line in file if b":" in line)
            runs = [value for name, value in fields.items() if name.endswith(b"_ctxt_switches")]
            found.append((thread, fields[b"State"].split()[0], runs))
    except (OSError, LookupError):  # the daemon has just ended, or its files cannot be opened now
        return []
    return found

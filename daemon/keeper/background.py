"""``--daemonize``: the keeper goes on in the background, and its first process tells how it went.

The keeper does not read options. So the daemon asks for it by the exit code BACKGROUND, before it
has done anything. The keeper then forks. Its child leads a session of its own, and starts a daemon
anew. The parent waits until that daemon is in charge, and exits with 0, or with the exit code of a
keeper that ended. Until then the child writes to the parent's terminal, so the user sees why.
"""

import ctypes
import os
import signal
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from . import stdio
from .protocol import BACKGROUND, FOREGROUND
from .renewal import STATE

_PR_SET_CHILD_SUBREAPER: Final = 36
_FORWARDED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


class Background:
    """Whether the keeper may still go there, and the pipe to the process that waits for it."""

    def __init__(self) -> None:
        # A keeper that was executed anew has vassals. Process 1 of a container would end it, and
        # systemd takes the end of a unit's main process for the unit's.
        initial = STATE not in os.environ and "NOTIFY_SOCKET" not in os.environ
        self._may = initial and os.getpid() != 1
        self._waiting: int | None = None

    def variables(self) -> dict[str, str]:
        """The part of the daemon's environment that says that it may ask."""
        return {FOREGROUND: "1"} if self._may else {}

    def goes(self, code: int | None) -> bool:
        """Whether the daemon that ended with this code has asked; if so, this is the child."""
        if code != BACKGROUND or not self._may:
            return False
        self._may = False
        self._waiting = _fork()
        become_subreaper()
        return True

    def settle(self, packet: Mapping[str, Any]) -> None:
        """The daemon is in charge, and says where and how lines of the log are written."""
        stdio.choose(packet.get("log"))
        path = packet.get("file")
        if isinstance(path, str):
            try:
                stdio.follow(path)
            except OSError as error:
                stdio.log("emperor.keeper", f"{path}: {error.strerror}", stdio.ERROR)
        self._may = False
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            try:
                os.write(waiting, b"1")
            except OSError:  # the process that waits was killed
                pass
            finally:
                os.close(waiting)


def become_subreaper() -> None:
    """Become the parent of all orphans below. A forked process is none."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _fork() -> int:
    """Go on as a child; the end of a pipe by which it tells its parent. Raises OSError."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid != 0:
        os.close(tell)
        _wait(told, pid)
    os.close(told)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    return tell


def _wait(told: int, keeper: int) -> NoReturn:
    """Exit as the keeper's start ends. Signals go to the keeper meanwhile."""
    signal.set_wakeup_fd(-1)
    for number in _FORWARDED:
        signal.signal(number, lambda number, _: os.kill(keeper, number))
    if os.read(told, 1):
        os._exit(0)
    _, status = os.waitpid(keeper, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)

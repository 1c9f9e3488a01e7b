"""Kills by the kernel for lack of memory (the OOM killer): which process, by the kernel's words.

A SIGKILL alone does not tell its sender. The kernel tells it in two places:

- Its log, /dev/kmsg, names the pid that it killed. Root may read it, and others where
  ``kernel.dmesg_restrict`` is 0. The pid is that of the first pid namespace.
- ``memory.events`` of a cgroup counts the processes of it that were killed so (``oom_kill``), where
  the cgroup has the controller ``memory``. It goes with the cgroup, so it is read before the end.

The log decides where it can be read. A line of it counts only if the kernel wrote it itself, not a
program that writes to /dev/kmsg (facility 0; see the kernel's Documentation/ABI/testing/dev-kmsg).
"""

import contextlib
import os
import re
import time
from typing import Final

from . import threads
from .process import Process

KMSG: Final = "/dev/kmsg"
_FIRST_NAMESPACE: Final = "pid:[4026531836]"  # PROC_PID_INIT_INO of the kernel
_RECORD: Final = 8192  # bytes; the kernel refuses smaller reads of a longer record
_MOST: Final = 200_000  # records; more than the largest log of a kernel has
_SLACK: Final = 60.0  # seconds that the log's clock may differ from the monotonic one
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_LINE: Final = re.compile(
    rb"(\d+),\d+,(\d+),[^;]*;"
    rb"((?:Memory cgroup out of memory|Out of memory[^:]*): Killed process (\d+) [^\n]{0,200})"
)
_COUNT: Final = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
_OF_KILL: Final = 128 + 9  # the exit code of a shell whose program was killed
Killed = dict[int, tuple[float, str]]
"""By pid, when the kernel killed it (seconds since the boot), and its words."""


def looks_killed(code: int | None, signal: int | None) -> bool:
    """Whether a process was killed, or a shell says so of its program."""
    return signal == 9 or code == _OF_KILL


def killed(path: str = KMSG) -> Killed | None:
    """The kills in the kernel's log; None where it cannot be read. Blocks for some milliseconds."""
    if path == KMSG and not _sees_first_namespace():
        return None
    try:
        log = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    found: Killed = {}
    try:
        for _ in range(_MOST):
            try:
                record = os.read(log, _RECORD)
            except BrokenPipeError:
                continue  # the record was overwritten meanwhile: the next one is read
            except BlockingIOError:
                break
            if not record:
                break
            line = _LINE.match(record)
            if line is not None and int(line[1]) >> 3 == 0:
                found[int(line[4])] = int(line[2]) / 1e6, line[3].decode(errors="replace")
    except OSError:
        return None
    finally:
        os.close(log)
    return found


def _sees_first_namespace() -> bool:
    with contextlib.suppress(OSError):
        return os.readlink("/proc/self/ns/pid") == _FIRST_NAMESPACE
    return False


def counted(cgroup: str | None) -> int:
    """How many processes of a cgroup were killed for lack of memory. Blocks for a moment."""
    if cgroup is None:
        return 0
    try:
        with open(os.path.join(cgroup, "memory.events")) as file:
            count = _COUNT.search(file.read())
    except OSError:
        return 0
    return 0 if count is None else int(count[1])


class KernelKills:
    """Says of dead leaders whether the kernel killed them for lack of memory."""

    def __init__(self) -> None:
        self._log = threads.Shared(killed)  # one look serves all that died together

    async def message(self, process: Process, signal: int | None, count: int) -> str:
        """The kernel's message about the death of a process; empty where it has none.

        ``count`` is what ``counted`` said while the cgroup was there.
        """
        log = await self._log()
        if log is not None and signal is not None:
            at, text = log.get(process.pid, (0.0, ""))
            return text if at >= _began(process.started) - _SLACK else ""
        return f"memory.events: oom_kill {count}" if count else ""


def _began(started: int) -> float:
    """When a process began, by the clock of the kernel's log, which stands still in a suspend."""
    suspended = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    return started / _TICKS - suspended

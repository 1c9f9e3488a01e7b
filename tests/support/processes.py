"""Looking at processes from outside, without the code that is tested."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .waiting import breathe

_KERNEL_THREAD = 0x00200000  # a flag in stat, see PF_KTHREAD in the kernel's sched.h


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    return _state(pid) not in ("", "Z", "X")


def sleeps(pid: int) -> bool:
    """Whether a process waits for something to happen, and not for a disk."""
    return _state(pid) == "S"


def stopped(pid: int) -> bool:
    """Whether a signal has stopped it."""
    return _state(pid) == "T"


def _state(pid: int) -> str:
    """Its state as ps shows it; empty if it has gone (proc(5))."""
    return (_stat(pid) or [""])[0]


def _stat(pid: int) -> list[str]:
    """The fields of its stat from the third on; empty if it has gone (proc(5))."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return []
    return stat.rpartition(b")")[2].decode().split()


def _has_no_environment(pid: int) -> bool:
    """Whether a process has gone, or was started with an empty environment.

    Otherwise the kernel is just giving it another program, and sets its environment at the end.
    """
    fields = _stat(pid)
    if not fields or fields[0] in "ZX" or int(fields[6]) & _KERNEL_THREAD:
        return True
    start, end = fields[47:49]  # of the environment in its memory
    return start == end != "0"


def environment_of(pid: int) -> dict[str, str]:
    """The environment a process was started with; empty if it has gone."""
    return _parsed(_environ(pid))


def _environ(pid: int) -> bytes:
    """Its environment as the kernel shows it; empty if it has gone.

    A process that executes another program has none for a moment, which may last on a busy machine.
    """
    try:
        while True:
            with open(f"/proc/{pid}/environ", "rb", buffering=0) as opened:
                raw = opened.readall()
            if raw or _has_no_environment(pid):
                return raw
            breathe()
    except OSError:
        return b""


def _parsed(environ: bytes) -> dict[str, str]:
    pairs = (entry.partition(b"=") for entry in environ.split(b"\0") if entry)
    return {os.fsdecode(key): os.fsdecode(value) for key, _, value in pairs}


def argv_of(pid: int) -> list[str]:
    """The command line of a process; empty if it has gone."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(word) for word in raw.split(b"\0")[:-1]]


def environments(key: str, value: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The living processes that have this in their environment, each with all of it.

    One look says both: at a second one the process may have ended, or be about to execute. Each
    test looks at all processes of the machine, so only environments that have it are parsed.
    """
    sought = os.fsencode(f"{key}={value}")
    for name in os.listdir("/proc"):
        if name.isdigit() and sought in (raw := _environ(int(name))):
            its = _parsed(raw)
            if its.get(key) == value and alive(int(name)):
                yield int(name), its


def children_of(pid: int) -> list[int]:
    """The children of a process, in the order of their pids."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # the thread has ended meanwhile
            found += map(int, task.read_text().split())
    return sorted(found)


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process that may have gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return

"""Processes as /proc has them: the descendants of one, their processor time and their memory."""

import contextlib
import os
import signal
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")


def _stat(pid: int | str) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty if it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def descendants(root: int, but: Collection[int] = ()) -> list[int]:
    """A process and those below it, without some of them and without those below these.

    Those are not looked at. The kernel keeps inodes of a look until the process is reaped, and its
    parent pays for that.
    """
    found, known = [root], {root, *but}
    for pid in found:
        with contextlib.suppress(OSError):  # it has ended
            for thread in os.listdir(f"/proc/{pid}/task"):
                children = Path(f"/proc/{pid}/task/{thread}/children").read_text().split()
                fresh = set(map(int, children)) - known
                known |= fresh
                found += sorted(fresh)
    return found


def with_variable(word: str) -> list[int]:
    """The processes that were started with this ``NAME=VALUE`` in their environment."""
    found = []
    for entry in os.scandir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            pid = int(entry.name)
            if word.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(pid)
    return found


def is_gone(pid: int) -> bool:
    """Whether a process has ended. One that is gone costs little: it is a part of what is timed."""
    with contextlib.suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
    fields = _stat(pid)
    return not fields or fields[0] in "ZX"


def spent(pids: Iterable[int]) -> float:
    """Seconds of processor time of these processes and of the children that they have reaped."""
    total = 0.0
    for pid in pids:
        fields = _stat(pid)
        if not fields:
            continue
        total += (int(fields[13]) + int(fields[14])) * TICK
        total += spent_alone([pid])
    return total


def spent_alone(pids: Iterable[int]) -> float:
    """The same, without their children and without a look into /proc."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3): nanoseconds
    return total


def name_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:4]
        return " ".join(Path(word).name for word in words)
    return "?"


@dataclass
class Memory:
    """Megabytes (of 2**20 bytes)."""

    rss: float = 0.0
    pss: float = 0.0
    anonymous: float = 0.0

    def __add__(self, other: "Memory") -> "Memory":
        return Memory(self.rss + other.rss, self.pss + other.pss, self.anonymous + other.anonymous)


def memory(pid: int) -> Memory:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {key: int(rest.split()[0]) / 1024 for key, _, rest in (x.partition(":") for x in lines)}
    return Memory(sizes["Rss"], sizes["Pss"], sizes["Anonymous"])


def kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def file_system(path: Path) -> str:
    """The type of the file system that a path is on."""
    best, found = "", "?"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        inside = where == "/" or f"{path}/".startswith(f"{where}/")
        if inside and len(where) >= len(best):
            best, found = where, kind
    return found

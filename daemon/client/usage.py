"""CPU and memory of vassals: of the cgroup where a vassal has one, else of its process tree.

A fleet may have thousands of vassals, and a look at one reads two files for each of its processes.
So not all are looked at each time: first those on the screen, then as many of the others as the
time allows, in turns. The share of a vassal counts between its own last two looks.
"""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_MOST: Final = 4_000  # processes of one vassal that are looked at
_SOON: Final = 0.05  # seconds; a share over less time says nothing


class Sample(NamedTuple):
    """The processes of a vassal at one moment."""

    cpu: float  # seconds of CPU time that they have used, and those before them
    memory: int  # bytes
    processes: int


class Usage(NamedTuple):
    """How much a vassal uses. ``share`` is 1.0 for a whole core, None after a single look."""

    share: float | None
    sample: Sample


class _Known(NamedTuple):
    pid: int
    at: float
    use: Usage


class Sampler:
    """Looks at vassals, and remembers the last look at each."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._next = 0  # the vassal whose turn it is

    def use(self, vassal: Mapping[str, Any]) -> Usage | None:
        """How much its present process uses; None where it was not looked at yet."""
        known = self._known.get(vassal["name"])
        return known.use if known is not None and known.pid == vassal.get("pid") else None

    def measure(self, vassals: Iterable[Mapping[str, Any]]) -> None:
        """Look at all of these."""
        for vassal in vassals:
            self._measure(vassal)

    def measure_some(self, vassals: Sequence[Mapping[str, Any]], seconds: float) -> None:
        """Look at some of these, as many as ``seconds`` of CPU time allow, each in its turn."""
        until = time.thread_time() + seconds
        for _ in range(len(vassals)):
            if time.thread_time() >= until:
                return
            self._next = (self._next + 1) % len(vassals)
            self._measure(vassals[self._next])

    def forget_others(self, vassals: Iterable[Mapping[str, Any]]) -> None:
        """Forget vassals that are gone."""
        there = {vassal["name"] for vassal in vassals}
        self._known = {name: known for name, known in self._known.items() if name in there}

    def _measure(self, vassal: Mapping[str, Any]) -> None:
        name, pid = vassal["name"], vassal.get("pid")
        found = None if pid is None else sample(pid, vassal.get("cgroup"))
        if pid is None or found is None:
            self._known.pop(name, None)
            return
        now = time.monotonic()
        before = self._known.get(name)
        share = None
        if before is not None and before.pid == pid:
            if now - before.at < _SOON:
                return
            share = max(0.0, found.cpu - before.use.sample.cpu) / (now - before.at)
        self._known[name] = _Known(pid, now, Usage(share, found))


def sample(pid: int, cgroup: str | None) -> Sample | None:
    """The processes of a vassal now; None where they are gone."""
    try:
        if cgroup is not None:
            return _of_cgroup(cgroup)
    except (OSError, ValueError, KeyError):
        pass  # its attempt is over, or this user may not read it
    return _of_tree(pid)


def _of_cgroup(cgroup: str) -> Sample:
    """All of a cgroup. The CPU time is known without a controller, the memory only with its own.

    ``pids.current`` is no number of processes: it counts threads.
    """
    cpu = dict(line.split() for line in _read(f"{cgroup}/cpu.stat").splitlines())
    pids = _members(cgroup)
    try:
        memory = int(_read(f"{cgroup}/memory.current"))
    except FileNotFoundError:
        memory = sum(map(_resident, pids))
    return Sample(int(cpu[b"usage_usec"]) / 1e6, memory, len(pids))


def _members(cgroup: str) -> list[int]:
    """The processes of a cgroup, and of those below it, which a vassal may have made."""
    pids: list[int] = []
    waiting = [cgroup]
    while waiting and len(pids) < _MOST:
        each = waiting.pop()
        pids += map(int, _read_list(f"{each}/cgroup.procs"))
        if b"nr_descendants 0\n" not in _read(f"{each}/cgroup.stat"):
            waiting += [entry.path for entry in os.scandir(each) if entry.is_dir()]
    return pids


def _resident(pid: int) -> int:
    """The bytes of memory that a process has; 0 where it has ended."""
    try:
        return int(_read(f"/proc/{pid}/statm").split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _of_tree(pid: int) -> Sample | None:
    """A process and its descendants. Children that were reaped count with their parent."""
    ticks = pages = processes = 0
    waiting = [pid]
    while waiting and processes < _MOST:
        each = waiting.pop()
        try:
            fields = _read(f"/proc/{each}/stat").rpartition(b")")[2].split()
            ticks += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime of proc(5)
            pages += int(fields[21])
            processes += 1
            waiting += _children(each, int(fields[17]))
        except (OSError, ValueError, IndexError):
            continue  # it has ended meanwhile
    return Sample(ticks / _TICKS, pages * _PAGE, processes) if processes else None


def _children(pid: int, threads: int) -> list[int]:
    """The children of a process; each thread has its own."""
    tasks = [str(pid)] if threads == 1 else os.listdir(f"/proc/{pid}/task")
    return [int(one) for task in tasks for one in _read_list(f"/proc/{pid}/task/{task}/children")]


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 1 << 16)
    finally:
        os.close(descriptor)


def _read_list(path: str) -> list[bytes]:
    """The words of a file that may be long: the kernel gives about 4 KiB of it in one read."""
    read = []
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while part := os.read(descriptor, 1 << 16):
            read.append(part)
    finally:
        os.close(descriptor)
    return b"".join(read).split()

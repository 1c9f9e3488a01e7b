"""Strays: processes below the daemon that cannot be attributed to an attempt.

A descendant of a vassal can remove its mark and its tag. Without a cgroup it then outlives the
stop of its vassal. The daemon is the subreaper of all below it, so such a process becomes its
child, or the keeper's. The daemon does not kill it, because it could belong to another vassal of
the same user that runs on. The log and ``status`` name it.

A process is a stray if it has no mark, tag or cgroup of a vassal that runs, and either

- no vassal runs that it could be of, or
- it was there when a vassal ended that it could be of.

In tyrant mode a process can be of the vassals of its user only. A process of root is no vassal's.
A process is reported when it was seen twice, because a start may be under way.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import trio

from ...journal.policy import Policy
from ...monitors.names import shown
from . import procfs
from .cgroups import Cgroups
from .process import Process

log = logging.getLogger("emperor.host")

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_MOST: Final = 100  # that are named
_OURS: Final = 20.0  # seconds that a program of the daemon's own may take, if it is not a vassal's


class StrayProcess(NamedTuple):
    """A process that cannot be attributed."""

    pid: int
    start: int
    uid: int
    program: str

    def __str__(self) -> str:
        name = shown(self.program)
        return f"process {self.pid} ({name}) of uid {self.uid} runs, and may be left of a vassal"


class StrayProcesses:
    """Finds strays, and remembers those that were found."""

    def __init__(self, policy: Callable[[], Policy], cgroups: Cgroups) -> None:
        self._policy = policy
        self._cgroups = cgroups
        self._ends: dict[int | None, int] = {}  # by user: ticks since boot when a vassal ended last
        self._seen: dict[tuple[int, int], float] = {}  # candidates, and since when
        self._known: dict[tuple[int, int], StrayProcess] = {}
        self._any_ended = trio.Event()

    def ended(self, uid: int | None) -> None:
        """A vassal has ended; outside of tyrant mode its user does not tell it from others."""
        self._ends[uid] = _now()
        self._any_ended.set()

    def next_end(self) -> trio.Event:
        """An event for the next end of a vassal."""
        self._any_ended = trio.Event()
        return self._any_ended

    @property
    def has_candidates(self) -> bool:
        """Whether the last look has seen a process that may be a stray, or become one."""
        return bool(self._seen)

    def look(
        self, pids: Iterable[int], processes: list[Process], marks: set[str], *, last: bool = False
    ) -> None:
        """Look at these processes, of which some may be strays. Blocks; for a worker thread.

        Unjournaled processes have the ``marks`` and are reported elsewhere. The ``last`` look is
        made when no vassal is left.
        """
        leaders = {each.pid for each in processes}
        before, self._seen = self._seen, {}
        others = [pid for pid in pids if pid not in leaders]
        if not others:
            return
        marks = marks | {each.mark for each in processes}
        tags = {procfs.limit_tag(mark) for mark in marks}
        users = {each.uid for each in processes}
        for pid in others:
            start = procfs.start_time(pid)
            if start is None or self._is_attributed(pid, marks, tags, processes):
                continue
            uid = procfs.owner(pid)
            if uid is None or self._is_ours(pid, uid):
                continue
            again = (pid, start) in before
            since = self._seen[pid, start] = before.get((pid, start), time.monotonic())
            key = uid if self._policy().tyrant else None
            if key in users and start > self._ends.get(key, -1):
                continue  # it may be of a vassal that runs
            old = key is not None or time.monotonic() - since > _OURS
            if last or (again and old):
                self._report(StrayProcess(pid, start, uid, procfs.program(pid)))

    def _is_attributed(
        self, pid: int, marks: set[str], tags: set[int], processes: list[Process]
    ) -> bool:
        if procfs.mark_of(pid) in marks or procfs.limit_tag_of(pid) in tags:
            return True
        return self._cgroups.of_attempt(pid) in {each.cgroup for each in processes} - {None}

    def _is_ours(self, pid: int, uid: int) -> bool:
        """Whether it is a program that the daemon or its keeper has run for itself."""
        policy = self._policy()
        if uid == 0 and (policy.tyrant or policy.user is not None):
            return True
        ours = (procfs.session(os.getpid()), procfs.session(os.getppid()))
        # A hook of a former daemon is in the session of that one. Where vassals are of other users,
        # one cannot pose as a hook.
        return procfs.session(pid) in ours or (uid == os.geteuid() and procfs.is_hook(pid))

    def _report(self, stray: StrayProcess) -> None:
        identity = (stray.pid, stray.start)
        if identity in self._known or len(self._known) >= _MOST:
            return
        self._known[identity] = stray
        log.warning("%s; nothing tells of which one: end it if it is not wanted", stray)

    def alive(self) -> list[str]:
        """Those that live still, in words."""
        for pid, start in list(self._known):
            if procfs.start_time(pid) != start:
                del self._known[pid, start]
        return [str(stray) for stray in self._known.values()]


def _now() -> int:
    """Ticks since boot, as start times of processes are (proc(5))."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * _TICKS)

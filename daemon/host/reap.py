"""Process trees of vassals, and how they end: stopped means that nothing is left.

An attempt's cgroup is killed first, where it has one (``cgroups.py``). Then the leader's process
group is killed. A descendant that left the group is found by its mark or tag, which it inherits
(``procfs.py``).

The daemon is the subreaper of all that it started itself (prctl(2)), so the orphans of its own
vassals are among its children. Those of adopted vassals can be anywhere. Where the leader was in
its cgroup, only orphans are looked at: root may have moved one elsewhere. A look at all processes
takes longer.
"""

import contextlib
import itertools
import logging
import os
import signal
from collections.abc import Callable, Sequence
from typing import Final

import trio

from . import procfs, threads
from .cgroups import Cgroups
from .process import Process

log = logging.getLogger("emperor.host")

_PROMPT: Final = 0.05  # seconds in which killed processes are usually gone
_MOST: Final = 256  # orphans that are reaped at once
_PAUSE: Final = 0.005  # seconds until the next orphans are reaped
_TURN: Final = 0.02  # seconds between looks, as dead leaders are not reaped here
_NO_CHILD: Final = 1.0  # seconds between looks while nothing could die, or no thread can wait
# Only children of this thread (waitid(2)). The first thread of a process gets the orphans, and runs
# the event loop. A child that another thread started and waits for keeps its status.
_WNOTHREAD: Final = 0x20000000


class ProcessTrees:
    """Ends the descendants that vassals leave. ``leaders`` gives the pids of vassals that run.

    ``orphans`` gives the pids of all children of the daemon and its keeper, leaders among them.
    """

    def __init__(
        self,
        leaders: Callable[[], set[int]],
        cgroups: Cgroups | None = None,
        orphans: Callable[[], set[int]] = lambda: set(procfs.children()),
    ) -> None:
        self._leaders = leaders
        self._cgroups = Cgroups() if cgroups is None else cgroups
        self._all_orphans = orphans
        self._processes = threads.Shared(procfs.all_processes)
        self._orphans = threads.Shared(self._look_for_orphans)
        self._one_waits = trio.CapacityLimiter(1)
        self._child_started = trio.Event()
        self._traced: dict[int, int] = {}  # dead leaders that cannot be reaped yet: start times

    async def end(self, process: Process) -> None:
        """Kill the descendants of a dead leader, and return when none is left."""
        if process.cgroup is not None:
            killed = await self._cgroups.end(process.cgroup, process.name, process.uid)
            process.in_cgroup = process.in_cgroup and killed is not None
            # They became our children. Looking at thousands of zombies would take seconds.
            for pid in (killed or set()) - self._leaders():
                _reap_here(pid)
        pause = 0.001
        told: set[int] = set()
        while True:
            left = _group_left(process.pid)
            if left:
                kill_group(process.pid)
            try:
                if left and pause > _PROMPT:
                    # Where process 1 does not reap, an orphan's zombie stays. It is no remnant.
                    left = await threads.run_sync(procfs.lives_in_group, process.pid)
                strays = await self._strays(process)
            except OSError:  # out of descriptors: without a look it is unknown whether all are gone
                left, strays = True, []
            not_ours = {pid for pid in strays if not _kill_stray(pid)}
            for pid in not_ours - told:
                log.warning(
                    "%s: it has left process %d, which runs as another user: it cannot be"
                    " killed without root",
                    process.name,
                    pid,
                )
            told |= not_ours
            if not left and told.issuperset(strays):
                return
            await trio.sleep(pause)
            pause = min(pause * 2, 0.5)

    async def left(self, processes: Sequence[Process]) -> set[Process]:
        """Those of these that may have left something, which ``end`` ends.

        They are dead leaders without a cgroup that were our children. One look serves all.
        """
        try:
            seen = await self._orphans()
        except Exception:  # out of descriptors, or a bug: ``end`` meets it again, one by one
            return set(processes)
        return {each for each in processes if _may_be_left(seen, each)}

    async def _strays(self, process: Process) -> list[int]:
        """Descendants that left the vassal's process group (see ``procfs.py``)."""
        # The orphans of an adopted one were not handed to us, they can be anywhere.
        near = process.in_cgroup or process.is_child
        look = self._orphans if near else self._processes
        return _remnants(await look(), process)

    def _look_for_orphans(self) -> procfs.Processes:
        return procfs.all_processes(lambda: self._all_orphans() - self._leaders())

    def reap_leader(self, process: Process) -> None:
        """Reap a dead leader; later, if it is traced. Its parent is the thread that started it."""
        with contextlib.suppress(ChildProcessError):
            if os.waitid(os.P_PIDFD, process.pidfd, os.WEXITED | os.WNOHANG) is None:
                self._traced[process.pid] = process.started

    def expect_orphans(self) -> None:
        """A child has been started. Its descendants may become our children from now on."""
        self._child_started.set()

    async def reap(self) -> None:
        """Reap orphans of vassals, our children now, as they die. Until cancelled."""
        while True:
            if not await self._death():
                with trio.move_on_after(_NO_CHILD):
                    await self._child_started.wait()
            self._child_started = trio.Event()
            # No look at processes runs meanwhile: it may see a process that forks and dies, over
            # and over, only as a zombie.
            async with self._orphans.lock:
                more = self._reap_some()
            await trio.sleep(_PAUSE if more else _TURN)

    async def _death(self) -> bool:
        """Wait until a child is dead; False if that cannot be waited for."""
        try:
            return await trio.to_thread.run_sync(
                _wait_for_death, limiter=self._one_waits, abandon_on_cancel=True
            )
        except RuntimeError as error:
            if not threads.refused(error):
                raise
        return False

    def _reap_some(self) -> bool:
        """Reap some dead orphans; whether there may be more."""
        for pid, started in list(self._traced.items()):
            with contextlib.suppress(OSError):  # out of descriptors: try again next time
                if procfs.start_time(pid, dead_too=True) == started:
                    reap_quietly(os.P_PID, pid)
                if procfs.start_time(pid, dead_too=True) != started:
                    del self._traced[pid]
        leaders = self._leaders()
        for _ in range(_MOST):
            dead = _dead(os.P_ALL, 0)
            if dead is None:
                return False
            if dead in leaders:
                return self._reap_behind(leaders)
            reap_quietly(os.P_PID, dead)
        return True

    def _reap_behind(self, leaders: set[int]) -> bool:
        """As ``_reap_some`` where waitid(2) returns a leader first, which is reaped elsewhere."""
        try:
            listed = procfs.children_of_thread(os.getpid())
        except OSError:  # out of descriptors: try again next time
            return False
        found = (pid for pid in listed if pid not in leaders and _dead(os.P_PID, pid) is not None)
        some = list(itertools.islice(found, _MOST))
        for pid in some:
            reap_quietly(os.P_PID, pid)
        return len(some) == _MOST


def _remnants(seen: procfs.Processes, process: Process) -> list[int]:
    return procfs.remnants(seen, process.mark, process.pid, process.started, process.uid)


def _may_be_left(seen: procfs.Processes, process: Process) -> bool:
    try:
        return _group_left(process.pid) or bool(_remnants(seen, process))
    except Exception:  # ``end`` meets it again, about this one alone
        return True


def _wait_for_death() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _dead(kind: int, number: int) -> int | None:
    """The pid of a dead child of this thread; None if there is none."""
    try:
        status = os.waitid(kind, number, os.WEXITED | os.WNOHANG | os.WNOWAIT | _WNOTHREAD)
    except ChildProcessError:
        return None
    return None if status is None else status.si_pid


def kill_group(pid: int) -> None:
    """Kill what is in the process group of this leader."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _kill_stray(pid: int) -> bool:
    """Kill it; False if it is not ours to kill."""
    if _reap_here(pid):
        return True  # it was dead already
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    except PermissionError:
        return False
    _reap_here(pid)
    return True


def _reap_here(pid: int) -> bool:
    """Reap a dead child of this thread; whether there was one.

    A check of a vassal has its mark, too, and is a child of the thread that waits for its status.
    """
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | _WNOTHREAD) is not None
    except ChildProcessError:
        return False


def _group_left(group: int) -> bool:
    if not _is_group(group):
        return False
    reap_quietly(os.P_PGID, group)
    return _is_group(group)


def _is_group(group: int) -> bool:
    """Whether a process is in this group, a zombie too, that is ours to kill."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def reap_quietly(kind: int, number: int) -> None:
    """Reap all dead children that are meant, if there are any."""
    try:
        while os.waitid(kind, number, os.WEXITED | os.WNOHANG) is not None:
            if kind != os.P_PGID:
                return
    except ChildProcessError:
        pass

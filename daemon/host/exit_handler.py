"""Ends: from the death of a leader until its exit is recorded.

A vassal leads its own session and process group (``spawn.py``). When its leader has died, its tree
is killed and waited for (``reap.py``). Only then the exit is recorded: stopped means that nothing
is left. A zombie leader is reaped after its group was signalled, so that no other process can have
its pid yet. The keeper is told how it ended before it is reaped: a daemon that is killed in between
does not lose the exit status. Of a process that was killed without an order, the kernel is asked
whether it did that for lack of memory.
"""

import contextlib
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

import trio

from ...journal.events import Exited
from ..core.draft import Draft
from ..core.inputs import HostEvent, News
from ..keeper.link import Death
from . import kernel_kills, procfs, recovery, threads, uwsgi_plugins
from .context import HostContext
from .kernel_kills import KernelKills
from .mailbox import Mailbox
from .notifications import Notifications
from .process import Process
from .reap import ProcessTrees, kill_group
from .stray_processes import StrayProcesses

_KEEPERS_ANSWER: Final = 10.0  # seconds for the keeper to say how its child ended
_End = tuple[Process, Death]
_D = TypeVar("_D", Death, Death | None)


class ExitHandler:
    """Ends the trees of dead leaders, reaps them, and records their exits."""

    def __init__(
        self,
        context: HostContext,
        mailbox: Mailbox,
        notifications: Notifications,
        trees: ProcessTrees,
        strays: StrayProcesses,
    ) -> None:
        self._policy = context.policy
        self._processes = context.processes
        self._watch = context.watch
        self._tasks = context.tasks
        self._outbox = context.outbox
        self._mailbox = mailbox
        self._notifications = notifications
        self._trees = trees
        self._strays = strays
        self._logs = context.logs
        self._keeper = context.keeper
        self._cgroups = context.cgroups
        self._copies = context.copies
        self._hooks = context.hooks
        self._config_text = context.config_text
        self._kernel_kills = KernelKills()
        self._shares = threads.Shares()
        self._dead: list[Process] = []  # that the next turn of the loop handles

    def handle(self, process: Process) -> None:
        """A leader has died: end its tree, reap it, and record its exit. Returns at once.

        Those that die in one turn of the loop are handled together.
        """
        self._watch.remove(process.pidfd)
        self._dead.append(process)
        if len(self._dead) == 1:
            self._tasks.nursery.start_soon(self._handle_dead)

    async def _handle_dead(self) -> None:
        """Handle all that have died: the simple ends together, each other in a task of its own.

        The keeper is told how they ended before the first one is reaped.
        """
        dead, self._dead = self._dead, []
        deaths = [self._entrusted(process) for process in dead]
        self._keeper.flush()
        simple: list[_End] = []
        for process, death in zip(dead, deaths, strict=True):
            if death is not None and self._is_simple(process):
                simple.append((process, death))
            else:
                self._tasks.nursery.start_soon(self._confined, self._handle, process, death)
        if simple:
            await self._end_all(simple)

    async def _confined(
        self, step: Callable[[Process, _D], Awaitable[None]], process: Process, death: _D
    ) -> None:
        try:
            await step(process, death)
        except Exception as error:
            self._fail(process, error)

    # Simple ends, together

    def _is_simple(self, process: Process) -> bool:
        """Whether its end was ordered, and only its descendants may have to be waited for."""
        more = process.cgroup is not None or process.spec.copy or self._hooks.any_ended
        return process.end_ordered and not more

    async def _end_all(self, ends: list[_End]) -> None:
        """End, reap and record them, with one look at processes and one record for all.

        With a task for each, a stop of a thousand took a sixth longer.
        """
        reaped: list[_End] = []
        for process, death in ends:
            try:
                kill_group(process.pid)
                self._trees.reap_leader(process)
                reaped.append((process, death))
            except Exception as error:
                self._fail(process, error)
        left = await self._trees.left([process for process, _ in reaped])
        exits: list[News] = []
        gone: list[Process] = []
        for process, death in reaped:
            if process in left:
                self._tasks.nursery.start_soon(self._confined, self._end, process, death)
                continue
            try:
                self._release(process)
                exits.append(HostEvent(self._draft(process, death)))
                gone.append(process)
            except Exception as error:
                self._fail(process, error)
        if exits:
            await self._outbox.tell(exits)
        for process in gone:
            self._keeper.acknowledge(process.identity)

    # Other ends, one by one

    async def _handle(self, process: Process, entrusted: Death | None) -> None:
        kill_group(process.pid)
        if process.cgroup is not None and not process.in_cgroup:  # it is known until it is reaped
            process.in_cgroup = self._cgroups.holds(process.cgroup, process.pid)
        await self._end(process, await self._reap(process, entrusted))

    async def _end(self, process: Process, death: Death) -> None:
        """End the descendants of a leader that is reaped, and record its exit."""
        unasked = kernel_kills.looks_killed(death.code, death.signal) and not process.end_ordered
        count = 0
        if unasked and process.cgroup is not None:  # the cgroup goes with the tree
            counted = kernel_kills.counted
            count = await self._shares.run_sync(process.uid, counted, process.cgroup)
        await self._trees.end(process)
        oom = await self._kernel_kills.message(process, death.signal, count) if unasked else ""
        last = ""
        if self._logs is not None and not process.end_ordered:
            args = (process.name, process.log_start, process.log_file)
            last = await self._shares.run_sync(process.uid, self._logs.last_lines, *args)
            last += await self._hint(process)
        self._release(process)
        if process.spec.copy:
            await threads.run_sync(self._copies.release, (process.name, process.attempt))
        # Before its end is recorded: after the last one the daemon may leave at once.
        if self._hooks.any_ended:
            self._tasks.start("hooks", process, self._hooks.ended)
        await self._outbox.record(self._draft(process, death, last, oom))
        self._keeper.acknowledge(process.identity)

    def _release(self, process: Process) -> None:
        """Let go of all that a process had, as nothing of its tree is left."""
        self._strays.ended(process.uid)
        self._watch.remove_control(process)
        self._watch.remove_config(process)
        self._keeper.drop(process.kept_name, soon=True)
        self._notifications.forget(process)
        process.discard()
        self._processes.remove(process)
        self._mailbox.forget(process)

    def _draft(self, process: Process, death: Death, log: str = "", oom: str = "") -> Draft:
        """The record of an exit. ``log`` are the last lines, ``oom`` the kernel's message."""
        body = Exited(
            attempt=process.attempt,
            code=death.code,
            signal=death.signal,
            log=log,
            reload=self._is_of_reload(process, death),
            oom=oom,
        )
        return Draft("exited", body, None, process.name)

    async def _hint(self, process: Process) -> str:
        """The plugins that a uWSGI lacks which did not come up."""
        spec = process.spec
        if not process.speaks or process.is_up or spec.config is None:
            return ""
        text = self._config_text(spec.config)
        look = partial(uwsgi_plugins.hint, text, spec, self._policy())
        return await self._shares.run_sync(process.uid, look)

    def _fail(self, process: Process, error: Exception) -> None:
        """Forget a dead process, even if not all of it can be tidied up, and tell the error."""
        steps: list[Callable[[], object]] = [
            partial(self._watch.remove_config, process),
            partial(self._trees.reap_leader, process),
            partial(self._strays.ended, process.uid),
            partial(self._watch.remove_control, process),
            partial(self._keeper.drop, process.kept_name),
            partial(self._notifications.forget, process),
            process.discard,
            partial(self._copies.release, (process.name, process.attempt)),
            partial(self._keeper.acknowledge, process.identity),
        ]
        if process.cgroup is not None:
            steps.append(partial(self._cgroups.kill, process.cgroup))
        if self._processes.holds(process):
            self._processes.remove(process)
            for step in steps:
                with contextlib.suppress(Exception):
                    step()
        self._mailbox.forget(process)
        self._tasks.fail(process.name, "reap", error, gone=process.attempt)

    def _is_of_reload(self, process: Process, death: Death) -> bool:
        """Whether it died of the signal that was to reload it."""
        if process.end_ordered or not recovery.of_signal(death, process.reload_signal):
            return False  # as at most ends, so the clock is asked last
        return trio.current_time() - process.reload_signalled_at <= self._policy().mercy

    def _entrusted(self, process: Process) -> Death | None:
        """How a child ended, if the keeper has that now."""
        if process.is_child:
            with contextlib.suppress(OSError):  # out of descriptors: it is tried again
                return self._entrust(process)
        return None

    def _entrust(self, process: Process) -> Death:
        """How a child ended. The keeper has it until it is recorded. Raises OSError."""
        death = _peek(process)
        self._keeper.entrust_death(process.identity, death)
        return death

    async def _reap(self, process: Process, entrusted: Death | None) -> Death:
        """How a dead leader ended; unknown if it is neither our child nor the keeper's."""
        if process.is_child:
            death = entrusted or self._entrust(process)
            self._keeper.flush()
            self._trees.reap_leader(process)
            return death
        told = None
        if process.is_keepers_child:
            told = await self._keeper.death_of(process.identity, _KEEPERS_ANSWER)
        return told or Death(None, None)


def _peek(process: Process) -> Death:
    """How a child ended that is dead and not reaped yet."""
    status = os.waitid(os.P_PIDFD, process.pidfd, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    if status is None:
        # The kernel tells a tracer (ptrace(2)) first, and the tracer takes its time. Any process of
        # the vassal's user may be one, and must not hold us up. The child is reaped when it can be.
        return Death(*procfs.ended(process.pid))
    if status.si_code == os.CLD_EXITED:
        return Death(status.si_status, None)
    return Death(None, status.si_status)

"""Adoption at the daemon's start: the processes and sockets of the daemon before.

Every attempt that was under way gets one record: adopted, or ended (``recovery.py``). A process
that the journal does not know (*unjournaled*) stays until its vassal is to start
(``unjournaled.py``). Sockets whose processes are gone are closed.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

import trio

from ..core.draft import Draft
from ..core.fleet import Fleet, Vassal
from ..core.listening import addresses
from ..keeper.refusals import about_no_vassal
from . import adoption, held_sockets, notify_socket, reclaimed, recovery, threads, unjournaled
from .context import HostContext
from .listeners import Listeners
from .mailbox import Mailbox
from .notifications import Notifications
from .on_demand import OnDemand
from .recovery import Survivor
from .unjournaled import UnjournaledProcess

_AT_ONCE: Final = 32  # processes that are adopted before others go on; each takes 0.1 ms


class Adopter:
    """Takes over what a former daemon left."""

    def __init__(
        self,
        context: HostContext,
        mailbox: Mailbox,
        notifications: Notifications,
        on_demand: OnDemand,
    ) -> None:
        self._processes = context.processes
        self._watch = context.watch
        self._tasks = context.tasks
        self._mailbox = mailbox
        self._notifications = notifications
        self._on_demand = on_demand
        self._kept_sockets = on_demand.kept
        self._unjournaled = context.unjournaled
        self._logs = context.logs
        self._keeper = context.keeper
        self._cgroups = context.cgroups
        self._copies = context.copies
        self._identity = context.identity

    async def recover(self, fleet: Fleet, boot: str, time_of: Callable[[int], int]) -> list[Draft]:
        """Take over what lives of a former daemon's vassals; the record of each that was under way.

        ``boot`` is the machine's present boot; ``time_of`` gives the ``at`` of an event.
        """
        time_of = recovery.with_orders(fleet, time_of)
        unclear: dict[str, Exception] = {}
        look = partial(recovery.survey, unclear=unclear)
        survivors, gone = await threads.run_sync(look, fleet, boot, time_of)
        for name, error in unclear.items():
            self._tasks.fail(name, "survey", error)
        adopted: list[Survivor] = []
        late: list[Survivor] = []
        held_sockets.arrange(self._keeper, survivors)
        for number, survivor in enumerate(survivors):
            if number % _AT_ONCE == 0:
                await trio.lowlevel.checkpoint()  # clients that ask for the status do not wait
            with self._tasks.confined(survivor.vassal.name, "adopt"):
                (adopted if self.adopt(survivor) else late).append(survivor)
        if late:  # they have died since, and left behind what they had started
            await threads.run_sync(recovery.end_trees, late)
            gone += [survivor.vassal for survivor in late]
        for survivor in adopted:
            process = self._processes.get(survivor.vassal.name, survivor.vassal.attempt)
            assert process is not None
            self._mailbox.repeat(process, adoption.missed(process))
        await threads.run_sync(self._copies.sweep)
        await self._keeper.sync()  # now it is known how those ended that the keeper saw
        known = self._keeper.deaths if fleet.boot == boot else {}
        found = [survivor.draft() for survivor in adopted]
        found += [recovery.death(vassal, known) for vassal in gone]
        await self._inherit(fleet.vassals.values())
        await self._reclaim(adopted)
        await self._find_unjournaled({each.pid: each.mark for each in adopted}, time_of)
        return found

    def adopt(self, survivor: Survivor) -> bool:
        """Take over the process of a former daemon's vassal; False if it has just gone."""
        with about_no_vassal():  # otherwise the vassal would be stopped for an error of the machine
            process = adoption.adopt(survivor, self._keeper)
        if process is None:
            return False
        self._processes.add(process)
        if process.spec.copy:
            self._copies.hold((process.name, process.attempt), process.spec.config)
        self._watch.add_process(process)
        self._notifications.watch(process)
        adoption.find_cgroup(process, self._cgroups, self._identity())
        if self._logs is not None:
            with contextlib.suppress(OSError):  # no more than last lines depend on it
                process.log_start = self._logs.end_of(process.name)
                process.log_file = self._logs.written_by(process.pid, process.name)
        return True

    async def _inherit(self, vassals: Iterable[Vassal]) -> None:
        """Go on with the sockets that a former daemon entrusted to the keeper."""
        vassals = list(vassals)
        self._on_demand.passed.take_in()
        await self._kept_sockets.inherit(
            {
                vassal.name: {*addresses(vassal.running), *addresses(vassal.aim)}
                for vassal in vassals
                if vassal.sockets
            }
        )
        await self._on_demand.inherit(
            {
                vassal.name: vassal.running.socket
                for vassal in vassals
                if vassal.running is not None and vassal.running.socket is not None
            }
        )

    async def _reclaim(self, adopted: Iterable[Survivor]) -> None:
        """Copy kept sockets from the processes that have them where no keeper did."""
        for vassal in (each.vassal for each in adopted if each.vassal.sockets):
            process = self._processes.get(vassal.name, vassal.attempt)
            if process is None:
                continue
            held = [each.address for each in self._kept_sockets.held(vassal.name)]
            with self._tasks.confined(vassal.name, "reclaim"):
                look = partial(reclaimed.find, process, held, tyrant=vassal.own_user)
                for listener in await threads.run_sync(look):
                    self._kept_sockets.reclaim(listener)

    async def _find_unjournaled(
        self, adopted: Mapping[int, str], time_of: Callable[[int], int]
    ) -> None:
        """Find processes that the journal does not know; close and end the rest."""
        kept, identity = self._keeper.kept, self._identity()
        left = await threads.run_sync(unjournaled.find, kept, adopted, identity, time_of)
        held_sockets.set_aside(self._keeper, left)
        self._unjournaled.add(left)
        self.forget_kept()
        await threads.run_sync(self._sweep, left, identity, time_of)

    def _sweep(
        self,
        left: Iterable[UnjournaledProcess],
        identity: str | None,
        time_of: Callable[[int], int],
    ) -> None:
        """End what is in cgroups of attempts of which nothing was adopted."""
        keep = [process.cgroup for process in self._processes]
        keep += [self._cgroups.find(each.mark, each.pid) for each in left]
        self._cgroups.sweep(identity, {each for each in keep if each is not None}, time_of)
        sockets = [each.notify.path for each in self._processes if each.notify is not None]
        notify_socket.sweep({*sockets, *notify_socket.paths(self._keeper)}, identity)

    def forget_kept(self) -> None:
        """Close the sockets that were kept for vassals which were not adopted: they are gone.

        The sockets of unjournaled processes stay, and so do the addresses that were set aside
        for them.
        """
        left, marks = self._unjournaled.kept, self._unjournaled.marks
        for name, kept in list(self._keeper.kept.items()):
            if name in left or Listeners.is_aside(name) or notify_socket.is_of(name, marks):
                self._keeper.take(name)
                continue
            del self._keeper.kept[name]
            self._keeper.drop(name)
            for descriptor in kept.descriptors:
                os.close(descriptor)

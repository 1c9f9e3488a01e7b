"""Starts: from the order to spawn until the process is watched.

Spawning runs in a worker thread, one at a time (``spawner.py``). Orders for a vassal whose spawn is
under way wait for it. Before that its account is looked up (``accounts.py``): an order to end it
does not wait for a user database that may not answer.

Without an answer, a start has failed for want of resources. The failure of a new instance beside
one that runs would refuse its change, which is not to blame. So that instance counts as not tried,
and the fold orders the next one.

``spawned`` is durable before the vassal's descriptors are watched, so its first byte never
overtakes it. A process that a lost journal has left is taken over instead (``unjournaled.py``).
"""

import logging
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

import msgspec
import trio

from ...journal.events import Fault, Spawned, SpawnFailed, Spec
from ...monitors.backoff import Backoff
from ..core import attempts
from ..core.actions import Action
from ..core.draft import Draft
from ..core.fleet import Vassal
from . import adoption, cgroups, command, procfs
from .accounts import NotAnswered, account_of
from .config_sender import ConfigSender
from .context import HostContext
from .controller import Controller
from .expiring import Expiring
from .exposed import exposed
from .kept_sockets import OwnerNotTold
from .listen_address import CannotListen
from .mailbox import Mailbox
from .notifications import Notifications
from .on_demand import OnDemand
from .process import Process
from .readiness import Readiness
from .reap import ProcessTrees
from .spawn import Starter, error_text
from .spawner import Spawner
from .user_threads import UserThreads
from .users import NoAccount, User

log = logging.getLogger("emperor.host")

_ENTRY: Final = 1.0  # seconds from its start until a process is in its cgroup
_ENDS: Final = ("stop", "retire", "kill")
_SHARE: Final = 0.8  # of the time for a start; the rest is for its program
_FIRST_PAUSE: Final = 1.0  # seconds from a late lookup for a new instance to the next one
_LONGEST_PAUSE: Final = 5.0  # seconds; it has a slot meanwhile
_REMEMBERED: Final = 60.0  # seconds from the end of a pause until the pauses begin anew

T = TypeVar("T")


class _Ended(Exception):
    """An order to end a vassal came before its process was begun."""


class Launcher:
    """Starts vassals, and holds back the orders for those whose start is under way."""

    def __init__(
        self,
        context: HostContext,
        starter: Starter,
        mailbox: Mailbox,
        notifications: Notifications,
        controller: Controller,
        configs: ConfigSender,
        on_demand: OnDemand,
        user_threads: UserThreads,
        trees: ProcessTrees,
    ) -> None:
        self._policy = context.policy
        self._accounts = context.accounts
        self._processes = context.processes
        self._watch = context.watch
        self._tasks = context.tasks
        self._outbox = context.outbox
        self._mailbox = mailbox
        self._controller = controller
        self._configs = configs
        self._notifications = notifications
        self._on_demand = on_demand
        self._unjournaled = context.unjournaled
        self._user_threads = user_threads
        self._trees = trees
        self._kept_sockets = on_demand.kept
        self._keeper = context.keeper
        self._cgroups = context.cgroups
        self._identity = context.identity
        self._hooks = context.hooks
        self._readiness = Readiness(context)
        self._spawner = Spawner(starter, context.tasks)
        self.one_spawn = self._spawner.one_spawn
        # Orders for attempts whose spawn is under way, in order.
        self._waiting: dict[tuple[str, int | None], list[tuple[Action, Spec | None]]] = {}
        # Lookups of accounts that are under way, for such attempts, and pauses after them.
        self._lookups: dict[tuple[str, int | None], trio.CancelScope] = {}
        self._backoffs: Expiring[str, Backoff] = Expiring(_REMEMBERED)  # by vassal

    @property
    def is_busy(self) -> bool:
        """Whether a spawn is under way."""
        return bool(self._waiting)

    def spawn(self, vassal: Vassal, attempt: int | None, at: int) -> None:
        """Start an attempt of a vassal, as ordered ``at`` that time. Returns at once."""
        its = attempts.of_attempt(vassal, attempt)
        if its is None:
            return  # it is over already
        self._waiting[vassal.name, attempt] = []
        # A copy: the fleet goes on while the spawn waits for its turn.
        beside = attempts.is_candidates(vassal, attempt)
        self._tasks.nursery.start_soon(self._spawn, msgspec.structs.replace(its), at, beside)

    def order(self, action: Action, running_spec: Spec | None) -> None:
        """Give an order now, or after the spawn that is under way."""
        its = action.vassal, action.attempt
        waiting = self._waiting.get(its)
        if waiting is None:
            self._controller.order(action, running_spec)
            return
        waiting.append((action, running_spec))
        if action.do in _ENDS and its in self._lookups:
            self._lookups[its].cancel()

    async def _spawn(self, vassal: Vassal, at: int, beside: bool) -> None:
        try:
            await self._start(vassal, at, beside)
        except Exception as error:
            self._waiting.pop((vassal.name, vassal.attempt), None)
            process = self._processes.get(vassal.name, vassal.attempt)
            if process is None:
                self._tasks.fail(vassal.name, "spawn", error, gone=vassal.attempt)
                return
            self._tasks.fail(vassal.name, "spawn", error)
            if process.pidfd not in self._watch:  # it is to be stopped, and its end to be seen
                self._watch.add(process.pidfd, process)

    async def _start(self, vassal: Vassal, at: int, beside: bool) -> None:
        process = await self._process_for(vassal, at, beside)
        if process is None:
            return
        self._processes.add(process)
        self._backoffs.take(vassal.name)
        self._trees.expect_orphans()
        if process.unsent_frame:
            self._configs.send(process)
        await self._outbox.record(_spawned(vassal, process))
        self._watch.add_process(process)
        self._readiness.watch(process)
        self._notifications.watch(process)
        if process.unjournaled is None and self._hooks.any_started:
            self._tasks.start("hooks", process, self._hooks.started)
        if process.unjournaled is not None:
            adoption.find_cgroup(process, self._cgroups, self._identity())
            self._mailbox.repeat(process, process.received)
        elif process.cgroup is not None:
            self._tasks.start("cgroup", process, self._watch_entry)
        for action, running_spec in self._waiting.pop((vassal.name, vassal.attempt)):
            self._controller.order(action, running_spec)

    async def _process_for(self, vassal: Vassal, at: int, beside: bool) -> Process | None:
        """A process of this vassal: one that runs, or a new one; None if the start was refused.

        One that is to run ``beside`` another one is always new.
        """
        until = trio.current_time() + _SHARE * _seconds(vassal, at)
        try:
            process = None
            if not beside:
                process = adoption.take_over(self._unjournaled, vassal, self._keeper)
            if process is not None:
                await self._take_sockets_back(vassal, until)
                return process
            reason = await exposed(self._user_threads, vassal.running, self._policy())
            if reason is not None:
                await self._refuse(vassal, reason, "resources")
                return None
            user = await self._user_of(vassal, until)
            await self._on_demand.settled(vassal.name)
            await self._open_sockets(vassal, until)
            return await self._spawner.start(vassal, at, user)
        except (NotAnswered, OwnerNotTold) as error:
            reason = f"cannot start it now: {error}"
            await self._refuse_for_now(vassal, reason, until if beside else None)
        except CannotListen as error:
            never = error.fault == "address" and error.holder is None
            await self._refuse(vassal, str(error), "exec" if never else "resources")
        except (command.CannotRun, NoAccount) as error:
            await self._refuse(vassal, str(error), "exec")
        except _Ended as error:
            await self._refuse(vassal, str(error), "interrupted")
        except OSError as error:
            cwd = None if vassal.running is None else vassal.running.cwd
            await self._refuse(vassal, *error_text(error, cwd))
        return None

    async def _user_of(self, vassal: Vassal, until: float) -> User | None:
        """Its user; None for the daemon's own. Raises NoAccount, NotAnswered, _Ended.

        ``until`` is when the answer is late, as ``trio.current_time()``.
        """
        spec, policy = vassal.running, self._policy()
        if spec is None or account_of(spec, policy) is None:
            return None
        lookup = partial(self._accounts.user_of, spec, policy)
        late = "the user database gives no answer"
        return await self._look_up(vassal, lookup, until, late)

    async def _open_sockets(self, vassal: Vassal, until: float) -> None:
        """Listen at the addresses of its settings. Raises CannotListen, NotAnswered, _Ended.

        Their owner has to be known ``until`` then, as ``trio.current_time()``.
        """
        if vassal.running is None:
            return
        late = "the owner of its sockets was not looked up"
        prepare = partial(self._look_up, vassal, until=until, late=late)
        await self._kept_sockets.open(vassal.name, vassal.running, prepare=prepare)

    async def _look_up(
        self, vassal: Vassal, lookup: Callable[[], Awaitable[T]], until: float, late: str
    ) -> T:
        """The result of a lookup. Raises _Ended, and NotAnswered if it is late.

        It is late after ``until``, as ``trio.current_time()``. ``late`` begins the text of that.
        """
        seconds = until - trio.current_time()
        with trio.move_on_at(until):
            return await self._unless_ended(vassal, lookup)
        raise NotAnswered(f"{late} within {seconds:.3g} s")

    async def _unless_ended(self, vassal: Vassal, wait: Callable[[], Awaitable[T]]) -> T:
        """Wait for something, but not after an order to end the vassal. Raises _Ended then."""
        its = vassal.name, vassal.attempt
        with trio.CancelScope() as scope:
            if any(action.do in _ENDS for action, _ in self._waiting[its]):
                scope.cancel()
            self._lookups[its] = scope
            try:
                return await wait()
            finally:
                del self._lookups[its]
        raise _Ended("it was to end before its account was looked up")

    async def _refuse_for_now(self, vassal: Vassal, reason: str, until: float | None) -> None:
        """Record that the user database did not answer, and that it is asked again.

        A new instance beside another one has to be told ``until`` then. The fold orders the next
        one at once, so there is a pause.
        """
        if until is None:
            await self._refuse(vassal, reason, "resources")
            return
        backoff = self._backoffs.take(vassal.name) or Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        pause = min(backoff.pause(), max(0.0, until - trio.current_time()))
        try:
            await self._unless_ended(vassal, partial(trio.sleep, pause))
            self._backoffs.put(vassal.name, backoff)
        except _Ended as error:
            reason = str(error)
        await self._refuse(vassal, reason, "interrupted")

    async def _take_sockets_back(self, vassal: Vassal, until: float) -> None:
        """Go on with the sockets of a process that is taken over, as far as they were kept."""
        try:
            await self._open_sockets(vassal, until)
        except (CannotListen, NotAnswered, _Ended) as error:
            log.warning("%s: %s; its process has the socket", vassal.name, error)

    async def _refuse(self, vassal: Vassal, reason: str, fault: Fault) -> None:
        """Record that there is no process, and why."""
        assert vassal.attempt is not None
        del self._waiting[vassal.name, vassal.attempt]
        body = SpawnFailed(attempt=vassal.attempt, reason=reason, fault=fault)
        await self._outbox.record(Draft("spawn_failed", body, None, vassal.name, vassal.attempt))

    async def _watch_entry(self, process: Process) -> None:
        """Complain if a process executes its program outside of its cgroup."""
        assert process.cgroup is not None
        entering = True
        while entering:
            await trio.sleep(_ENTRY)
            if not self._processes.holds(process):
                return
            entering = cgroups.is_entering(process.pid)
            process.in_cgroup = self._cgroups.holds(process.cgroup, process.pid)
        if not process.in_cgroup and procfs.start_time(process.pid) == process.started:
            self._cgroups.complain(f"{process.name}: process {process.pid} is not in its cgroup")


def _spawned(vassal: Vassal, process: Process) -> Draft:
    """The record of a process that was started or taken over."""
    body = Spawned(attempt=process.attempt, pid=process.pid, start_time=process.started)
    if process.unjournaled is not None:
        control = process.control is not None
        runs = process.unjournaled.spec
        body = msgspec.structs.replace(body, mark=process.mark, runs=runs, control=control)
    return Draft("spawned", body, None, vassal.name, vassal.order)


def _seconds(vassal: Vassal, at: int) -> float:
    """The seconds for its start, which was ordered ``at`` that time."""
    return math.inf if vassal.deadline is None else (vassal.deadline - at) / 1e9

"""The host: everything that the daemon does to processes.

It carries out the fold's actions and reports their results; it decides nothing. This class puts the
parts together, and it is the port that the loop wants (``daemon/loop/ports.py``):

    launcher      starts processes                     -> ``spawned``, ``spawn_failed``
    controller    gives orders: reload, stop, kill     -> ``reload_failed``, ``vassal_deaf``
    mailbox       reads what processes send            -> bytes
    notifications reads what programs notify           -> bytes
    exit_handler  ends trees, and reaps                -> ``exited``
    adopter       takes over from a former daemon      -> ``adopted``, ``exited``
    preflights    check changed configs                -> ``preflight_passed``, ``deploy_refused``
    on_demand     listens for vassals that do not run  -> ``connection_waiting``
"""

import logging
import os
import select
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial

import trio

from ...journal.policy import Policy
from ...monitors.start_thread import StartThread
from ..core import attempts
from ..core.actions import Action
from ..core.draft import Draft
from ..core.fleet import Fleet, Vassal
from ..core.inputs import TellNews, VassalByte
from ..core.listening import addresses
from ..keeper.link import KeeperLink
from . import procfs
from .accounts import Accounts
from .address_changes import AddressChanges
from .adopter import Adopter
from .cgroups import Cgroups
from .config_copies import ConfigCopies
from .config_sender import ConfigSender
from .context import HostContext
from .controller import Controller
from .epoll import Epoll
from .exec_checks import ExecChecks
from .exit_handler import ExitHandler
from .health import Health
from .hooks import HookRunner, Hooks
from .kept_files import KeptFiles
from .launcher import Launcher
from .listen_address import binds_itself
from .listening_state import ListeningState
from .log_watch import LogWatch
from .lookups import Lookups
from .mailbox import Mailbox
from .news import Outbox
from .notifications import Notifications
from .on_demand import OnDemand
from .opening import Listener
from .preflight_process import PreflightStarter
from .preflights import Preflights
from .process_table import ProcessTable
from .reap import ProcessTrees
from .reports import Reports
from .socket_files import terms
from .spawn import Starter
from .stray_processes import StrayProcesses
from .stray_watch import StrayWatch
from .unjournaled import UnjournaledProcesses
from .user_threads import UserThreads
from .vassal_log import LogDirectory
from .vassal_tasks import VassalTasks, lasting
from .watch import ProcessWatch

log = logging.getLogger("emperor.host")


class Host(Reports):
    """Runs vassals on this machine. ``config_text`` finds a config by its digest.

    ``copies`` are the folders for private copies of configs: the daemon's own, and that of other
    users. ``most`` are limits that no vassal exceeds. ``is_over`` tells whether a vassal is above
    its budget of records, ``is_tried`` whether an attempt is a candidate (a replacement's).
    ``hooks`` are commands around each start and end. Processes begin in ``starts``.
    """

    def __init__(
        self,
        policy: Callable[[], Policy],
        logs: LogDirectory | None,
        config_text: Callable[[str], bytes | None],
        environ: Mapping[str, str] = os.environ,
        nofile: tuple[int, int] | None = None,
        most: Mapping[str, str] | None = None,
        keeper: KeeperLink | None = None,
        identity: Callable[[], str | None] = lambda: None,
        attempts: Cgroups | None = None,
        copies: tuple[str, str] | None = None,
        is_over: Callable[[str], bool] = lambda _: False,
        is_tried: Callable[[str, int], bool] = lambda _name, _attempt: False,
        hooks: Hooks | None = None,
        starts: StartThread | None = None,
    ) -> None:
        self._policy, self._logs, self._config_text = policy, logs, config_text
        self._cgroups = Cgroups() if attempts is None else attempts
        self._keeper = KeeperLink(None) if keeper is None else keeper
        self._processes = ProcessTable()
        self._unjournaled = UnjournaledProcesses()
        self._epoll = Epoll()
        self._watch = ProcessWatch(self._epoll)
        self._outbox = Outbox()
        self._tasks = VassalTasks(self._outbox)
        self._log_watch = LogWatch(logs, self._processes, self._tasks)
        threads, accounts, over = UserThreads(), Accounts(), self._processes.is_over
        context = HostContext(
            policy, identity, config_text, self._keeper, self._cgroups, logs, self._processes,
            self._unjournaled, self._watch, self._outbox, self._tasks,
            ExecChecks(policy, identity, environ, nofile, most or {}, over, accounts),
            ListeningState(lambda vassal: self._on_demand.given(vassal), threads),
            ConfigCopies(copies, config_text),
            Lookups(),
            accounts,
            HookRunner(hooks or Hooks(), environ),
            starts or StartThread(),
        )  # fmt: skip
        self._hooks, self._starts = context.hooks, context.starts
        self._configs = configs = ConfigSender(config_text, self._watch)
        self._mailbox = mailbox = Mailbox(context, configs)
        self._notifications = notifications = Notifications(context, mailbox)
        self._controller = controller = Controller(context)
        self._trees = trees = ProcessTrees(self._leaders, self._cgroups, self._orphans)
        self._strays = strays = StrayProcesses(policy, self._cgroups)
        self._on_demand = on_demand = OnDemand(
            self._keeper,
            self._epoll,
            threads,
            self._outbox.report,
            self._tasks.fail,
            lambda vassal: vassal in self._unjournaled,
            policy,
            accounts,
        )
        starter = Starter(context, configs.frame, environ, nofile, most or {}, on_demand)
        self._launcher = launcher = Launcher(
            context, starter, mailbox, notifications, controller, configs, on_demand, threads, trees
        )
        self._health = Health(context, is_over, is_tried)
        self._changes = AddressChanges(context, on_demand.kept)
        self._kept_files = KeptFiles(
            on_demand.kept, threads, lambda vassal: self._processes.get(vassal) is not None
        )
        self._exits = ExitHandler(context, mailbox, notifications, trees, strays)
        self.adopter = Adopter(context, mailbox, notifications, on_demand)
        preflight = PreflightStarter(context, environ, nofile)
        self._preflights = preflights = Preflights(context, preflight, trees, launcher.one_spawn)
        self._stray_watch = StrayWatch(context, strays, self._orphans, launcher, preflights)

    # Life of the host

    async def recover(self, fleet: Fleet, boot: str, time_of: Callable[[int], int]) -> list[Draft]:
        """Take over what lives of a former daemon's vassals; the record of each that was under way.

        ``boot`` is the machine's present boot; ``time_of`` gives the ``at`` of an event.
        """
        return await self.adopter.recover(fleet, boot, time_of)

    async def run(
        self, tell: TellNews, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Report what happens to vassals, until cancelled."""
        self._outbox.begin(tell)
        self._starts.note_wakeup()
        try:
            async with trio.open_nursery() as nursery:
                self._tasks.begin(nursery)
                nursery.start_soon(self._mailbox.deliver)
                nursery.start_soon(lasting, "waiting for vassals", self._epoll.retry)
                nursery.start_soon(lasting, "reaping", self._trees.reap)
                nursery.start_soon(lasting, "looking for strays", self._stray_watch.run)
                nursery.start_soon(lasting, "checking health", self._health.run)
                nursery.start_soon(lasting, "looking at socket files", self._kept_files.run)
                nursery.start_soon(lasting, "looking at logs", self._log_watch.run)
                self._on_demand.begin(nursery)
                self._controller.begin()
                task_status.started()
                while True:
                    await self._epoll.wait()
                    self._poll()
        finally:
            for process in self._processes:
                process.close()
            self._on_demand.close()
            self._epoll.close()
            self._hooks.leave()

    def _poll(self) -> None:
        """Serve all descriptors that are ready."""
        for fd, mask in self._epoll.poll():
            process = self._watch.process_of(fd)
            if process is None:
                self._on_demand.client_waits(fd)
                continue
            if fd == process.pidfd:
                self._exits.handle(process)
                continue
            with self._tasks.confined(process.name, "hear", partial(self._watch.remove, fd)):
                if process.config is not None and fd == process.config.fileno():
                    self._configs.send(process)
                elif process.notify is not None and fd == process.notify.end.fileno():
                    self._notifications.hear(process)
                elif not (process.end_ordered and mask & select.EPOLLHUP):
                    self._mailbox.hear(process)  # one that is ending as ordered has no news

    def _leaders(self) -> set[int]:
        """The pids of all processes that are reaped one by one. May be called in a thread."""
        return self._processes.pids() | self._preflights.pids

    def _orphans(self) -> set[int]:
        """The children of daemon and keeper, leaders among them. May be called in a thread."""
        found = procfs.children()
        if self._keeper.alive:
            found += procfs.children(os.getppid())
        return set(found) - {os.getpid()}

    # Actions of the fold

    def carry_out(self, action: Action, vassal: Vassal | None, at: int) -> None:
        """Do what the fold ordered ``at`` that time. Returns at once; the results are reported.

        ``vassal`` is None where it was forgotten since.
        """
        with self._tasks.confined(action.vassal, action.do):
            if action.do == "unlisten":
                self._on_demand.unlisten(action.vassal)
            elif action.do == "uncheck":
                self._preflights.cancel(action.vassal)
            elif vassal is None:
                return
            elif action.do == "listen" and vassal.held:
                self._keep_open(vassal)
            elif action.do == "listen" and vassal.opening is not None:
                self._changes.open(vassal)
            elif action.do == "check":
                self._preflights.check(vassal, action, at)
            elif action.do == "listen":
                self._listen(vassal)
            elif action.do == "spawn":
                self._launcher.spawn(vassal, action.attempt, at)
            else:
                its = attempts.of_attempt(vassal, action.attempt)
                self._launcher.order(action, None if its is None else its.running)

    def no_spawns(self) -> AbstractAsyncContextManager[object]:
        """While in this context, no vassal is being started."""
        return self._launcher.one_spawn

    def _keep_open(self, vassal: Vassal) -> None:
        """Listen for a vassal that is held, as its operator wants; no client starts it."""
        if vassal.opening is not None:
            self._changes.open(vassal)
        spec = vassal.running
        if vassal.listens and spec is not None and spec.socket is not None:
            how = terms(spec, self._policy())
            self._on_demand.ignore_clients(vassal.name)
            self._on_demand.listen(vassal.name, spec.socket, how, self._on_demand.unwatch)

    def _listen(self, vassal: Vassal) -> None:
        """Listen at its address, and report when the first client is there."""
        spec = vassal.running
        if spec is None or spec.socket is None:
            return  # its spec has changed since

        def after(listener: Listener) -> None:
            if vassal.name in self._unjournaled:
                self._on_demand.client_waits(listener.socket.fileno())  # it serves there already

        how = terms(spec, self._policy())
        self._on_demand.listen(vassal.name, spec.socket, how, after)
        text = None if spec.config is None else self._config_text(spec.config)
        _warn_of_binding(vassal.name, spec.socket, text)

    def leave(self) -> None:
        """The daemon leaves: watch no directory any more, because that takes a while to end."""
        self._log_watch.leave()

    async def unlisten_all(self) -> None:
        """Give all addresses back: the daemon stops, and no other follows at once.

        Hooks get some time to end.
        """
        await self._on_demand.unlisten_all()
        await self._hooks.finish()

    def tell_unasked(self, fleet: Fleet) -> None:
        """Log the sockets of the service manager that no vassal asks for, each once."""
        vassals = fleet.vassals.values()
        asked = [each for vassal in vassals for each in addresses(vassal.spec)]
        asked += [vassal.spec.socket for vassal in vassals if vassal.spec.socket]
        self._on_demand.passed.tell_unasked(asked)

    # Questions

    def is_stale(self, said: VassalByte) -> bool:
        """Whether the program that a reload replaces sent it; that reload may be under way."""
        return self._mailbox.is_stale(said)

    def silent_for(self, vassal: str, attempt: int | None) -> float:
        """Seconds since the last heartbeat of an attempt; counts from now when none was heard."""
        process = self._processes.get(vassal, attempt)
        if attempt is None or process is None or self._notifications.is_behind(process):
            return 0.0
        return self._mailbox.silent_for(process)

    def last_look(self) -> None:
        """Log which processes are left when all vassals have stopped. Blocks for a moment."""
        self._stray_watch.last_look()

    def unjournaled(self) -> list[tuple[str, int]]:
        """Processes that run, and that the journal does not know: vassal and pid."""
        return self._unjournaled.alive()

    def strays(self) -> list[str]:
        """Processes that may be left of vassals and cannot be attributed, each in words."""
        return self._strays.alive()


def _warn_of_binding(vassal: str, address: str, config: bytes | None) -> None:
    """Warn of a config that has uWSGI bind the address on demand itself."""
    if config is not None and binds_itself(config, address):
        log.warning(
            "%s: its config binds %s itself; an on-demand vassal gets its socket as standard"
            " input, and must not take the address away: remove that line",
            vassal,
            address,
        )

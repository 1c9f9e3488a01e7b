"""The host: the hands of the daemon, everything it does to processes.

It carries out the fold's actions and tells what comes of them; it decides nothing. All
descriptors of all vassals (control sockets and pidfds) stand in one epoll set that one task
waits for, so a thousand vassals cost a thousand table entries and no tasks. So do the sockets of
vassals on demand, but only while nobody is there to accept: once a first client was told of,
its socket is not looked at until the fold orders to listen again.

Spawning runs in a worker thread, one at a time: between making a descriptor inheritable and
the exec, another spawn would inherit it too. What is ordered for a vassal whose spawn is under
way waits for it. ``spawned`` is durable before the vassal's descriptors are listened to, so its
first byte never overtakes it. What a vassal says stays in its socket until it is durable: it says
most things once, and a daemon that is killed in between leaves them to the next one.

A vassal leads its own session and process group (``spawn.py``). When its leader has died, what
is left of its tree is killed and waited for (``reap.py``), and only then is it told as ended. A
zombie leader is reaped after its group was signalled, so that its pid cannot be another's yet.
"""

import contextlib
import logging
import math
import os
import select
import signal
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final

import msgspec
import trio

from ...journal.events import Exited, Fault, OfAttempt, ReloadFailed, Spawned, SpawnFailed, Spec
from ...journal.policy import Policy
from ..core.actions import Action
from ..core.draft import Draft
from ..core.fleet import Fleet, Vassal
from ..keeper.link import Death, KeeperLink
from ..keeper.refusals import PASSING, Refused, nobodys
from . import (
    adoption,
    altered,
    cgroups,
    command,
    emperor_protocol,
    failures,
    held_sockets,
    leftovers,
    procfs,
    recovery,
    threads,
)
from .cgroups import Cgroups
from .epoll import Epoll
from .exposed import exposed
from .leftovers import Leftover, Leftovers
from .listeners import Listener, Listeners, binds_itself, terms
from .on_demand import OnDemand
from .orders import unread
from .process import Process
from .reap import Trees, kill_group
from .recovery import Survivor
from .spawn import Starter, error_text
from .strays import Strays
from .user_threads import UserThreads
from .users import NoAccount
from .vassal_log import LOGROTATE, LogDirectory

log = logging.getLogger("emperor.host")

_KEEPERS_WORD: Final = 10.0  # seconds for the keeper to say how its child ended
_ENTRY: Final = 1.0  # seconds from its start until a process is in its cgroup
_LOOK_AT_LOGS: Final = 2.0  # seconds between looks at the vassals' logs
# Seconds from a vassal's word that it accepts until a reload is sent. It is the first of uWSGI's
# workers who says it; one that is still starting would not heed the reload's signal, and hold it up
# for a minute (worker-reload-mercy). It does not heed the one to stop either.
SETTLING: Final = 1.0
_SUSPECTED: Final = 5.0  # seconds for one that read no orders with another config
_UNSURE: Final = 4  # times the patience, where it may be loading for a daemon that has died
_MARGIN: Final = 0.5  # seconds from the last look at an order to the end of patience
_UNHEARD: Final = 5.0  # seconds after which an order to stop that was not read becomes a signal
# Bytes that may stay in a socket: far fewer than fit, so that nobody who writes one ever waits.
_MOST_UNREAD: Final = 64
_CHUNK: Final = 4096  # bytes that are heard at once
# What it says once, and a daemon that has lost its journal could not know.
_LASTING: Final = (emperor_protocol.ACCEPTING, emperor_protocol.LOYAL, emperor_protocol.HEARTBEAT)
_NEWS: Final = select.EPOLLIN | select.EPOLLET  # edge-triggered: what stays in a socket is none


class VassalByte(msgspec.Struct, frozen=True, gc=False):
    """A vassal sent a byte that the fleet may want to know of."""

    vassal: str
    attempt: int
    byte: int
    reloads: int = 0  # that this daemon had sent to the process by then


class HostEvent(msgspec.Struct, frozen=True, gc=False):
    """Something that is an event as it is."""

    draft: Draft


News = VassalByte | HostEvent
TellNews = Callable[[list[News]], Awaitable[None]]
"""Hands over news; returns when what came of it is durable."""


class Host:
    """Runs vassals on this machine. ``config_text`` finds an inline config by its digest."""

    def __init__(
        self,
        policy: Callable[[], Policy],
        logs: LogDirectory | None,
        config_text: Callable[[str], bytes | None],
        environ: Mapping[str, str] = os.environ,
        nofile: tuple[int, int] | None = None,
        keeper: KeeperLink | None = None,
        identity: Callable[[], str | None] = lambda: None,
        attempts: Cgroups | None = None,
    ) -> None:
        self._cgroups = Cgroups() if attempts is None else attempts
        self._policy = policy
        self._identity = identity
        self._leftovers = Leftovers()
        self._keeper = KeeperLink(None) if keeper is None else keeper
        self._logs = logs
        self._config_text = config_text
        self._epoll = Epoll()
        self._by_fd: dict[int, Process] = {}
        self._by_name: dict[str, Process] = {}
        self._user_threads = UserThreads()
        self._on_demand = OnDemand(
            self._keeper,
            self._epoll,
            self._user_threads,
            self._happened,
            self._fail,
            serves=lambda vassal: vassal in self._leftovers,
        )
        self._starter = Starter(
            policy,
            logs,
            self._config_frame,
            environ,
            nofile,
            self._keeper,
            self._on_demand.listeners,
            identity,
            self._cgroups,
        )
        # Orders for vassals whose spawn is under way, in order.
        self._waiting: dict[str, list[tuple[Action, Spec | None]]] = {}
        self._one_spawn = trio.CapacityLimiter(1)
        self._trees = Trees(self._leaders, self._cgroups, self._orphans)
        self._strays = Strays(policy, self._cgroups)
        self._said: dict[News, None] = {}  # not handed over yet, in order
        # Whose words are among them, or are not durable yet -> how much it had said by then.
        self._speakers: dict[Process, int] = {}
        self._undurable: dict[Process, int] = {}
        self._spoken = trio.Event()
        self._beats: dict[str, float] = {}  # name -> trio time of the last heartbeat
        self._nursery: trio.Nursery | None = None
        self._tell: TellNews | None = None

    # Life of the host

    async def run(
        self, tell: TellNews, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Tell what happens to vassals, until cancelled."""
        self._tell = tell
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._deliver)
                nursery.start_soon(self._epoll.mend)
                nursery.start_soon(self._trees.reap)
                nursery.start_soon(self._watch_strays)
                nursery.start_soon(self._look_after_logs)
                self._on_demand.begin(nursery)
                for running in self._by_name.values():
                    if running.speaks and running.orders.unsure:
                        self._do("reload", running, self._watch_reload)
                task_status.started()
                while True:
                    await self._epoll.wait()
                    self._poll()
        finally:
            for running in self._by_name.values():
                running.close()
            self._on_demand.close()
            self._epoll.close()

    async def _deliver(self) -> None:
        """Hand over what vassals said. While the journal is paused, this alone waits."""
        assert self._tell is not None
        while True:
            await self._spoken.wait()
            self._spoken = trio.Event()
            said, self._said = self._said, {}
            self._undurable, self._speakers = self._speakers, {}
            await self._tell(list(said))
            heard, self._undurable = self._undurable, {}
            for running, count in heard.items():
                if self._by_name.get(running.name) is running:
                    # What came later and was no word went past with it.
                    past = count if running in self._speakers else running.heard
                    with self._sparing(running.name, "hear", partial(self._turn_deaf, running)):
                        self._take_out(running, past)

    def _poll(self) -> None:
        for fd, _ in self._epoll.poll():
            running = self._by_fd.get(fd)
            if running is None:
                self._on_demand.knock(fd)
                continue
            if fd == running.pidfd:
                self._unwatch(fd)
                assert self._nursery is not None
                self._nursery.start_soon(self._bury, running)
                continue
            with self._sparing(running.name, "hear", partial(self._unwatch, fd)):
                if running.config is not None and fd == running.config.fileno():
                    self._send_config(running)
                else:
                    self._hear(running)

    def _turn_deaf(self, running: Process) -> None:
        """Hear nothing more of it: an error would come again with each byte."""
        if running.control is not None:
            self._unwatch(running.control.fileno())

    def _happened(self, draft: Draft) -> None:
        """Hand over news about a vassal."""
        self._said[HostEvent(draft)] = None
        self._spoken.set()

    # Errors of the daemon's own

    def _fail(self, vassal: str, place: str, error: BaseException, gone: int | None = None) -> None:
        """Tell of an error about one vassal. The fold has it stopped and bars it."""
        log.error("%s: error in %s: %s", vassal, place, failures.told(error))
        body = failures.failed(place, error, gone=gone)
        self._said[HostEvent(Draft("vassal_failed", body, None, vassal))] = None
        self._spoken.set()

    @contextlib.contextmanager
    def _sparing(
        self, vassal: str, place: str, after: Callable[[], object] = lambda: None
    ) -> Iterator[None]:
        """What is raised within is this vassal's, and the others go on. ``after`` tidies up."""
        try:
            yield
        except Refused:
            raise
        except Exception as error:
            self._fail(vassal, place, error)
            with contextlib.suppress(Exception):
                after()

    def _do(self, place: str, running: Process, task: Callable[[Process], Awaitable[None]]) -> None:
        """Start a task about one vassal."""

        async def spared() -> None:
            with self._sparing(running.name, place):
                await task(running)

        assert self._nursery is not None
        self._nursery.start_soon(spared)

    def _leaders(self) -> set[int]:
        return {running.pid for running in list(self._by_name.values())}

    def _orphans(self) -> set[int]:
        """The children of daemon and keeper, leaders among them. May be called in a thread."""
        found = procfs.children()
        if self._keeper.alive:
            found += procfs.children(os.getppid())
        return set(found) - {os.getpid()}

    def _watch(self, fd: int, running: Process, mask: int = select.EPOLLIN) -> None:
        self._by_fd[fd] = running
        self._epoll.register(fd, mask)

    def _unwatch(self, fd: int) -> None:
        if self._by_fd.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    # What vassals say

    def _hear(self, running: Process) -> None:
        assert running.control is not None
        now = trio.current_time()
        try:
            most = min(_CHUNK, running.heard + running.inflow.room(now))
            said = running.control.recv(max(most, 1), socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in PASSING:
                self._epoll.put_off(running.control.fileno(), _NEWS, error)
                return
            said = b""
        if not said:
            # A closed socket is not a death: only a reaped process is.
            self._unwatch(running.control.fileno())
            return
        answered = False
        running.inflow.fill(len(said) - running.heard, now)
        for byte in said[running.heard :]:
            if byte == emperor_protocol.WANTS_CONFIG:
                running.owed += running.inflow.is_answered(running.owed, now)
                self._send_config(running)
                answered = True  # a frame too many is worse than a word that is lost
            elif byte == emperor_protocol.HEARTBEAT and running.name in self._beats:
                self._beats[running.name] = trio.current_time()
            else:
                if byte == emperor_protocol.HEARTBEAT:
                    self._beats[running.name] = trio.current_time()
                elif byte == emperor_protocol.ACCEPTING:
                    running.orders.accepted()
                    self._beats.pop(running.name, None)  # the next one is a first one again
                    running.accepted = trio.current_time()
                self._remember(running, byte)
                # Said twice before it was handed over once is said once.
                said_now = VassalByte(running.name, running.attempt, byte, running.reloads)
                self._said[said_now] = None
                self._spoken.set()
                self._speakers[running] = 0
        running.heard = len(said)
        if running in self._speakers:
            self._speakers[running] = running.heard
        waits = running in self._speakers or running in self._undurable
        if answered or not waits or running.heard > _MOST_UNREAD:
            self._take_out(running, running.heard)
        if not running.inflow.room(now):
            self._pause_hearing(running, running.inflow.pause(now))
        elif len(said) == _CHUNK:
            self._epoll.modify(running.control.fileno(), _NEWS)  # what is left is news, too

    def _pause_hearing(self, running: Process, seconds: float) -> None:
        """Read nothing of one that sends too much, for a while."""
        assert running.control is not None
        if running.inflow.pauses == 1:
            log.warning("%s: %s", running.name, running.inflow.told())
        self._unwatch(running.control.fileno())

        async def resume(running: Process) -> None:
            await trio.sleep(seconds)
            if self._by_name.get(running.name) is running and running.control is not None:
                self._watch(running.control.fileno(), running, _NEWS)

        self._do("hear", running, resume)

    def _remember(self, running: Process, byte: int) -> None:
        """Let the keeper know what it said, for a daemon that has lost its journal."""
        if byte in _LASTING and byte not in running.said:
            running.said.append(byte)
            running.tell_keeper(self._keeper, said=running.said)

    def _repeat(self, running: Process, said: Iterable[int]) -> None:
        """Tell what it said to a daemon before; it costs no event where the journal knows it."""
        for byte in said:
            self._said[VassalByte(running.name, running.attempt, byte)] = None
            self._spoken.set()

    def _take_out(self, running: Process, count: int) -> None:
        """So many bytes from its socket, which were heard."""
        assert running.control is not None
        if count:
            running.take_out(count)
        running.heard -= count
        for waiting in (self._speakers, self._undurable):
            if running in waiting:
                waiting[running] = max(0, waiting[running] - count)

    def is_stale(self, said: VassalByte) -> bool:
        """Whether the program said it that a reload replaces, whether sent since or to be sent."""
        running = self._by_name.get(said.vassal)
        if running is None or running.attempt != said.attempt:
            return False
        replaced = running.to_reload or said.reloads != running.reloads
        return said.byte == emperor_protocol.ACCEPTING and replaced

    def silent_for(self, vassal: str) -> float:
        """Seconds since the vassal's last heartbeat; counts from now when none was heard."""
        now = trio.current_time()
        return now - self._beats.setdefault(vassal, now)

    def _send_config(self, running: Process) -> None:
        """Go on sending what it asked for: one frame for each request, whole and in order.

        A frame is made when its turn comes, with the config of that moment. So requests of a
        vassal that does not read pile up as a number, not as texts.
        """
        if running.config is None:
            return
        fd = running.config.fileno()
        if not running.unsent and running.owed:
            running.owed -= 1
            running.unsent = self._config_frame(running.digest)
        try:
            sent = running.config.send(running.unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            sent, running.owed = len(running.unsent), 0
        running.unsent = running.unsent[sent:]
        if not running.unsent and not running.owed:
            self._unwatch(fd)
        elif fd not in self._by_fd:
            self._watch(fd, running, select.EPOLLOUT)

    def _config_frame(self, digest: str | None) -> bytes:
        text = None if digest is None else self._config_text(digest)
        if text is None:
            log.error("the config %s is not in the journal as it was recorded", digest)
            return b""
        return emperor_protocol.config_frame(text)

    # Addresses on demand

    def _listen(self, vassal: Vassal) -> None:
        """Listen at its address, and tell when the first client is there."""
        spec = vassal.running
        if spec is None or spec.socket is None:
            return  # it has been told to be something else since

        def after(listener: Listener) -> None:
            if vassal.name in self._leftovers:
                self._on_demand.knock(listener.socket.fileno())  # it serves there already

        how = terms(spec, self._policy())
        self._on_demand.listen(vassal.name, spec.socket, how, after)
        text = None if spec.config is None else self._config_text(spec.config)
        if text is not None and binds_itself(text, spec.socket):
            log.warning(
                "%s: its config binds %s itself; what is on demand gets its socket as standard"
                " input, and must not take the address away: remove that line",
                vassal.name,
                spec.socket,
            )

    def _unlisten(self, vassal: str) -> None:
        """Give its address back."""
        self._on_demand.unlisten(vassal)

    async def inherit(self, vassals: Iterable[Vassal]) -> None:
        """Go on with the sockets that a former daemon entrusted to the keeper."""
        await self._on_demand.inherit(
            {
                vassal.name: vassal.running.socket
                for vassal in vassals
                if vassal.running is not None and vassal.running.socket is not None
            }
        )

    async def unlisten_all(self) -> None:
        """Give all addresses back: the daemon stops, and no other follows at once."""
        await self._on_demand.unlisten_all()

    # Carrying out actions

    def carry_out(self, action: Action, vassal: Vassal | None, at: int) -> None:
        """Do what the fold ordered ``at`` that time. Returns at once; what comes of it is told.

        ``vassal`` is None where it was forgotten since.
        """
        with self._sparing(action.vassal, action.do):
            self._carry_out(action, vassal, at)

    def _carry_out(self, action: Action, vassal: Vassal | None, at: int) -> None:
        assert self._nursery is not None
        if action.do == "unlisten":
            self._unlisten(action.vassal)
        elif vassal is None:
            return
        elif action.do == "listen":
            self._listen(vassal)
        elif action.do == "spawn":
            self._waiting[action.vassal] = []
            # A copy: the fleet goes on while the spawn waits for its turn.
            self._nursery.start_soon(self._spawn, msgspec.structs.replace(vassal), at)
        elif action.vassal in self._waiting:
            self._waiting[action.vassal].append((action, vassal.running))
        else:
            self._order(action, vassal.running)

    def _lacks_text(self, running: Process, spec: Spec) -> bool:
        """Tell of a reload that is not sent, as uWSGI would end for want of its config."""
        if spec.path is not None or not running.speaks or spec.config is None:
            return False
        if self._config_text(spec.config) is not None:
            return False
        body = ReloadFailed(attempt=running.attempt, reason=altered.NOT_THERE)
        self._said[HostEvent(Draft("reload_failed", body, None, running.name))] = None
        self._spoken.set()
        return True

    def _order(self, action: Action, spec: Spec | None) -> None:
        running = self._by_name.get(action.vassal)
        if running is None or running.attempt != action.attempt:
            return  # it has gone meanwhile
        if action.do == "reload":
            assert spec is not None
            if self._lacks_text(running, spec):
                return
            running.heed(spec)
            running.to_reload = True
            self._do("reload", running, self._reload)
        elif action.do == "stop":
            running.asked = True
            graceful = self._policy().graceful_shutdown
            byte = emperor_protocol.STOP_GRACEFULLY if graceful else emperor_protocol.STOP
            by_signal = running.deaf or (running.suspected and not graceful)
            if by_signal or not self._send(running, byte):
                _signal(running.pidfd, running.stop_signal)
            else:
                self._do("stop", running, self._watch_stop)
            settled = -math.inf < running.accepted < trio.current_time() - SETTLING
            if running.speaks and not settled:
                self._do("stop", running, partial(self._tell_workers, graceful=graceful))
        elif action.do == "kill":
            running.asked = True
            kill_group(running.pid)
            _signal(running.pidfd, signal.SIGKILL)
            if running.cgroup is not None:
                self._do("kill", running, self._kill_cgroup)

    async def _kill_cgroup(self, running: Process) -> None:
        assert running.cgroup is not None
        await threads.run_sync(self._cgroups.kill, running.cgroup)

    async def _reload(self, running: Process) -> None:
        if running.speaks and running.control is not None:
            for _ in range(2):  # it may say so meanwhile, but not put it off for ever
                await trio.sleep_until(running.accepted + SETTLING)
        running.to_reload = False
        if self._by_name.get(running.name) is not running or running.asked:
            return
        running.said = [byte for byte in running.said if byte == emperor_protocol.LOYAL]
        about = leftovers.about(running.mark, running.spec)
        running.tell_keeper(self._keeper, spec=about["spec"], said=running.said)
        running.reloads += 1
        if self._send(running, emperor_protocol.RELOAD):
            running.accepted = -math.inf  # what it loads now has not said so
            await self._watch_reload(running)
        else:
            running.signalled = trio.current_time()
            _signal(running.pidfd, running.reload_signal)

    async def _watch_reload(self, running: Process) -> None:
        """Tell if it has not read the order when its patience is about to end: it is deaf."""
        patience = self._policy().start_patience
        if running.orders.unsure:
            patience *= _UNSURE
        elif running.suspected:
            patience = min(patience, _SUSPECTED)
        await trio.sleep(max(patience - 2 * SETTLING - _MARGIN, patience / 2))
        if self._by_name.get(running.name) is not running or running.asked:
            return
        if running.control is not None and running.orders.ignored(running.control):
            running.deaf = True
            body = OfAttempt(attempt=running.attempt)
            self._said[HostEvent(Draft("vassal_deaf", body, None, running.name))] = None
            self._spoken.set()

    async def _tell_workers(self, running: Process, graceful: bool) -> None:
        """Its master tells them once to stop; who was still starting did not hear it."""
        while True:
            await trio.sleep(SETTLING)
            if self._by_name.get(running.name) is not running:
                return
            with contextlib.suppress(OSError):  # out of descriptors, or they have just gone
                for pid in procfs.children(running.pid):
                    os.kill(pid, signal.SIGHUP if graceful else signal.SIGINT)

    async def _watch_stop(self, running: Process) -> None:
        """Say it by a signal as well if its order to stop stays unread."""
        await trio.sleep(_UNHEARD)
        if self._by_name.get(running.name) is not running or running.control is None:
            return
        if unread(running.control):
            log.info("%s: it has not read the order to stop; using a signal", running.name)
            _signal(running.pidfd, running.stop_signal)

    def _send(self, running: Process, byte: bytes) -> bool:
        """Send an order; False if there is no socket for it, so that a signal has to do."""
        if running.control is None or not running.speaks:
            return False
        try:
            running.orders.send(running.control, byte)
        except OSError as error:
            log.info("%s: control socket: %s; using a signal", running.name, error)
            return False
        return True

    # Spawning

    def no_spawns(self) -> AbstractAsyncContextManager[object]:
        """While in this context, no vassal is being started."""
        return self._one_spawn

    async def _spawn(self, vassal: Vassal, at: int) -> None:
        try:
            await self._start(vassal, at)
        except Exception as error:
            self._waiting.pop(vassal.name, None)
            running = self._by_name.get(vassal.name)
            if running is None or running.attempt != vassal.attempt:
                self._fail(vassal.name, "spawn", error, gone=vassal.attempt)
                return
            self._fail(vassal.name, "spawn", error)
            if running.pidfd not in self._by_fd:  # it is to be stopped, and its end to be seen
                self._watch(running.pidfd, running)

    async def _start(self, vassal: Vassal, at: int) -> None:
        assert self._tell is not None
        name = vassal.name
        assert vassal.attempt is not None
        attempt = vassal.attempt
        try:
            running = adoption.take_over(self._leftovers, vassal, self._keeper)
            if running is None:
                reason = await exposed(self._user_threads, vassal.running, self._policy())
                if reason is not None:
                    await self._refuse(name, attempt, reason, "resources")
                    return
                await self._on_demand.settled(name)
                start = self._starter.start
                running = await threads.run_sync(start, vassal, at, limiter=self._one_spawn)
        except (command.CannotRun, NoAccount) as error:
            await self._refuse(name, attempt, str(error), "exec")
            return
        except OSError as error:
            cwd = None if vassal.running is None else vassal.running.cwd
            await self._refuse(name, attempt, *error_text(error, cwd))
            return
        self._by_name[name] = running
        self._trees.expect_orphans()
        if running.unsent:
            self._send_config(running)
        body = Spawned(attempt=attempt, pid=running.pid, start_time=running.started)
        if running.former is not None:
            control = running.control is not None
            runs = running.former.spec
            body = msgspec.structs.replace(body, mark=running.mark, runs=runs, control=control)
        await self._tell([HostEvent(Draft("spawned", body, None, name, vassal.order))])
        self._listen_to(running)
        if running.former is not None:
            self._find_cgroup(running)
        elif running.cgroup is not None:
            self._do("cgroup", running, self._watch_entry)
        if running.former is not None:
            self._repeat(running, running.said)
        for action, spec in self._waiting.pop(name):
            self._order(action, spec)

    def _find_cgroup(self, running: Process) -> None:
        """The cgroup in which a former daemon started it, if it did.

        Its leader may have moved out, as container engines do. What it started can be in it still.
        """
        running.cgroup = self._cgroups.find(running.mark, running.pid)
        running.entered = running.cgroup is not None
        if running.cgroup is None:
            running.cgroup = self._cgroups.left_by(running.mark, self._identity())

    async def _watch_entry(self, running: Process) -> None:
        """Say it if a process executes its program outside of its cgroup."""
        assert running.cgroup is not None
        entering = True
        while entering:
            await trio.sleep(_ENTRY)
            if self._by_name.get(running.name) is not running:
                return
            entering = cgroups.is_entering(running.pid)
            running.entered = self._cgroups.holds(running.cgroup, running.pid)
        if not running.entered and procfs.start_time(running.pid) == running.started:
            self._cgroups.complain(f"{running.name}: process {running.pid} is not in its cgroup")

    async def _refuse(self, name: str, attempt: int, reason: str, fault: Fault) -> None:
        assert self._tell is not None
        del self._waiting[name]
        body = SpawnFailed(attempt=attempt, reason=reason, fault=fault)
        await self._tell([HostEvent(Draft("spawn_failed", body, None, name, attempt))])

    def _listen_to(self, running: Process) -> None:
        self._watch(running.pidfd, running)
        if running.control is not None:
            self._watch(running.control.fileno(), running, _NEWS)

    async def recover(self, fleet: Fleet, boot: str, time_of: Callable[[int], int]) -> list[Draft]:
        """Take over what lives of a former daemon's vassals; the record of who does and who not.

        ``boot`` is the machine's present boot; ``time_of`` gives the ``at`` of an event.
        """
        unclear: dict[str, Exception] = {}
        look = partial(recovery.survey, unclear=unclear)
        survivors, gone = await threads.run_sync(look, fleet, boot, time_of)
        for name, error in unclear.items():
            self._fail(name, "survey", error)
        adopted: list[Survivor] = []
        late: list[Survivor] = []
        held_sockets.arrange(self._keeper, survivors)
        for survivor in survivors:
            with self._sparing(survivor.vassal.name, "adopt"):
                (adopted if self.adopt(survivor) else late).append(survivor)
        if late:  # they have died since, and left behind what they had started
            await threads.run_sync(recovery.end_trees, late)
            gone += [survivor.vassal for survivor in late]
        for survivor in adopted:
            running = self._by_name[survivor.vassal.name]
            self._repeat(running, adoption.missed(running))
        await self._keeper.sync()  # now it is known how those ended that the keeper saw
        known = self._keeper.deaths if fleet.boot == boot else {}
        found = [survivor.draft() for survivor in adopted]
        found += [recovery.death(vassal, known) for vassal in gone]
        await self.inherit(fleet.vassals.values())
        adopted_pids = {survivor.pid for survivor in adopted}
        kept, identity = self._keeper.kept, self._identity()
        left = await threads.run_sync(leftovers.find, kept, adopted_pids, identity, time_of)
        held_sockets.set_aside(self._keeper, left)
        self._leftovers.add(left)
        self.forget_kept()
        await threads.run_sync(self._sweep, left, identity, time_of)
        return found

    def _sweep(
        self, left: Iterable[Leftover], identity: str | None, time_of: Callable[[int], int]
    ) -> None:
        """End what is in cgroups of attempts of which nothing was adopted."""
        keep = [running.cgroup for running in self._by_name.values()]
        keep += [self._cgroups.find(each.mark, each.pid) for each in left]
        self._cgroups.sweep(identity, {each for each in keep if each is not None}, time_of)

    def adopt(self, survivor: Survivor) -> bool:
        """Take over the process of a former daemon's vassal; False if it has just gone."""
        with nobodys():  # it would be stopped for what it has not done
            running = adoption.adopt(survivor, self._keeper)
        if running is None:
            return False
        self._by_name[running.name] = running
        self._listen_to(running)
        self._find_cgroup(running)
        if self._logs is not None:
            with contextlib.suppress(OSError):  # no more than last lines depend on it
                running.log_start = self._logs.size(running.name)
                running.log_file = self._logs.written_by(running.pid, running.name)
        return True

    def forget_kept(self) -> None:
        """Let go of what was kept for vassals that nobody adopted: they are gone.

        That of leftovers stays, and the addresses that were set aside for them.
        """
        left = self._leftovers.kept
        for name, kept in list(self._keeper.kept.items()):
            if name in left or Listeners.is_aside(name):
                self._keeper.take(name)
                continue
            del self._keeper.kept[name]
            self._keeper.drop(name)
            for descriptor in kept.descriptors:
                os.close(descriptor)

    # Deaths

    async def _bury(self, running: Process) -> None:
        """The leader has died: end its tree, reap it, tell."""
        try:
            await self._end(running)
        except Exception as error:
            self._let_go(running)
            self._fail(running.name, "reap", error, gone=running.attempt)

    def _let_go(self, running: Process) -> None:
        """Forget a dead process, whatever cannot be tidied up of it."""
        steps: list[Callable[[], object]] = [
            partial(self._trees.reap_leader, running),
            partial(self._turn_deaf, running),
            partial(self._keeper.drop, running.kept_name),
            running.close,
            partial(self._keeper.acknowledge, running.identity),
        ]
        if running.cgroup is not None:
            steps.append(partial(self._cgroups.kill, running.cgroup))
        if running.config is not None:
            steps.insert(0, partial(self._unwatch, running.config.fileno()))
        if self._by_name.get(running.name) is running:
            del self._by_name[running.name]
            for step in steps:
                with contextlib.suppress(Exception):
                    step()
        self._beats.pop(running.name, None)

    async def _end(self, running: Process) -> None:
        assert self._tell is not None
        kill_group(running.pid)
        if running.cgroup is not None and not running.entered:  # it is known until it is reaped
            running.entered = self._cgroups.holds(running.cgroup, running.pid)
        death = await self._reap(running)
        await self._trees.end(running)
        self._strays.ended(running.uid)
        last = ""
        if self._logs is not None and not running.asked:
            args = (running.name, running.log_start, running.log_file)
            last = await threads.run_sync(self._logs.last_lines, *args)
        if running.control is not None:
            self._unwatch(running.control.fileno())
        if running.config is not None:
            self._unwatch(running.config.fileno())
        self._keeper.drop(running.kept_name)
        running.close()
        del self._by_name[running.name]
        self._beats.pop(running.name, None)
        body = Exited(
            attempt=running.attempt,
            code=death.code,
            signal=death.signal,
            log=last,
            reload=self._is_of_reload(running, death),
        )
        await self._tell([HostEvent(Draft("exited", body, None, running.name))])
        self._keeper.acknowledge(running.identity)

    def _is_of_reload(self, running: Process, death: Death) -> bool:
        """Whether it died of the signal that was to reload it."""
        recent = trio.current_time() - running.signalled <= self._policy().mercy
        of_it = recovery.of_signal(death, running.reload_signal)
        return recent and of_it and not running.asked

    async def _reap(self, running: Process) -> Death:
        """How a dead leader ended. Nothing is known of one that is nobody's child that we know."""
        if running.child is not None:
            death = _peek(running)
            # Not reaped before somebody knows it who outlives us.
            self._keeper.entrust_death(running.identity, death)
            self._trees.reap_leader(running)
            return death
        told = None
        if running.keepers:
            told = await self._keeper.death_of(running.identity, _KEEPERS_WORD)
        return told or Death(None, None)

    async def _watch_strays(self) -> None:
        while True:
            await trio.sleep(5)
            if not self._waiting:  # a child that is not in the table yet would be taken for one
                with contextlib.suppress(OSError):  # out of descriptors; next time, then
                    await threads.run_sync(self._look_for_strays)

    def _look_for_strays(self) -> None:
        running = list(self._by_name.values())
        self._strays.look(self._orphans(), running, self._leftovers.marks)

    def last_look(self) -> None:
        """Say which processes are left when all vassals have stopped. Blocks for a moment."""
        self._strays.look(self._orphans(), [], self._leftovers.marks, last=True)

    async def _look_after_logs(self) -> None:
        while True:
            await trio.sleep(_LOOK_AT_LOGS)
            if self._logs is None:
                return
            if await threads.run_sync(self._logs.look_for_others):
                log.warning("%s", self._logs.sharing)
            try:
                await threads.run_sync(self._logs.bound_others)
            except OSError as problem:
                log.warning("logs of other users cannot be cut: %s", problem)
            # All in one go: a thousand hops to a thread cost more than the looks.
            failed = await threads.run_sync(_look_after, self._logs, list(self._by_name.values()))
            for running, error in failed:
                self._fail(running.name, "look after its log", error)

    def last_lines(self, vassal: str) -> str:
        """The end of a vassal's log: what its process wrote, or its last one if it has none."""
        if self._logs is None:
            return ""
        running = self._by_name.get(vassal)
        return self._logs.last_lines(vassal, 0 if running is None else running.log_start)

    def leftovers(self) -> list[tuple[str, int]]:
        """Processes that run, and that the journal does not know: vassal and pid."""
        return self._leftovers.alive()

    def strays(self) -> list[str]:
        """Processes that may be left of vassals and cannot be attributed, each in words."""
        return self._strays.alive()

    def cgroup_trouble(self) -> str | None:
        """Why vassals run without cgroups that should have them."""
        return self._cgroups.trouble

    def cgroup_of(self, vassal: str) -> str | None:
        """The directory of its attempt's cgroup."""
        running = self._by_name.get(vassal)
        return None if running is None else running.cgroup

    def log_troubles(self) -> dict[str, str]:
        """What is wrong with the directory of logs: what wants attention, and the reason."""
        if self._logs is None or not self._logs.others:
            return {}
        return {"logs shared": self._logs.sharing}

    def floods(self) -> dict[str, str]:
        """Vassals that send more than the daemon reads, and what is to be told of it."""
        told = {running.name: running.inflow.told() for running in self._by_name.values()}
        return {name: text for name, text in told.items() if text is not None}

    def renamed_logs(self) -> dict[str, str]:
        """Vassals that do not write to their log's path, and where they write."""
        return {
            running.name: running.log_renamed
            for running in self._by_name.values()
            if running.log_renamed is not None
        }


def _look_after(logs: LogDirectory, processes: list[Process]) -> list[tuple[Process, Exception]]:
    """Cut logs that are too long, and see which were renamed. The errors that nobody expected."""
    failed: list[tuple[Process, Exception]] = []
    for running in processes:
        try:
            logs.bound(running.name)
            if running.log_file is None:
                continue
            before = running.log_renamed
            running.log_renamed = logs.renamed_to(running.name, running.log_file, running.pid)
        except OSError as error:
            log.warning("%s: its log cannot be cut: %s", running.name, error)
            continue
        except Exception as error:
            failed.append((running, error))
            continue
        if before is None and running.log_renamed is not None:
            log.warning(
                "%s: its log was renamed, and it writes to %s until it is started again; that file"
                " is not cut at --log-size; logrotate needs copytruncate, as in %s",
                running.name,
                running.log_renamed,
                LOGROTATE,
            )
    return failed


def _signal(pidfd: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # else its end is being told
        signal.pidfd_send_signal(pidfd, number)


def _peek(running: Process) -> Death:
    """How a child ended that is dead and not reaped yet."""
    status = os.waitid(os.P_PIDFD, running.pidfd, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    if status is None:
        # Who traces it (ptrace(2)) is told first and takes its time: that may be any process of
        # its user, and must not keep us. It is reaped when it can be.
        return Death(*procfs.ended(running.pid))
    if status.si_code == os.CLD_EXITED:
        return Death(status.si_status, None)
    return Death(None, status.si_status)

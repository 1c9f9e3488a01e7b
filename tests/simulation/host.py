"""The simulated host: the part of one daemon that acts on the simulated machine.

It keeps the contract of ``daemon/host/host.py``. Orders for a vassal whose spawn is under way wait
for it. ``spawned`` is durable before the daemon reads the vassal's bytes. A reload is not sent
before all workers hear it. An end is told when the whole tree is gone. A byte that is sent twice
before it was handed over counts once. Everything takes some virtual time, and between any two
things the daemon may be killed.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import trio
from emperord.daemon.core.actions import Action
from emperord.daemon.core.attempts import of_attempt
from emperord.daemon.core.draft import Draft
from emperord.daemon.core.fleet import Fleet, Vassal
from emperord.daemon.core.inputs import HostEvent, News, TellNews, VassalByte
from emperord.daemon.core.listening import addresses
from emperord.daemon.host import emperor_protocol, recovery, threads
from emperord.daemon.host import procfs as marks
from emperord.daemon.host.controller import SETTLING
from emperord.daemon.host.process import kept_name
from emperord.daemon.keeper.link import Identity, Kept
from emperord.journal.events import (
    Exited,
    Fault,
    OfAttempt,
    Spawned,
    SpawnFailed,
    Spec,
)

from .addresses import Addresses
from .disk import Disk
from .kernel import Key, Process
from .looks import Looks
from .machine import Machine
from .nothing import Nothing
from .preflights import Preflights
from .script import AWAITED

LISTENER: Final = "listener:"
UNREAD: Final = 0.8  # seconds after which an order that was not read is told of


class CannotStart(Exception):
    """There will be no process."""

    def __init__(self, reason: str, fault: Fault) -> None:
        super().__init__(reason)
        self.reason, self.fault = reason, fault


def _check_start(machine: Machine, name: str, spec: Spec, text: str) -> None:
    """Raise CannotStart where the real host would."""
    if spec.socket is not None and machine.listening.get(name) != spec.socket:
        raise CannotStart("its socket on demand is not there", "interrupted")
    if machine.starved:
        raise CannotStart("cannot start it now: out of processes", "resources")
    if text.startswith("noexec"):
        raise CannotStart("cannot be executed: no such file", "exec")


class SimulatedHost(Addresses, Preflights, Looks, Nothing):
    """The parts of the machine that one daemon holds; of no use when it is dead."""

    def __init__(
        self,
        machine: Machine,
        disk: Disk,
        moment: Callable[[str], None],
        pause: Callable[[], float],
        *,
        graceful: bool,
    ) -> None:
        self._machine = machine
        self._disk = disk
        self._moment = moment
        self._pause = pause  # a short random time
        self._stop = emperor_protocol.STOP_GRACEFULLY if graceful else emperor_protocol.STOP
        self.dead = False
        self.expected: set[Identity] = set()  # adopted processes whose ends it will tell
        self._held: dict[Key, Process] = {}
        self._waiting: dict[Key, list[tuple[Action, Spec | None]]] = {}
        self._awaited: set[str] = set()  # vassals whose first client is waited for
        self._given_back: Counter[str] = Counter()  # how often each address was closed
        self._checks: dict[str, trio.CancelScope] = {}
        self._sick: set[Key] = set()
        self._said: dict[News, None] = {}
        self._spoken = trio.Event()
        self._beats: dict[Key, float] = {}
        self._to_reload: set[Key] = set()  # that was ordered, and is not sent yet
        self._reloads: dict[Identity, int] = {}  # that were sent
        self._accepted: dict[Key, float] = {}  # since when, or since when it is known here
        self._one_spawn = trio.CapacityLimiter(1)
        self._nursery: trio.Nursery | None = None
        self._tell: TellNews | None = None

    # Its life

    async def recover(self, fleet: Fleet, boot: str, time_of: Callable[[int], int]) -> list[Draft]:
        """With the verdicts of the real recovery."""
        machine = self._machine
        survivors, gone = await threads.run_sync(recovery.survey, fleet, boot, time_of, machine)
        self._moment("recover")
        adopted = [survivor for survivor in survivors if self._adopt(survivor)]
        late = [survivor for survivor in survivors if survivor not in adopted]
        if late:
            await threads.run_sync(recovery.end_trees, late, machine)
            gone += [survivor.vassal for survivor in late]
        found = [survivor.draft() for survivor in adopted]
        known = machine.deaths if fleet.boot == boot else {}
        found += [recovery.death(vassal, known) for vassal in gone]
        wanted = {v.name: v.running.socket for v in fleet.vassals.values() if v.running}
        self.inherit(fleet)
        for name, address in list(machine.listening.items()):
            if wanted.get(name) != address:
                self._close_address(name)
        held = {kept_name(p.name, p.attempt) for p in self._held.values()}
        machine.kept = {kept for kept in machine.kept if kept in held or kept[0] == LISTENER[0]}
        return found

    def _adopt(self, survivor: recovery.Survivor) -> bool:
        process = self._machine.processes.get(survivor.pid)
        if process is not None:
            survivor.control = process.connected
            self.expected.add(process.identity)
            self._held[process.key] = process
            self._accepted[process.key] = trio.current_time()
            if survivor.vassal.sick is not None:
                self._sick.add(process.key)
            if survivor.vassal.phase == "reloading":
                self._to_reload.add(process.key)
        return process is not None

    async def run(
        self, tell: TellNews, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Tell what happens to vassals, until cancelled."""
        self._tell = tell
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for process in self._held.values():
                    self._listen_to(process)
                    if process.ignored:
                        nursery.start_soon(self._watch_reload, process)
                task_status.started()
                while True:
                    await self._spoken.wait()
                    self._spoken = trio.Event()
                    said, self._said = self._said, {}
                    heard = {(n.vassal, n.attempt) for n in said if not isinstance(n, HostEvent)}
                    read = [process for key, process in self._held.items() if key in heard]
                    counts = [len(process.unread) for process in read]
                    await tell(list(said))
                    # Only what is durable is taken out of the socket: else it would die with us.
                    for process, count in zip(read, counts, strict=True):
                        del process.unread[:count]
        finally:
            self._nursery = None

    def is_stale(self, said: VassalByte) -> bool:
        """Whether it is a word of the program that is about to be reloaded."""
        process = self._held.get((said.vassal, said.attempt))
        if process is None or said.byte != emperor_protocol.ACCEPTING:
            return False
        sent = self._reloads.get(process.identity, 0)
        return process.key in self._to_reload or said.reloads != sent

    def hand_over(self) -> None:
        """Give a successor's keeper the sockets of all that run."""
        self._moment("hand")
        connected = [process for process in self._held.values() if process.connected]
        self._machine.succeeded(kept_name(p.name, p.attempt) for p in connected)
        self._moment("handed")

    # Bytes and ends of vassals

    def _listen_to(self, process: Process) -> None:
        process.parent = self
        if process.behaviour in AWAITED and self._nursery is not None:
            self._nursery.start_soon(self._look_at, process)
        for word in list(process.unread):
            self.heard(process, word)
        if not process.alive:
            self.buries(process)

    def buries(self, process: Process) -> None:
        """Have the daemon tell that the leader has died."""
        if self._nursery is not None:  # else the daemon leaves, and the next one buries it
            self._nursery.start_soon(self._bury, process)

    async def _bury(self, process: Process) -> None:
        assert self._tell is not None
        await trio.sleep(self._pause())
        for pid in process.strays:
            self._machine.kill(pid)
        await trio.sleep(self._pause())
        code, signal = process.code, process.signal
        if process.child_of is not self:
            death = self._machine.deaths.get(process.identity)
            code, signal = (death.code, death.signal) if death else (None, None)
        self._moment("bury")
        del self._held[process.key]
        self._forget(process)
        reloads = process.reloads and signal == 1
        body = Exited(attempt=process.attempt, code=code, signal=signal, reload=reloads)
        await self._tell([HostEvent(Draft("exited", body, None, process.name))])
        self._machine.kept.discard(kept_name(process.name, process.attempt))
        self._machine.deaths.pop(process.identity, None)

    # Orders

    def carry_out(self, action: Action, vassal: Vassal | None, at: int) -> None:
        """Do what the fold ordered."""
        if self.dead:
            return
        self._moment("act")
        self._disk.checker.carried_out(action.do, action.vassal, action.attempt)
        if action.do == "unlisten":
            self._close_address(action.vassal)
        elif action.do == "uncheck":
            self._end_check(action.vassal)
        elif vassal is None:
            return
        elif action.do == "listen":
            self._listen(vassal)
        elif action.do == "check":
            self._check(vassal, action)
        else:
            self._carry_out(action, of_attempt(vassal, action.attempt), at)

    def _carry_out(self, action: Action, vassal: Vassal | None, at: int) -> None:
        assert self._nursery is not None
        key = action.vassal, action.attempt or 0
        if vassal is not None and action.do == "spawn":
            assert vassal.running is not None
            self._waiting[key] = []
            self._nursery.start_soon(self._spawn, *key, vassal.running, at, vassal.order)
        elif key in self._waiting:
            self._waiting[key].append((action, None if vassal is None else vassal.running))
        elif vassal is not None:
            self._order(action, vassal.running, deaf=vassal.is_deaf)

    def _order(self, action: Action, spec: Spec | None, *, deaf: bool = False) -> None:
        process = self._held.get((action.vassal, action.attempt or 0))
        if process is None or not process.alive:
            return
        if action.do == "reload":
            assert spec is not None
            assert self._nursery is not None
            self._to_reload.add(process.key)
            self._nursery.start_soon(self._reload, process, self._disk.text_of(spec))
        elif action.do in ("stop", "retire"):
            process.asked = True
            byte = self._stop if action.do == "stop" else emperor_protocol.STOP_GRACEFULLY
            self._machine.told(process, byte, signal=deaf)
        elif action.do == "kill":
            process.asked = True
            self._machine.kill(process.pid)

    async def _reload(self, process: Process, text: str) -> None:
        if process.connected and process.speaks:
            for _ in range(2):
                await trio.sleep_until(self._accepted.get(process.key, -SETTLING) + SETTLING)
        self._to_reload.discard(process.key)
        if self._held.get(process.key) is process and process.alive and not process.asked:
            self._reloads[process.identity] = self._reloads.get(process.identity, 0) + 1
            self._machine.reload(process, text)
            await self._watch_reload(process)

    async def _watch_reload(self, process: Process) -> None:
        await trio.sleep(UNREAD)
        if self._held.get(process.key) is process and process.ignored and not process.asked:
            body = OfAttempt(attempt=process.attempt)
            self._say(HostEvent(Draft("vassal_deaf", body, None, process.name)))

    # Spawning

    async def _spawn(self, name: str, attempt: int, spec: Spec, at: int, order: int | None) -> None:
        assert self._tell is not None
        try:
            process = await threads.run_sync(
                self._start, name, attempt, spec, at, limiter=self._one_spawn
            )
        except CannotStart as error:
            del self._waiting[name, attempt]
            self._machine.kept.discard(kept_name(name, attempt))
            body = SpawnFailed(attempt=attempt, reason=error.reason, fault=error.fault)
            await self._tell([HostEvent(Draft("spawn_failed", body, None, name, attempt))])
            return
        self._held[process.key] = process
        self._moment("forked")
        spawned = Spawned(attempt=attempt, pid=process.pid, start_time=process.started)
        await self._tell([HostEvent(Draft("spawned", spawned, None, name, order))])
        self._moment("told")
        self._listen_to(process)
        for action, wanted in self._waiting.pop((name, attempt)):
            self._order(action, wanted)

    def _start(self, name: str, attempt: int, spec: Spec, at: int) -> Process:
        self._moment("fork")
        text = self._disk.text_of(spec)
        _check_start(self._machine, name, spec, text)
        if not self.open_all(name, addresses(spec)):
            raise CannotStart("cannot listen: its address is taken", "resources")
        self.close_others(name, addresses(spec))
        if self._machine.keeper:
            self._machine.kept.add(kept_name(name, attempt))
        process = self._machine.fork(name, attempt, marks.mark(attempt, at, name), text)
        process.child_of, process.address = self, spec.socket
        return process


class KeeperLink:
    """The daemon's end of its connection to the keeper."""

    def __init__(self, machine: Machine, host: SimulatedHost) -> None:
        self._machine = machine
        self._host = host
        self.died = False
        self.pid = 1

    @property
    def alive(self) -> bool:
        """Whether there is a keeper."""
        return self._machine.keeper

    @property
    def entrusted(self) -> Mapping[str, Kept]:
        """Descriptors, of which there are none here."""
        return {}

    def receive_all(self) -> None:
        """Do nothing: the machine knows what it keeps."""

    def deliver(self) -> bool:
        """Do nothing: a keeper knows at once."""
        return True

    def acknowledge_all(self) -> None:
        """Forget the deaths that are recorded, and those of processes that no vassal has."""
        for identity in list(self._machine.deaths.keys() - self._host.expected):
            del self._machine.deaths[identity]

    def hear(self) -> None:
        """Signals come from the world."""

    async def run(self) -> None:
        """Deaths are looked up."""
        await trio.sleep_forever()

"""One run: the world of a script, in which one daemon lives after the other.

Time is trio's, under a clock that jumps to the next thing that happens. All that is random is
drawn from the seed, trio's order of tasks included, so a seed gives one run, to the byte. First
the script happens, faults and crashes and all, and the checker looks on. Then the faults end,
and within bounded time the fleet has to be what the sources say. At last the daemon is told to
stop, and nothing may be left.
"""

import heapq
import itertools
import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from hashlib import sha256
from random import Random
from typing import Any, Final, TypeVar, TypeVarTuple

import trio
from emperord.daemon.control import takeover
from emperord.daemon.control.server import Refused
from emperord.daemon.core.draft import Draft
from emperord.daemon.core.fleet import Pressure
from emperord.daemon.core.rules import RULES
from emperord.daemon.host import threads
from emperord.daemon.loop import recorder, signals
from emperord.daemon.loop.clock import Clock
from emperord.daemon.loop.shell import Shell
from emperord.daemon.loop.signals import Abandoned
from emperord.daemon.loop.systemd import Notifier
from emperord.journal.chain import canonical
from emperord.journal.events import DaemonStarted, OperatorRequested, Request
from emperord.journal.policy import Policy
from trio._core import _run as trio_internals

from .checker import Checker
from .clock import Clock as VirtualClock
from .disk import Disk, Record
from .hands import Hands, Link
from .machine import Machine
from .script import SOURCES, Script, Step
from .settled import unsettled
from .sources import Source
from .trouble import Crash, Violation, must

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EPOCH: Final = 1_800_000_000_000_000_000
PATIENCE: Final = 45.0  # virtual seconds in which a fleet has to settle when all faults are over
CALM: Final = 2.5  # virtual seconds that it has to stay so; longer than a hang goes unnoticed


class World:
    """All there is beside the daemon's own code. ``daemon`` is the shell that is tried."""

    def __init__(self, script: Script, daemon: type[Shell] = Shell) -> None:
        self.script = script
        self.daemon = daemon
        self.rng = Random(f"{script.seed}/world")
        self.checker = Checker()
        self.disk = Disk(self.checker)
        self._hops = Random(f"{script.seed}/hops of the world")
        self.machine = Machine(self.rng, self.checker, trio.current_time, self.later)
        self.texts: dict[str | None, str] = {}  # every config that there ever was, by digest
        self.sources = {
            kind: Source(kind, Random(f"{script.seed}/{kind}"), self.texts) for kind in SOURCES
        }
        self.configured: tuple[str, ...] = SOURCES  # of the next daemon
        self.max_starting = script.max_starting
        self.pressure: Pressure | None = Pressure()
        self.wall = 0.0  # seconds that the wall clock is off
        self.away = 0.0  # seconds until the next daemon starts
        self.slow = False  # the disk takes its time
        self.life: Life | None = None
        self.calm = False  # no faults any more
        self.over = False
        self.armed: dict[str, int] = {}  # moment -> how often it passes before a crash
        self.killed: list[str] = []  # the moments at which daemons were
        self.boots = 1
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._hurry = trio.Event()

    # Time

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        """Have this done after virtual seconds."""
        when = trio.current_time() + seconds
        heapq.heappush(self._timers, (when, next(self._numbers), do))
        self._hurry.set()

    async def _tick(self) -> None:
        while True:
            self._hurry = trio.Event()
            wait = self._timers[0][0] - trio.current_time() if self._timers else 3600.0
            if wait > 0:
                with trio.move_on_after(wait):
                    await self._hurry.wait()
                continue
            _, _, do = heapq.heappop(self._timers)
            do()
            self.checker.look(trio.current_time())

    def pause(self) -> float:
        """A short time, as things take."""
        return self.rng.choice((0.0, 0.001, self.rng.uniform(0.0, 0.02)))

    async def hop(self) -> None:
        """Have the script's hops happen, each at its time, until cancelled.

        A job in a thread draws from the seed. So each of these, though it does nothing, gives
        all that follows other times, and other orders where times are equal.
        """
        while True:
            await trio.sleep(self._hops.expovariate(self.script.hops))
            await threads.run_sync(_nothing)

    async def yield_turns(self) -> None:
        """Let others go first, none to as many times as there are hops a second."""
        for _ in range(self._hops.randint(0, self.script.hops) if self.script.hops else 0):
            await trio.lowlevel.checkpoint()

    # A run

    async def run(self) -> None:
        """Raises Violation."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tick)
            for step in self.script.steps:
                self.later(step.at, lambda step=step: self._happen(step))  # type: ignore[misc]
            self.later(self.script.length, self._end_faults)
            nursery.start_soon(self._live)
            await trio.sleep(self.script.length + 0.1)
            await self._settle()
            await self._stop()
            nursery.cancel_scope.cancel()

    async def _live(self) -> None:
        """One daemon after the other."""
        while True:
            self.life = Life(self)
            await self.life.run()
            renewed, self.life = self.life.renewed, None
            if self.over:
                return
            pause = 0.01 if renewed else self.rng.choice((0.02, self.rng.uniform(0.0, 1.0)))
            await trio.sleep(pause + (0 if self.calm else self.away))
            self.away = 0.0

    def _end_faults(self) -> None:
        self.calm = True
        self.armed.clear()
        self.disk.refused, self.disk.hiccups, self.slow = False, 0, False
        self.machine.starved = self.machine.busy = False
        for source in self.sources.values():
            source.mend()

    async def _settle(self) -> None:
        """Wait until the fleet is what the sources say, and has been so for a while."""
        until = trio.current_time() + PATIENCE
        since = trio.current_time()
        while trio.current_time() < since + CALM:
            reason = unsettled(self)
            if reason:
                must(trio.current_time() < until, "settles", reason)
                since = trio.current_time()
            await trio.sleep(0.25)

    async def _stop(self) -> None:
        self.over = True
        if self.life is not None:
            self.life.signal(signal.SIGTERM)
        with trio.move_on_after(PATIENCE):
            while self.life is not None:  # noqa: ASYNC110  # time is virtual
                await trio.sleep(0.1)
        must(self.life is None, "stops", "the daemon did not end")
        left = sorted(self.checker.living.items())
        must(not left, "stops", f"the daemon left, {left} did not")
        must(not self.machine.kept, "forgets", f"the keeper keeps {self.machine.kept}")
        must(not self.machine.listening, "forgets", f"open still: {self.machine.listening}")
        self.disk.rebuild(anew=True)
        self.disk.check_deploys()

    # The steps of the script

    def _happen(self, step: Step) -> None:
        if self.calm:
            return
        getattr(self, "_do_" + step.do.replace(" ", "_").replace("-", "_"))(step)

    def _for(self, step: Step, on: Callable[[], None], off: Callable[[], None]) -> None:
        on()
        self.later(step.much, off)

    def _do_put(self, step: Step) -> None:
        name, behaviour = step.what.split()
        self.sources[step.whom].put(name, behaviour)

    def _do_mistake(self, step: Step) -> None:
        self.sources[step.whom].mistake(step.what, "healthy")

    def _do_touch(self, step: Step) -> None:
        self.sources[step.whom].touch(step.what)

    def _do_drop(self, step: Step) -> None:
        self.sources[step.whom].drop(step.what)

    def _do_fail(self, step: Step) -> None:
        self.sources[step.whom].fails_until = trio.current_time() + step.much

    def _do_hold(self, step: Step) -> None:
        self.sources[step.whom].held_until = trio.current_time() + step.much

    def _do_raise(self, step: Step) -> None:
        self.sources[step.whom].raises = True

    def _do_lie(self, step: Step) -> None:
        self.sources[step.whom].says_false(step.what)

    def _do_repeat(self, step: Step) -> None:
        self.sources[step.whom].repeat()

    def _do_kill(self, step: Step) -> None:
        self._die(step.whom, None, 11)

    def _do_exit(self, step: Step) -> None:
        self._die(step.whom, 1, None)

    def _do_exile(self, step: Step) -> None:
        self._die(step.whom, 26, None)

    def _die(self, name: str, code: int | None, number: int | None) -> None:
        process = self.machine.of(name)
        if process is not None:
            self.machine.dies(process, code, number)

    def _do_resign(self, step: Step) -> None:
        process = self.machine.of(step.whom)
        if process is not None and process.accepting:
            self.machine.says(process, 22)

    def _do_mute(self, step: Step) -> None:
        process = self.machine.of(step.whom)
        if process is not None and process.accepting and process.behaviour == "beats":
            self.machine.mutes(process)

    def _do_connect(self, step: Step) -> None:
        if step.whom in self.machine.listening:
            self.machine.clients.add(step.whom)
            process = self.machine.of(step.whom)
            if process is not None and process.accepting:
                self.machine.clients.discard(step.whom)
            if self.life is not None:
                self.life.hands.knock(step.whom)

    def _do_stop(self, step: Step) -> None:
        self._ask(step)

    _do_start = _do_reload = _do_retry = _do_stop

    def _ask(self, step: Step) -> None:
        if self.life is not None:
            request: Any = step.do
            self.life.ask(request, step.whom)

    def _do_starve(self, step: Step) -> None:
        self._for(step, lambda: self._starve(True), lambda: self._starve(False))

    def _starve(self, on: bool) -> None:
        self.machine.starved = on

    def _do_busy(self, step: Step) -> None:
        self._for(step, lambda: self._occupy(True), lambda: self._occupy(False))

    def _occupy(self, on: bool) -> None:
        self.machine.busy = on

    def _do_keeper(self, step: Step) -> None:
        """It dies; after a while a newcomer may take over, with a keeper of its own."""
        self.machine.keeper_died()
        if step.much:
            self.later(step.much, self._newcomer)

    def _newcomer(self) -> None:
        if self.life is not None and not self.machine.keeper:
            self.life.give_way()

    def _do_stranger(self, step: Step) -> None:
        """A process of others gets the number of a vassal's that has died."""
        process = self.machine.of(step.whom)
        self._do_crash(step)
        if process is not None:
            self.machine.dies(process, None, 9)
            self.machine.take_pid(process.pid)

    def _do_reboot(self, step: Step) -> None:
        self._do_crash(step)
        self.boots += 1
        self.machine.reboot(self.boots)

    def _do_full(self, step: Step) -> None:
        self._for(step, lambda: self._refuse(True), lambda: self._refuse(False))

    def _refuse(self, on: bool) -> None:
        self.disk.refused = on

    def _do_slow(self, step: Step) -> None:
        self._for(step, lambda: self._slow_down(True), lambda: self._slow_down(False))

    def _slow_down(self, on: bool) -> None:
        self.slow = on

    def _do_hiccup(self, step: Step) -> None:
        self.disk.hiccups += 1

    def _do_crash(self, step: Step) -> None:
        if self.life is not None:
            self.life.die()

    def _do_crash_at(self, step: Step) -> None:
        self.armed[step.what] = int(step.much)

    def _do_away(self, step: Step) -> None:
        self.away = step.much
        self._do_crash(step)

    def _do_term(self, step: Step) -> None:
        self._signal(signal.SIGTERM)

    def _do_term_twice(self, step: Step) -> None:
        self._signal(signal.SIGTERM)
        self.later(1.3, lambda: self._signal(signal.SIGTERM))

    def _do_hup(self, step: Step) -> None:
        self._signal(signal.SIGHUP)

    def _do_urg(self, step: Step) -> None:
        self._signal(signal.SIGURG)

    def _do_usr2(self, step: Step) -> None:
        self._signal(signal.SIGUSR2)

    def _signal(self, number: int) -> None:
        if self.life is not None and not self.calm:
            self.life.signal(number)

    def _do_wall(self, step: Step) -> None:
        self.wall += step.much

    def _do_sources(self, step: Step) -> None:
        self.configured = tuple(step.what.split())

    def _do_pressure(self, step: Step) -> None:
        self.pressure = Pressure(*map(int, step.what.split()))

    def _do_max_starting(self, step: Step) -> None:
        self.max_starting = int(step.much)

    # For whoever reads a failed run

    def record(self) -> list[str]:
        """The journal, a line an event, times in virtual seconds, and what runs at the end."""
        lines = [
            f"{seq} {(at - EPOCH) / 1e9:.3f} {kind} {vassal or monitor or ''} {body} {actions}"
            for seq, at, kind, monitor, vassal, _, body, actions in self.disk.rows
        ]
        if self.life is not None:
            lines += map(str, self.life.shell.fleet.vassals.values())
        killed = f"killed at: {' '.join(self.killed)}"
        return [*lines, killed, f"running: {list(self.checker.living.values())}"]

    def digest(self) -> str:
        """The mark of this run: SHA-256 of its record and of when it ended."""
        whole = canonical([self.disk.rows, f"{trio.current_time():.9f}", self.disk.configs])
        return sha256(whole).hexdigest()


class Life:
    """One daemon, from its start to its end."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.dead = self.renewed = False
        self.signals: list[int] = []
        self.signalled = trio.Event()
        self._at_work: set[trio.CancelScope] = set()
        machine = world.machine
        self.hands = Hands(
            machine, world.disk, self.moment, world.pause, graceful=world.script.graceful
        )
        policy = Policy(
            throttle=200,
            max_throttle=1600,
            forgive=world.script.forgive,
            required_heartbeat=2.0,
            mercy=1.5,
            start_patience=2.0,
            max_starting=world.max_starting,
            max_starting_ceiling=world.script.ceiling,
            graceful_shutdown=world.script.graceful,
        )
        self.configured = world.configured
        self.monitors = [world.sources[kind].monitor() for kind in world.configured]
        urls = tuple(monitor.url for monitor in self.monitors)
        started = DaemonStarted(
            version="0", boot=machine.boot, pid=1, policy=policy, monitors=urls, rules=RULES
        )
        skew = world.rng.randrange(10**12)  # since boot, whenever that was
        self.clock = Clock(
            world.disk.last_at,
            EPOCH + int((trio.current_time() + world.wall) * 1e9),
            lambda: int(trio.current_time() * 1e9) + skew,
        )
        self.shell = world.daemon(
            Record(world.disk, self.moment),
            world.disk.rebuild(),
            self.clock,
            self.hands,
            started,
            Notifier({}),
            Link(machine, self.hands),
            signals=self._signals,
            gauge=lambda: world.pressure,
            deploys=world.disk.unsettled(),
        )
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None

    async def run(self) -> None:
        """Until it ends or is killed."""
        world = self._world
        _working.append(self)
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    self._nursery = nursery
                    if world.script.hops:
                        nursery.start_soon(world.hop)
                    await self.shell.run(self.monitors)
                    nursery.cancel_scope.cancel()
        except* (Crash, Abandoned):
            self.die()
        finally:
            _working.remove(self)
        self.renewed = self.shell.handover.renewing and not self.dead
        if not self.dead and not self.renewed:
            left = sorted(world.checker.living.items())
            must(not left, "stops", f"the daemon stopped, {left} did not")
        self.hands.dead = True
        world.machine.daemon_died()
        world.checker.no_daemon()

    def die(self) -> None:
        """It is killed now; nothing that it is about to do happens."""
        if not self.dead:
            self.dead = self.hands.dead = True
            self._world.machine.daemon_died()
            self._world.checker.no_daemon()
            for scope in list(self._at_work):
                scope.cancel()
            self._scope.cancel()

    def moment(self, name: str) -> None:
        """The daemon may be killed here."""
        if self.dead:
            raise Crash
        armed = self._world.armed
        if name in armed:
            armed[name] -= 1
            if armed[name] <= 0:
                del armed[name]
                self._world.killed.append(name)
                self.die()
                raise Crash

    def signal(self, number: int) -> None:
        """The daemon gets a signal."""
        if number == signal.SIGTERM:
            self._world.checker.may_leave = True
        self.signals.append(number)
        self.signalled.set()

    def ask(self, do: Request, name: str) -> None:
        """An operator asks for something."""
        if self._nursery is not None and not self.dead:
            self._nursery.start_soon(self._ask, do, name)

    async def _ask(self, do: Request, name: str) -> None:
        body = OperatorRequested(request=do, uid=0, via="control")
        with suppress(Refused):  # the journal cannot be written: nothing is to change
            await self.shell.view.record(Draft("operator_requested", body, None, name))

    def give_way(self) -> None:
        """A newcomer asks for all that this daemon has."""
        if self._nursery is not None and not self.dead:
            self._nursery.start_soon(self._give_way)

    async def _give_way(self) -> None:
        body = OperatorRequested(request="upgrade", uid=0, via="take_over")
        try:
            await self.shell.view.record(Draft("operator_requested", body))
        except Refused:
            return
        channel: Any = nullcontext()
        await self.shell.handover.hand_over(channel)

    @contextmanager
    def _signals(self, *_: int) -> Iterator[AsyncIterator[int]]:
        yield Arriving(self)

    async def work(self, job: Callable[[*Ts], T], *args: *Ts, patient: bool) -> T:
        """Run a job as a worker thread does: it takes time, and cannot be called back."""
        with trio.CancelScope(shield=patient) as scope:
            self._at_work.add(scope)
            try:
                await trio.sleep(self._delay())
                await self._world.yield_turns()
                result = job(*args)
                await trio.sleep(self._delay())
                await self._world.yield_turns()
                return result
            finally:
                self._at_work.discard(scope)
        raise Crash  # it may be shielded from the cancel that a kill is

    def _delay(self) -> float:
        world = self._world
        world.checker.forgive(trio.current_time())
        return world.rng.uniform(0.1, 0.5) if world.slow else world.pause()


class Arriving:
    """The signals that one daemon gets. No generator: those end when it pleases the collector."""

    def __init__(self, life: Life) -> None:
        self._life = life

    def __aiter__(self) -> "Arriving":
        return self

    async def __anext__(self) -> int:
        while not self._life.signals:
            self._life.signalled = trio.Event()
            await self._life.signalled.wait()
        return self._life.signals.pop(0)


_working: list[Life] = []


async def _run_sync(
    job: Callable[[*Ts], T],
    *args: *Ts,
    limiter: trio.CapacityLimiter | None = None,
    abandon_on_cancel: bool = False,
) -> T:
    """In place of ``threads.run_sync``: the same, in virtual time."""
    life = _working[-1]
    async with limiter or nullcontext():
        return await life.work(job, *args, patient=not abandon_on_cancel)


def _nothing() -> None:
    """The job of a hop."""


def _no_trial() -> None:
    """Do nothing: a simulated daemon does not look at what is installed."""


def _hand_over(_channel: object, _entrusted: object) -> bool:
    """In place of ``takeover.hand_over``."""
    _working[-1].hands.hand_over()
    return True


@contextmanager
def determined(seed: int) -> Iterator[None]:
    """Nothing but the seed decides what happens in here, and nothing is logged."""
    internals: Any = trio_internals
    before = internals._ALLOW_DETERMINISTIC_SCHEDULING
    appending: Any = recorder
    real, every = threads.run_sync, appending.SNAPSHOT_EVERY
    taking: Any = signals
    try_new_version = taking.try_new_version
    state, disabled = internals._r.getstate(), logging.root.manager.disable
    internals._ALLOW_DETERMINISTIC_SCHEDULING = True
    internals._r.seed(seed)
    threads.run_sync = _run_sync
    appending.SNAPSHOT_EVERY = 40
    taking.try_new_version = _no_trial
    heirs: Any = takeover
    hand_over, heirs.hand_over = heirs.hand_over, _hand_over
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        internals._ALLOW_DETERMINISTIC_SCHEDULING = before
        internals._r.setstate(state)
        threads.run_sync, appending.SNAPSHOT_EVERY = real, every
        taking.try_new_version = try_new_version
        heirs.hand_over = hand_over
        logging.disable(disabled)


def play(
    script: Script, daemon: type[Shell] = Shell, note: Callable[[str], None] | None = None
) -> str:
    """Run a script; the digest of the run. ``note`` gets the record. Raises Violation."""
    found: list[str] = []

    async def run() -> None:
        world = World(script, daemon)
        try:
            await world.run()
            found.append(world.digest())
        finally:
            for line in world.record() if note is not None else ():
                note(line)  # type: ignore[misc]

    clock = VirtualClock()
    with determined(script.seed), clock.keeping_sleeps():
        try:
            trio.run(run, clock=clock)
        except BaseExceptionGroup as group:
            raise _first(group) from None
    return found[0]


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that broke the run: a violation if there is one."""
    leaves = list(_leaves(group))
    violations = [leaf for leaf in leaves if isinstance(leaf, Violation)]
    return (violations or leaves)[0]


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for inner in group.exceptions:
        if isinstance(inner, BaseExceptionGroup):
            yield from _leaves(inner)
        else:
            yield inner

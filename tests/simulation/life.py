"""One daemon of a run, under the clock and in the order that the seed gives."""

import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar, TypeVarTuple

import trio
from emperord.daemon.control import requests, takeover
from emperord.daemon.control.server import Refused
from emperord.daemon.core.draft import Draft
from emperord.daemon.core.rules import RULES
from emperord.daemon.host import threads
from emperord.daemon.loop import recorder
from emperord.daemon.loop.clock import Clock
from emperord.daemon.loop.signals import Abandoned
from emperord.daemon.loop.systemd import Notifier
from emperord.journal.events import DaemonStarted, OperatorRequested, Request
from emperord.journal.policy import Policy
from trio._core import _run as trio_internals

from .host import KeeperLink, SimulatedHost
from .trouble import Crash, must

if TYPE_CHECKING:
    from .world import World

T = TypeVar("T")


Ts = TypeVarTuple("Ts")


EPOCH: Final = 1_800_000_000_000_000_000


class Life:
    """One daemon, from its start to its end."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.dead = self.renewed = False
        self.signals: list[int] = []
        self.signalled = trio.Event()
        self._at_work: set[trio.CancelScope] = set()
        machine = world.machine
        self.host = SimulatedHost(
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
            rollout=world.script.rollout,
            rollout_failures=world.script.rollout_failures,
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
            world.disk.record(self.moment),
            world.disk.rebuild(),
            self.clock,
            self.host,
            started,
            Notifier({}),
            KeeperLink(machine, self.host),
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
        self.host.dead = True
        world.machine.daemon_died()
        world.checker.no_daemon()

    def die(self) -> None:
        """It is killed now; nothing that it is about to do happens."""
        if not self.dead:
            self.dead = self.host.dead = True
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

    def ask(self, do: Request, name: str | None) -> None:
        """An operator asks for something."""
        if self._nursery is not None and not self.dead:
            self._nursery.start_soon(self._ask, do, name)

    async def _ask(self, do: Request, name: str | None) -> None:
        body = OperatorRequested(request=do, uid=0, via="control")
        with suppress(Refused):  # the journal cannot be written: nothing is to change
            await self.shell.view.record(Draft("operator_requested", body, None, name))

    def give_way(self) -> None:
        """A successor asks for all that this daemon has."""
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


def _no_trial() -> None:
    """Do nothing: a simulated daemon does not look at what is installed."""


def _hand_over(_channel: object, _entrusted: object) -> bool:
    """In place of ``takeover.hand_over``."""
    _working[-1].host.hand_over()
    return True


@contextmanager
def determined(seed: int) -> Iterator[None]:
    """Nothing but the seed decides what happens in here, and nothing is logged."""
    internals: Any = trio_internals
    before = internals._ALLOW_DETERMINISTIC_SCHEDULING
    appending: Any = recorder
    real, every = threads.run_sync, appending.SNAPSHOT_EVERY
    taking: Any = requests
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

"""One run: the world of a script, in which one daemon lives after the other.

Time is trio's, under a clock that jumps to the next thing that happens. All that is random is
drawn from the seed, trio's order of tasks included, so a seed gives one run, to the byte. First
the script happens, faults and crashes and all, and the checker looks on. Then the faults end,
and within bounded time the fleet has to be what the sources say. At last the daemon is told to
stop, and nothing may be left.
"""

import heapq
import itertools
import signal
from collections.abc import Callable, Iterator
from hashlib import sha256
from random import Random
from typing import Final

import trio
from emperord.daemon.core.fleet import Pressure
from emperord.daemon.host import threads
from emperord.daemon.loop.shell import Shell
from emperord.journal.chain import canonical

from .checker import Checker
from .clock import Clock as VirtualClock
from .disk import Disk
from .life import EPOCH, Life, determined
from .machine import Machine
from .operations import Operations
from .script import SOURCES, Script
from .settled import unsettled
from .sources import Source
from .trouble import Violation, must

PATIENCE: Final = 45.0  # virtual seconds in which a fleet has to settle when all faults are over
CALM: Final = 5.0  # virtual seconds that it has to stay so; longer than a hang goes unnoticed


class World:
    """All there is beside the daemon's own code. ``daemon`` is the shell that is tried."""

    def __init__(
        self,
        script: Script,
        daemon: type[Shell] = Shell,
        checker: Checker | None = None,
        disk: Disk | None = None,
        texts: dict[str | None, str] | None = None,
    ) -> None:
        self.script = script
        self.daemon = daemon
        self.rng = Random(f"{script.seed}/world")
        self.checker = checker or Checker()
        self.disk = disk or Disk(self.checker)
        self._hops = Random(f"{script.seed}/hops of the world")
        self.machine = Machine(self.rng, self.checker, trio.current_time, self.later)
        # Every config that there ever was, by digest.
        self.texts: dict[str | None, str] = {} if texts is None else texts
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
            operations = Operations(self)
            for step in self.script.steps:
                self.later(step.at, lambda step=step: operations.happen(step))  # type: ignore[misc]
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
        self.checker.becomes_calm(trio.current_time())
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
            self.checker.look(trio.current_time())
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
        still = self.machine.listening, self.machine.opened
        must(not any(still), "forgets", f"open still: {still}")
        self.disk.rebuild(anew=True)
        self.disk.check_deploys()

    # For a reader of a failed run

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


def _nothing() -> None:
    """The job of a hop."""


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

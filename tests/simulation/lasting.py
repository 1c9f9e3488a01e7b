"""A long load on one daemon, in virtual time: does anything of it grow?

The fleet keeps its size, while vassals change, die, are asked for, leave for good, and others with
new names come. Sources fail, lie and repeat themselves, and the disk is full at times. The shell,
the fold and the journal are those of the product, and the journal is a file.
"""

import gc
import itertools
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import trio
from emperord.daemon.core.fleet import to_json
from emperord.daemon.loop import recorder

from .clock import Clock
from .lean import Blind, Forgetful, JournalDisk
from .life import determined
from .operations import Operations
from .script import CANARY, HEALTHY, PREFLIGHTS, REPLACES, ROLLS, SICK, SOURCES, Script, Step
from .sizes import lengths
from .world import World

VASSALS: Final = 24
PACE: Final = 0.5  # virtual seconds between two steps, on average
SNAPSHOTS: Final = 1_000  # events between two
_SETTINGS: Final = ("", "", "", "", REPLACES, ROLLS, CANARY, *PREFLIGHTS)
_STEPS: Final = {
    "put": 24, "touch": 8, "leave": 10, "kill": 8, "exit": 8, "exile": 1, "resign": 3, "mute": 3,
    "connect": 6, "stop": 4, "start": 6, "reload": 5, "restart": 4, "retry": 4, "fail": 1,
    "raise": 1, "lie": 1, "repeat": 2, "hold": 1, "full": 1, "hiccup": 2, "starve": 1, "busy": 1,
    "pressure": 2, "hup": 1, "rollout": 1,
}  # fmt: skip
_OF_SOURCE: Final = ("fail", "raise", "lie", "repeat", "hold")
_FOR_A_WHILE: Final = ("fail", "hold", "full", "starve", "busy")


class Look(NamedTuple):
    """The figures of a daemon after so many virtual seconds."""

    seconds: float
    events: int
    lengths: Counter[str]
    objects: Counter[str]  # that the collector knows, by type
    files: int
    tasks: int
    snapshot: int  # bytes
    resident: int  # bytes
    microseconds: float  # of processor time an event, since the look before


class Load:
    """The steps, one after the other, of a fleet that keeps its size."""

    def __init__(self, seed: int) -> None:
        self._rng = Random(f"{seed}/load")
        self._numbers = itertools.count()
        self._home: dict[str, str] = {}  # name -> source

    def opening(self) -> Iterator[Step]:
        """The fleet with which it begins."""
        for _ in range(VASSALS):
            yield self._comes()

    def steps(self) -> list[Step]:
        """The next step, or two that belong together."""
        rng = self._rng
        [do] = rng.choices(list(_STEPS), weights=list(_STEPS.values()))
        name = rng.choice(list(self._home))
        if do == "leave":
            return [Step(0, "drop", self._home.pop(name), name), self._comes()]
        if do == "put":
            return [self._put(name)]
        much = rng.uniform(0.3, 2.0) if do in _FOR_A_WHILE else 0.0
        if do == "touch":
            return [Step(0, do, self._home[name], name)]
        if do in _OF_SOURCE:
            lie = rng.choice(("half", "phantom")) if do == "lie" else ""
            return [Step(0, do, rng.choice(SOURCES), lie, much)]
        if do == "pressure":
            return [Step(0, do, what=f"{rng.randint(0, 3)} 0 0")]
        if do == "rollout":
            return [Step(0, do, what=rng.choice(("continue", "abort")))]
        return [Step(0, do, name, "", much)]

    def _comes(self) -> Step:
        name = f"v{next(self._numbers)}.ini"
        self._home[name] = self._rng.choice(SOURCES)
        return self._put(name)

    def _put(self, name: str) -> Step:
        behaviour = self._rng.choice(HEALTHY if self._rng.random() < 0.75 else SICK)
        setting = "" if behaviour in ("demand", "shares") else self._rng.choice(_SETTINGS)
        return Step(0, "put", self._home[name], f"{name} {behaviour} {setting}".strip())


class LastingWorld(World):
    """A world in which one daemon lives for long."""

    def __init__(self, script: Script, path: Path) -> None:
        blind: Any = Blind()
        disk = JournalDisk(path, blind)
        super().__init__(script, checker=blind, disk=disk, texts=Forgetful())
        self.file = disk
        self.load = Load(script.seed)
        self.looks: list[Look] = []
        self._operations = Operations(self)
        self._spent, self._events = 0.0, 0

    async def last(self, looks: int) -> None:
        """Have the load last, and look so many times, at last when it is over."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tick)
            nursery.start_soon(self._live)
            for step in self.load.opening():
                self._operations.happen(step)
            nursery.start_soon(self._go_on)
            self._spent = time.process_time()
            for number in range(1, looks + 1):
                await trio.sleep_until(self.script.length * number / looks)
                self.looks.append(self._look())
            self._end_faults()
            await self._stop()
            nursery.cancel_scope.cancel()

    async def _go_on(self) -> None:
        while not self.calm:
            await trio.sleep(self.rng.expovariate(1 / PACE))
            for step in self.load.steps():
                self._operations.happen(step)

    async def _stop(self) -> None:
        self.over = True
        assert self.life is not None
        self.life.signal(15)
        while self.life is not None:  # noqa: ASYNC110  # time is virtual
            await trio.sleep(0.1)

    def _look(self) -> Look:
        """The figures of now. Only what the load took counts as its processor time."""
        assert self.life is not None
        shell = self.life.shell
        spent, events = time.process_time() - self._spent, self.file.journal.seq
        gc.collect()
        found = Look(
            trio.current_time(), events, lengths(shell, "shell"),
            Counter(type(each).__qualname__ for each in gc.get_objects()),
            len(os.listdir("/proc/self/fd")),
            trio.lowlevel.current_statistics().tasks_living, len(to_json(shell.fleet)),
            _resident(), spent / max(1, events - self._events) * 1e6,
        )  # fmt: skip
        self._spent, self._events = time.process_time(), events
        return found


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def lasting(path: Path, seconds: float, looks: int, seed: int = 1) -> list[Look]:
    """Look so many times at a daemon under load for so many virtual seconds."""
    script = Script(
        seed, (), seconds, 2, graceful=False, forgive=30.0, ceiling=4, rollout="2",
        rollout_failures=2,
    )  # fmt: skip
    found: list[Look] = []

    async def run() -> None:
        world = LastingWorld(script, path)
        found_here = world.looks
        try:
            await world.last(looks)
        finally:
            found.extend(found_here)
            world.file.journal.close()

    clock = Clock()
    appending: Any = recorder
    with determined(seed), clock.keeping_sleeps():
        appending.SNAPSHOT_EVERY = SNAPSHOTS  # ``determined`` puts the product's back
        trio.run(run, clock=clock)
    return found

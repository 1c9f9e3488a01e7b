"""The machine's pressure, which decides how many vassals may start at once.

The kernel counts for how long tasks were stalled for lack of a processor, memory or a disk
(pressure stall information, PSI, in ``/proc/pressure``). Each second the figure becomes the mean of
itself and the share of the last second, so that one burst does not swing the limit. Kernels
without PSI have the run queue instead (``/proc/loadavg``).

The figures become steps from 0 (idle) to 4 (saturated). The fold is told of a change of
steps while a vassal waits for a slot, at most once a second. Steps are not recorded otherwise, so
an idle fleet writes nothing, and nothing is read for it. After such a time the kernel's own mean of
the last ten seconds is the first figure.
"""

import os
import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import trio

from ...journal.events import PressureObserved
from ..core import slots
from ..core.draft import Draft
from ..core.fleet import Fleet, Pressure

PERIOD: Final = 1.0  # seconds between looks
_SHORTEST: Final = 0.5  # seconds; a shorter time says little
_LONGEST: Final = 5.0  # seconds; the share of a longer time says little of the present

# Percent of the time from which each step begins. Busy processors are shared fairly, and a start
# waits more than it works. So processors alone never take more than half of the way to the floor:
# there is no third step. With eight starts a core a deploy is as quick as without a limit, however
# busy tenants are. Time lost to memory or disks is worse.
_CPU: Final = (60.0, 90.0)  # in which some task waited for a processor
_MEMORY: Final = (5.0, 10.0, 20.0, 40.0)  # in which some task waited for memory
_IO: Final = (20.0, 40.0, 60.0, 80.0)  # in which all tasks that had work waited for a disk
# Runnable tasks beyond one per processor, from which each step begins.
_QUEUE: Final = (0.5, 1.0, 2.0, 8.0)
_BACK: Final = 0.8  # a step ends when the figure is below this part of its threshold

Gauge = Callable[[], Pressure | None]
Tell = Callable[[Callable[[Fleet], Iterable[Draft]]], Awaitable[None]]


class _Level:
    """One figure as a step. The mean of what is measured and of the mean before counts."""

    def __init__(self, thresholds: Sequence[float], first: float) -> None:
        self._rises = thresholds
        # A figure about a threshold must not be news each second.
        self._falls = [threshold * _BACK for threshold in thresholds]
        self._mean = first
        self.step = bisect_right(thresholds, first)

    def restart(self, value: float) -> None:
        """The mean is of long ago: begin with this value."""
        self._mean = value
        self.step = bisect_right(self._rises, value)

    def add(self, value: float) -> None:
        self._mean = (self._mean + value) / 2
        highest = bisect_right(self._falls, self._mean)
        self.step = max(bisect_right(self._rises, self._mean), min(self.step, highest))


class Stalls:
    """Pressure stall information. Raises OSError if the kernel has none."""

    _FILES: Final = {"cpu": ("some", _CPU), "memory": ("some", _MEMORY), "io": ("full", _IO)}

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._at = clock()
        self._totals: dict[str, int] = {}
        self._levels: dict[str, _Level] = {}
        for name, (line, thresholds) in self._FILES.items():
            recent, self._totals[name] = self._read(name, line)
            self._levels[name] = _Level(thresholds, recent)

    def __call__(self) -> Pressure:
        """The present steps."""
        now = self._clock()
        elapsed = now - self._at
        if elapsed >= _SHORTEST:
            self._at = now
            for name, (line, _) in self._FILES.items():
                recent, total = self._read(name, line)
                stalled = (total - self._totals[name]) / 1e6
                self._totals[name] = total
                if elapsed > _LONGEST:
                    self._levels[name].restart(recent)
                else:
                    self._levels[name].add(min(100.0, 100.0 * stalled / elapsed))
        return Pressure(**{name: level.step for name, level in self._levels.items()})

    def _read(self, name: str, line: str) -> tuple[float, int]:
        """Percent of the last 10 seconds, and microseconds in total, that tasks were stalled."""
        for text in (self._folder / name).read_text().splitlines():
            words = text.split()
            if words[0] == line:
                values = dict(word.split("=") for word in words[1:])
                return float(values["avg10"]), int(values["total"])
        return 0.0, 0


class RunQueue:
    """How many tasks are runnable beside this one. Raises OSError if the kernel does not tell."""

    def __init__(self, file: Path, cores: int) -> None:
        self._file = file
        self._cores = cores
        self._level = _Level(_QUEUE, self._waiting())

    def __call__(self) -> Pressure:
        """The present step, of the processors alone."""
        self._level.add(self._waiting())
        return Pressure(cpu=self._level.step)

    def _waiting(self) -> float:
        """Runnable tasks for which there is no core, for each core."""
        running = int(self._file.read_text().split()[3].partition("/")[0])
        return max(0, running - 1 - self._cores) / self._cores


def gauge(proc: Path = Path("/proc")) -> Gauge:
    """The gauge that this kernel has: its pressure, else its run queue, else none."""
    makers: tuple[Callable[[], Gauge], ...] = (
        lambda: Stalls(proc / "pressure"),
        lambda: RunQueue(proc / "loadavg", len(os.sched_getaffinity(0))),
    )
    for make in makers:
        try:
            found = make()
        except (OSError, ValueError, LookupError):  # no PSI, or a file of another shape
            continue
        return _safe(found)
    return lambda: None


def _safe(found: Gauge) -> Gauge:
    """A reading that fails tells nothing."""

    def read() -> Pressure | None:
        try:
            return found()
        except (OSError, ValueError, LookupError):
            return None

    return read


class PressureWatch:
    """Tells the fold of the pressure, while vassals wait for slots."""

    def __init__(self, read: Gauge, tell: Tell) -> None:
        self._read = read
        self._tell = tell
        self._wanted = trio.Event()

    def slot_wanted(self) -> None:
        """A vassal waits for a slot: look now."""
        self._wanted.set()

    async def run(self, present: Callable[[], Fleet]) -> None:
        """Look when a vassal begins to wait for a slot, and each second while one does."""
        while True:
            seen, fleet = self._read(), present()
            self._wanted = trio.Event()
            if seen is not None and _is_news(fleet, seen):
                body = PressureObserved(cpu=seen.cpu, memory=seen.memory, io=seen.io)
                await self._tell(_meaning(seen, body))
                await trio.sleep(PERIOD)
            elif slots.waits(fleet):
                await trio.sleep(PERIOD)
            else:
                await self._wanted.wait()


def _is_news(fleet: Fleet, seen: Pressure) -> bool:
    return fleet.open and slots.waits(fleet) and seen != fleet.pressure


def _meaning(seen: Pressure, body: PressureObserved) -> Callable[[Fleet], Iterable[Draft]]:
    def meaning(fleet: Fleet) -> Iterable[Draft]:
        if _is_news(fleet, seen):
            yield Draft("pressure_observed", body)

    return meaning

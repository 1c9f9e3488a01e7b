"""The machine's pressure, which decides how many vassals may start at once.

The kernel counts for how long tasks were stalled for want of a processor, memory or a disk
(pressure stall information, PSI, in ``/proc/pressure``). Each second the share of the last second
is taken, and its mean with the figure before, so that one burst does not swing the limit to and
fro. Kernels without PSI have the run queue instead (``/proc/loadavg``).

The figures become steps from 0 (idle) to 4 (saturated). The fold is told of a change of
steps while a vassal waits for a slot, at most once a second. Steps are not recorded otherwise, so
an idle fleet writes nothing.
"""

import os
import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final

import trio

from ..journal.events import PressureObserved
from . import lines
from .fleet import Fleet, Pressure
from .observe import Draft

PERIOD: Final = 1.0  # seconds between looks
_SHORTEST: Final = 0.5  # seconds; a shorter time says little

# Percent of the time from which each step begins. Busy processors are shared fairly, so they
# alone never saturate the machine: there is no fourth step. Time lost to memory or disks is worse.
_CPU: Final = (60.0, 80.0, 95.0)  # in which some task waited for a processor
_MEMORY: Final = (5.0, 10.0, 20.0, 40.0)  # in which some task waited for memory
_IO: Final = (20.0, 40.0, 60.0, 80.0)  # in which all tasks that had work waited for a disk
# Runnable tasks beyond one per processor, from which each step begins.
_QUEUE: Final = (0.5, 1.0, 2.0, 8.0)

Gauge = Callable[[], Pressure | None]
Tell = Callable[[Callable[[Fleet], Iterable[Draft]]], Awaitable[None]]


class _Mean:
    """The mean of what is measured and of the mean before."""

    def __init__(self) -> None:
        self._mean: float | None = None

    def add(self, value: float) -> float:
        self._mean = value if self._mean is None else (self._mean + value) / 2
        return self._mean


class Stalls:
    """Pressure stall information. Raises OSError if the kernel has none."""

    _FILES: Final = {"cpu": ("some", _CPU), "memory": ("some", _MEMORY), "io": ("full", _IO)}

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._at = clock()
        self._totals: dict[str, int] = {}
        self._means: dict[str, _Mean] = {}
        self._steps: dict[str, int] = {}
        for name, (line, thresholds) in self._FILES.items():
            recent, self._totals[name] = self._read(name, line)
            self._means[name] = _Mean()
            self._steps[name] = bisect_right(thresholds, self._means[name].add(recent))

    def __call__(self) -> Pressure:
        """The present steps."""
        now = self._clock()
        elapsed = now - self._at
        if elapsed >= _SHORTEST:
            self._at = now
            for name, (line, thresholds) in self._FILES.items():
                _, total = self._read(name, line)
                stalled = (total - self._totals[name]) / 1e6
                percent = min(100.0, 100.0 * stalled / elapsed)
                self._totals[name] = total
                self._steps[name] = bisect_right(thresholds, self._means[name].add(percent))
        return Pressure(**self._steps)

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
        self._mean = _Mean()
        self()

    def __call__(self) -> Pressure:
        """The present step, of the processors alone."""
        running = int(self._file.read_text().split()[3].partition("/")[0])
        waiting = max(0, running - 1 - self._cores) / self._cores
        return Pressure(cpu=bisect_right(_QUEUE, self._mean.add(waiting)))


def gauge(proc: Path = Path("/proc")) -> Gauge:
    """What this kernel tells: its pressure, else its run queue, else nothing."""
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


class Watch:
    """Tells the fold of the pressure, while vassals wait for slots."""

    def __init__(self, read: Gauge, tell: Tell) -> None:
        self._read = read
        self._tell = tell
        self._wanted = trio.Event()

    def slot_wanted(self) -> None:
        """A vassal waits for a slot: look now."""
        self._wanted.set()

    async def run(self, present: Callable[[], Fleet]) -> None:
        """Look each second, so that the pressure is known when a vassal begins to wait."""
        while True:
            seen, fleet = self._read(), present()
            self._wanted = trio.Event()
            if seen is not None and _is_news(fleet, seen):
                body = PressureObserved(cpu=seen.cpu, memory=seen.memory, io=seen.io)
                await self._tell(_meaning(seen, body))
                await trio.sleep(PERIOD)
            elif lines.waits(fleet):
                await trio.sleep(PERIOD)
            else:
                with trio.move_on_after(PERIOD):
                    await self._wanted.wait()


def _is_news(fleet: Fleet, seen: Pressure) -> bool:
    return fleet.open and lines.waits(fleet) and seen != fleet.pressure


def _meaning(seen: Pressure, body: PressureObserved) -> Callable[[Fleet], Iterable[Draft]]:
    def meaning(fleet: Fleet) -> Iterable[Draft]:
        if _is_news(fleet, seen):
            yield Draft("pressure_observed", body)

    return meaning

"""One sitting: each peer in turn, and what each row of the table measures of it."""

import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import million

from . import processes
from .installing import PREFIX
from .marks import TookTooLongError
from .others import Circus, Supervisord
from .supervisors import CEmperor, Emperord, NotPossibleError, Supervisor, fleet_place, running

PEERS: dict[str, type[Supervisor]] = {
    each.name: each for each in (CEmperor, Emperord, Supervisord, Circus)
}
SETTLED = 12.0  # seconds; by then a daemon has given back the memory of its start
# Seconds. The C Emperor looks every three, and compares whole seconds; others are told at once.
PAUSES = (1.6, 4.6)
WINDOWS = 3  # of the time without work
FAILURES = (NotPossibleError, TookTooLongError, OSError, subprocess.SubprocessError, ValueError)


@dataclass
class Sizes:
    """How much of everything."""

    vassals: int = 1000
    runs: int = 3
    other_runs: int = 1  # of supervisord and circus, which take longer
    touches: int = 3  # of one, in each run
    idle: float = 21.0  # seconds
    settled: float = SETTLED
    apps: int = 100
    app_runs: int = 2
    events: int = 1_000_000
    files: int = 20_000
    few_files: int = 4096


@dataclass
class Cell:
    """The figures of one peer in one row."""

    runs: list[float] = field(default_factory=list)
    reason: str = ""  # why there is none
    note: str = ""

    def median(self) -> float:
        return statistics.median(self.runs)


@dataclass
class Row:
    title: str
    unit: str
    cells: dict[str, Cell] = field(default_factory=dict)


def rows(sizes: Sizes) -> dict[str, Row]:
    """The rows of the table by the names that ``--row`` takes."""
    n = sizes.vassals
    few, many = max(1, n // 10), 2 * n
    at = f"{sizes.files:,} open files"
    return {
        "touch-one": Row(f"touch to told, one of {n:,}", "s"),
        "touch-half": Row(f"{n // 2:,} touched at once, all told", "s"),
        "start-tenth": Row(f"cold start of {few:,}, {at}", "s"),
        "start": Row(f"cold start of {n:,}, {at}", "s"),
        "start-double": Row(f"cold start of {many:,}, {at}", "s"),
        "start-few-files": Row(f"cold start of {n:,}, {sizes.few_files:,} open files", "s"),
        "start-cpu": Row(f"its own processor time in a cold start of {n:,}", "s"),
        "stop": Row(f"stop of {n:,}", "s"),
        "idle": Row(f"idle with {n:,}, of one core", "%"),
        "resident": Row(f"resident with {n:,} (RSS)", "MB"),
        "proportional": Row(f"resident with {n:,} (PSS)", "MB"),
        "again": Row(f"in charge again after `kill -9`, {n:,}", "s"),
        "answered": Row(f"the next daemon's first answer after `kill -9`, {n:,}", "s"),
        "verify": Row(f"the record verified, of {sizes.events:,} events", "events/s"),
    }


class Sitting:
    """Runs the chosen peers, and keeps what each row found."""

    def __init__(
        self,
        vassal: Path,
        sizes: Sizes,
        peers: Sequence[str],
        chosen: Sequence[str],
        say: Callable[[str], None],
    ) -> None:
        self.peers = peers
        self.sizes, self.chosen, self._say = sizes, set(chosen), say
        self._vassal = vassal
        self.rows = rows(sizes)
        self.parts: dict[str, dict[str, object]] = {}  # of memory and processor time, by peer

    def note(self, row: str, peer: str, value: float, note: str = "") -> None:
        cell = self._cell(row, peer)
        cell.runs.append(value)
        cell.note = note or cell.note

    def _cell(self, row: str, peer: str) -> Cell:
        return self.rows[row].cells.setdefault(peer, Cell())

    @contextmanager
    def _row(self, *names: str, peer: str) -> Iterator[None]:
        """A failure is told in the cells of these rows, and the rest goes on."""
        try:
            yield
        except FAILURES as error:
            for name in names:
                if name in self.chosen and not self._cell(name, peer).runs:
                    self._cell(name, peer).reason = str(error)
            self._say(f"{peer}: {', '.join(names)}: {error}")

    def _wants(self, peer: str, *names: str) -> bool:
        """Whether one of these rows is asked for, and has not failed yet."""
        return any(name in self.chosen and not self._cell(name, peer).reason for name in names)

    @contextmanager
    def _fleet(
        self, kind: type[Supervisor], count: int, files: int
    ) -> Iterator[tuple[Supervisor, float]]:
        with (
            fleet_place(self._vassal, count, files, PREFIX) as place,
            running(kind, place, count) as found,
        ):
            yield found

    def turn(self, peer: str, turn: int) -> None:
        """Everything once of one peer."""
        sizes, kind = self.sizes, PEERS[peer]
        self._say(f"{peer}, run {turn + 1}")
        for row, count in (
            ("start-tenth", max(1, sizes.vassals // 10)), ("start-double", 2 * sizes.vassals),
        ):  # fmt: skip
            if self._wants(peer, row):
                with self._row(row, peer=peer), self._fleet(kind, count, sizes.files) as (_, took):
                    self.note(row, peer, took)
        if self._wants(peer, "start-few-files", "again", "answered"):
            self._with_few_files(peer, kind)
        if self._wants(
            peer, "start", "start-cpu", "stop", "touch-one", "touch-half", "idle", "resident",
            "proportional",
        ):  # fmt: skip
            self._whole(peer, kind, turn)

    def _with_few_files(self, peer: str, kind: type[Supervisor]) -> None:
        sizes = self.sizes
        with (
            self._row("start-few-files", "again", "answered", peer=peer),
            self._fleet(kind, sizes.vassals, sizes.few_files) as (emperor, took),
        ):
            self.note("start-few-files", peer, took)
            if self._wants(peer, "again", "answered"):
                time.sleep(min(2.0, sizes.settled))
                self.note("again", peer, *emperor.again())
                if emperor.answered is not None:
                    self.note("answered", peer, emperor.answered)

    def _whole(self, peer: str, kind: type[Supervisor], turn: int) -> None:
        every = (
            "start", "start-cpu", "stop", "touch-one", "touch-half", "idle", "resident",
            "proportional",
        )  # fmt: skip
        with (
            self._row(*every, peer=peer),
            self._fleet(kind, self.sizes.vassals, self.sizes.files) as (emperor, took),
        ):
            self.note("start", peer, took)
            own = emperor.own()
            self.note("start-cpu", peer, processes.spent(own))
            self.parts.setdefault(peer, {})["start"] = {
                **{processes.name_of(pid): processes.spent([pid]) for pid in own},
                "its vassals, from the fork on": processes.spent_alone(emperor.place.marks.pids()),
            }
            with self._row("touch-one", peer=peer):
                if self._wants(peer, "touch-one"):
                    for _ in range(self.sizes.touches):
                        one = [random.randrange(self.sizes.vassals)]
                        self.note("touch-one", peer, self._told(emperor, one))
            with self._row("touch-half", peer=peer):
                if self._wants(peer, "touch-half"):
                    half = range(max(1, self.sizes.vassals // 2))
                    self.note("touch-half", peer, self._told(emperor, half))
            if not turn and self._wants(peer, "idle", "resident", "proportional"):
                time.sleep(self.sizes.settled)
                self._idle(peer, emperor)
                self._resident(peer, emperor)
            if self._wants(peer, "stop"):
                time.sleep(PAUSES[0])  # the start and the touches are over and recorded by then
                self.note("stop", peer, emperor.stop())

    def _told(self, emperor: Supervisor, those: Sequence[int]) -> float:
        shortest, longest = PAUSES
        longest = longest if isinstance(emperor, CEmperor) else shortest + 0.5
        time.sleep(random.uniform(shortest, longest))
        began = time.monotonic_ns()
        emperor.tell(those)
        return max(emperor.all_told(began, those))

    def _idle(self, peer: str, emperor: Supervisor) -> None:
        if not self._wants(peer, "idle"):
            return
        own, window = emperor.own(), self.sizes.idle / WINDOWS
        for _ in range(WINDOWS):
            before, began = processes.spent(own), time.monotonic()
            time.sleep(window)
            share = (processes.spent(own) - before) / (time.monotonic() - began)
            self.note("idle", peer, share * 100)

    def _resident(self, peer: str, emperor: Supervisor) -> None:
        found = {pid: processes.memory(pid) for pid in emperor.own()}
        whole = sum(found.values(), processes.Memory())
        self.note("resident", peer, whole.rss)
        self.note("proportional", peer, whole.pss)
        self.parts.setdefault(peer, {})["memory"] = [
            {"process": processes.name_of(pid), **asdict(memory)} for pid, memory in found.items()
        ]

    def verify(self, folder: Path) -> None:
        """How fast the record is verified. No other peer keeps one."""
        for peer in self.peers:
            if peer != Emperord.name:
                self._cell("verify", peer).reason = "it keeps no record"
        if Emperord.name not in self.peers:
            return
        journal = folder / "million.db"
        million.write(str(journal), self.sizes.events)
        command = [sys.executable, "-m", "emperord", "replay", "--journal", str(journal), "verify"]
        with self._row("verify", peer=Emperord.name):
            for _ in range(self.sizes.runs):
                began = time.monotonic()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                events = self.sizes.events / (time.monotonic() - began)
                self.note("verify", Emperord.name, events)
        journal.unlink()


def machine(folder: Path) -> dict[str, object]:
    """On what it was measured."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "kernel": os.uname().release,
        "python": _interpreter(),
        "file system": processes.file_system(folder),
        "load": os.getloadavg()[0],
    }


def _interpreter() -> str:
    """Its version, and whether the system's packages have it.

    Another may be compiled without a profile of how Python is used, and is slower then.
    """
    version = sys.version.split()[0]
    packaged = Path(sys.executable).resolve().parent == Path("/usr/bin")
    return f"{version} of the system" if packaged else version

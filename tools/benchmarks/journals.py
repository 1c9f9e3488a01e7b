"""How fast the record is written, read and folded."""

import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import trio
from emperord.daemon.core.actions import recorded
from emperord.daemon.core.fleet import Fleet, to_json
from emperord.daemon.core.fold import fold
from emperord.daemon.core.rules import RULES
from emperord.daemon.main import rebuild
from emperord.journal import chain
from emperord.journal.decoding import decode_body
from emperord.journal.events import (
    Announced,
    Body,
    DaemonStarted,
    DeadlinePassed,
    Empty,
    Event,
    Exited,
    OfAttempt,
    OperatorRequested,
    Spawned,
    Spec,
)
from emperord.journal.policy import Policy
from emperord.journal.store import SNAPSHOT_EVERY, Journal, Snapshot
from emperord.monitors.contract import Listing, Observation
from emperord.monitors.options import MonitorOptions
from emperord.monitors.registry import open_monitor
from measuring import SLEEPER, Daemon, Result, at_least, at_most, bench, write


class Story:
    """Events as a fleet of 1,000 vassals makes them: deploys, reloads, deaths, next tries."""

    def __init__(self, specs: dict[str, Spec], url: str) -> None:
        self.fleet = Fleet()
        self._specs = specs
        self._url = url
        self._at = time.time_ns() - 10**15
        self._random = random.Random(1)
        policy = Policy(max_starting=100_000)
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        self._first = [
            self.row(
                "daemon_started",
                DaemonStarted(
                    version="0", boot=boot, pid=1, policy=policy, monitors=(url,), rules=RULES
                ),
            ),
            self.row("daemon_ready", Empty()),
        ]

    def row(self, kind: str, body: Body, vassal: str | None = None) -> chain.Columns:
        self._at += 1_000_000
        monitor = self._url if kind.startswith("vassal_") and isinstance(body, Announced) else None
        known = self.fleet.vassals.get(vassal or "")
        cause = known.order if known is not None else None
        event = Event(self.fleet.seq + 1, self._at, kind, monitor, vassal, cause, body)
        actions = recorded(fold(self.fleet, event))
        return (event.seq, event.at, kind, monitor, vassal, cause, chain.text(body), actions)

    def __iter__(self) -> Iterator[chain.Columns]:
        yield from self._first
        for name, spec in self._specs.items():
            yield self.row("vassal_added", Announced(spec=spec), name)
        names = list(self._specs)
        while True:
            yield from self._episode(self._random.choice(names))

    def _episode(self, name: str) -> Iterator[chain.Columns]:
        """One vassal goes one step on."""
        vassal = self.fleet.vassals[name]
        attempt = vassal.attempt or 0
        match vassal.phase:
            case "starting":
                yield self.row(
                    "spawned", Spawned(attempt=attempt, pid=attempt + 5000, start_time=1), name
                )
                yield self.row("vassal_ready", OfAttempt(attempt=attempt), name)
                yield self.row("vassal_accepting", OfAttempt(attempt=attempt), name)
            case "reloading":
                yield self.row("vassal_accepting", OfAttempt(attempt=attempt), name)
            case "throttled":
                assert vassal.deadline is not None
                self._at = max(self._at, vassal.deadline)
                yield self.row("deadline_passed", DeadlinePassed(deadline=vassal.deadline), name)
            case _ if self._random.random() < 0.7:
                body = Announced(spec=self._specs[name], change="ts")
                yield self.row("vassal_changed", body, name)
            case _:
                yield self.row(
                    "exited", Exited(attempt=attempt, code=1, log="Traceback: why\n" * 5), name
                )

    def end(self) -> Iterator[chain.Columns]:
        """An operator stops all, and they stop."""
        yield self.row("operator_requested", OperatorRequested(request="stop", uid=0))
        for name, vassal in self.fleet.vassals.items():
            if vassal.attempt is not None:
                yield self.row("exited", Exited(attempt=vassal.attempt, code=0), name)
        yield self.row("daemon_stopped", Empty())


def story(folder: Path) -> Story:
    """A story of files that are really there."""
    write(folder, 1000, SLEEPER)
    monitor = open_monitor(str(folder / "vassals"), MonitorOptions())
    seen: dict[str, Spec] = {}

    async def look() -> None:
        with trio.CancelScope() as scope:

            async def tell(*told: Observation) -> None:
                for observation in told:
                    assert isinstance(observation, Listing)
                    seen.update({name: one.spec for name, one in observation.seen.items()})
                scope.cancel()

            await monitor.run(tell, {})

    trio.run(look)
    return Story(seen, monitor.url)


def some(rows: Iterator[chain.Columns], count: int) -> list[chain.Columns]:
    return [next(rows) for _ in range(count)]


@bench
def folding(folder: Path) -> list[Result]:
    """Decode and fold, as every start and every replay does."""
    rows = some(iter(story(folder)), 200_000)
    took: list[float] = []
    for _ in range(3):
        fleet = Fleet()
        began = time.perf_counter()
        for seq, at, kind, monitor, vassal, cause, body, _ in rows:
            fold(fleet, Event(seq, at, kind, monitor, vassal, cause, decode_body(kind, body)))
        took.append(time.perf_counter() - began)
    return [at_least("decode and fold", len(rows) / min(took), 200_000, "events/s")]


@bench
def append(folder: Path) -> list[Result]:
    """100,000 events that wait, in turns as the daemon takes them; each turn is synced."""
    rows = some(iter(story(folder)), 100_000)
    with Journal.open(str(folder / "append.db")) as journal:
        began = time.perf_counter()
        for i in range(0, len(rows), 5000):
            journal.append(rows[i : i + 5000])
        took = time.perf_counter() - began
    return [at_least("append, durable", len(rows) / took, 60_000, "events/s")]


@bench
def million(folder: Path) -> list[Result]:
    """A journal of a million events, the last snapshot almost 10,000 events ago."""
    told = story(folder)
    rows = iter(told)
    path = folder / "journal.db"
    with Journal.open(str(path)) as journal:
        while journal.seq < 1_000_000:
            turn = some(rows, SNAPSHOT_EVERY - told.fleet.seq % SNAPSHOT_EVERY)
            journal.append(turn, None, Snapshot(told.fleet.seq, to_json(told.fleet)))
        journal.append(some(rows, 6000))
        journal.append(list(told.end()))
        total = journal.seq
    with Journal.open(str(path)) as journal:
        began = time.perf_counter()
        fleet = rebuild(journal)
        rebuilt = time.perf_counter() - began
    assert fleet.seq == total
    took: list[float] = []
    for _ in range(3):
        running = Daemon(folder)
        took.append(running.ready() * 1e3)
        running.stop()
    size = path.stat().st_size / (1 << 20)
    return [
        at_most(f"{total:,} events ({size:.0f} MB): rebuild the fleet", rebuilt * 1e3, 1000, "ms"),
        at_most(f"{total:,} events: start to READY", statistics.median(took), 1000, "ms"),
    ]

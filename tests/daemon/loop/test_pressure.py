"""The machine's pressure: how it is read, when it is told, and what follows from it."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import trio
import trio.testing
from emperord.daemon.core import slots as lines
from emperord.daemon.core.draft import Draft
from emperord.daemon.core.fleet import Fleet, Pressure
from emperord.daemon.core.fold import fold
from emperord.daemon.core.rules import RULES
from emperord.daemon.loop.pressure import PressureWatch, RunQueue, Stalls, gauge
from emperord.daemon.option_groups import FLOOR
from emperord.daemon.options import cores
from emperord.journal.events import Announced, DaemonStarted, Empty, Event, Spec
from emperord.journal.policy import Policy

from ..conftest import MakeDaemon

# How it is read


class Kernel:
    """A folder like /proc/pressure, and its clock. Shares are percent of the time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 1000.0
        self.totals = dict.fromkeys(("cpu", "memory", "io"), 5_000_000.0)
        self.show()

    def show(self, avg10: float = 0.0) -> None:
        for name, total in self.totals.items():
            some, full = (0, total) if name == "io" else (total, 0)
            (self.folder / name).write_text(
                f"some avg10={avg10:.2f} avg60=0.00 avg300=0.00 total={some:.0f}\n"
                f"full avg10={avg10:.2f} avg60=0.00 avg300=0.00 total={full:.0f}\n"
            )

    def passes(self, seconds: float = 1.0, **percent: float) -> None:
        self.now += seconds
        for name, share in percent.items():
            self.totals[name] += share * 1e4 * seconds
        self.show()

    def stalls(self) -> Stalls:
        return Stalls(self.folder, lambda: self.now)


@pytest.mark.parametrize(
    ("percent", "seen"),
    [
        pytest.param({}, Pressure(), id="idle"),
        pytest.param({"cpu": 59}, Pressure(), id="busy"),
        pytest.param({"cpu": 61}, Pressure(cpu=1), id="cpu 1"),
        pytest.param({"cpu": 91}, Pressure(cpu=2), id="cpu 2"),
        pytest.param({"cpu": 100}, Pressure(cpu=2), id="cpu 2, the most"),
        pytest.param({"memory": 6}, Pressure(memory=1), id="memory 1"),
        pytest.param({"memory": 41}, Pressure(memory=4), id="memory 4"),
        pytest.param({"io": 19}, Pressure(), id="some io"),
        pytest.param({"io": 81}, Pressure(io=4), id="io 4"),
        pytest.param({"cpu": 70, "memory": 15, "io": 30}, Pressure(1, 2, 1), id="all"),
        pytest.param({"cpu": 400}, Pressure(cpu=2), id="more than there is"),
    ],
)
def test_shares_of_the_time_become_steps(
    tmp_path: Path, percent: dict[str, float], seen: Pressure
) -> None:
    kernel = Kernel(tmp_path)
    read = kernel.stalls()
    for _ in range(12):
        kernel.passes(**percent)
        found = read()
    assert found == seen


def test_the_mean_of_the_last_seconds_counts(tmp_path: Path) -> None:
    """One second of full load is half a load; it is forgotten step by step."""
    kernel = Kernel(tmp_path)
    read = kernel.stalls()
    found = []
    for share in (100, 100, 100, 100, 100, 0, 0):
        kernel.passes(cpu=share)
        found.append(read().cpu)
    assert found == [0, 1, 1, 2, 2, 1, 0]


def test_a_figure_about_a_threshold_is_one_step(tmp_path: Path) -> None:
    """It rises to a step above the threshold, and falls well below it."""
    kernel = Kernel(tmp_path)
    read = kernel.stalls()
    found = []
    for share in (*(62,) * 6, 57, 62, 57, 62, 57, *(45,) * 4):
        kernel.passes(cpu=share)
        found.append(read().cpu)
    assert found == [0, 0, 0, 0, 1, 1, *(1,) * 5, 1, 1, 0, 0]


def test_the_kernels_own_mean_is_the_first_figure(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    kernel.show(avg10=82.5)
    assert kernel.stalls()() == Pressure(cpu=1, memory=4, io=4)


def test_a_look_soon_after_the_last_says_the_same(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    read = kernel.stalls()
    kernel.passes(0.1, cpu=100)
    assert read() == Pressure()
    kernel.passes(0.9, cpu=100)
    kernel.passes(1.0, cpu=100)
    assert read() == Pressure()  # the mean of 0 and 100
    kernel.passes(1.0, cpu=100)
    assert read() == Pressure(cpu=1)


@pytest.mark.parametrize(
    ("running", "step"),
    [(1, 0), (3, 0), (4, 1), (5, 2), (6, 2), (7, 3), (18, 3), (19, 4), (300, 4)],
)
def test_without_pressure_the_run_queue_is_read(tmp_path: Path, running: int, step: int) -> None:
    """On two cores; the daemon that looks is one of those that run."""
    file = tmp_path / "loadavg"
    file.write_text(f"0.20 0.18 0.12 {running}/80 11206\n")
    assert RunQueue(file, 2)() == Pressure(cpu=step)


def _pressure(folder: Path) -> None:
    (folder / "pressure").mkdir()
    Kernel(folder / "pressure").show(avg10=99.0)


def _load(folder: Path) -> None:
    (folder / "loadavg").write_text(f"0.20 0.18 0.12 {1000 * cores()}/80 11206\n")


def _disabled(folder: Path) -> None:
    """psi=0: the files are there and cannot be read. Here they are directories."""
    for name in ("cpu", "memory", "io"):
        (folder / "pressure" / name).mkdir(parents=True)


def _strange(folder: Path) -> None:
    (folder / "pressure").mkdir()
    for name in ("cpu", "memory", "io"):
        (folder / "pressure" / name).write_text("some text that is none of ours\n")


@pytest.mark.parametrize(
    ("there", "seen"),
    [
        pytest.param([_pressure, _load], Pressure(2, 4, 4), id="pressure first"),
        pytest.param([_load], Pressure(cpu=4), id="no pressure"),
        pytest.param([_disabled, _load], Pressure(cpu=4), id="pressure disabled"),
        pytest.param([_strange, _load], Pressure(cpu=4), id="another shape"),
        pytest.param([], None, id="neither"),
    ],
)
def test_what_the_kernel_tells_is_used(
    tmp_path: Path, there: Sequence[Callable[[Path], None]], seen: Pressure | None
) -> None:
    for make in there:
        make(tmp_path)
    assert gauge(tmp_path)() == seen


def test_a_file_that_goes_away_tells_nothing(tmp_path: Path) -> None:
    _load(tmp_path)
    read = gauge(tmp_path)
    assert read() is not None
    (tmp_path / "loadavg").unlink()
    assert read() is None


def test_this_machine_tells_its_pressure() -> None:
    seen = gauge()()
    assert seen is not None
    assert 0 <= seen.most <= 4
    assert RunQueue(Path("/proc/loadavg"), cores())().cpu <= 4


# When it is told

FLOORED: Final = Policy(max_starting=1, max_starting_ceiling=16)


class World:
    """A fleet, and what it is told of the pressure. Each turn takes 10 ms."""

    def __init__(self) -> None:
        self.fleet = Fleet()
        self.seen: Pressure | None = Pressure()
        self.looks = 0
        self.told: list[tuple[float, Any]] = []
        self.watch = PressureWatch(self._read, self._tell)
        started = DaemonStarted(version="0", boot="b", pid=1, policy=FLOORED, rules=RULES)
        self.fold([Draft("daemon_started", started), Draft("daemon_ready", Empty())])

    def _read(self) -> Pressure | None:
        self.looks += 1
        return self.seen

    async def _tell(self, meaning: Callable[[Fleet], Iterable[Draft]]) -> None:
        await trio.sleep(0.01)
        drafts = list(meaning(self.fleet))
        self.told += [(round(trio.current_time(), 2), draft.body) for draft in drafts]
        self.fold(drafts)

    def fold(self, drafts: Iterable[Draft]) -> None:
        for d in drafts:
            seq = self.fleet.seq + 1
            fold(self.fleet, Event(seq, seq, d.kind, d.monitor, d.vassal, d.cause, d.body))

    def add(self, count: int) -> None:
        """So many more are to be started; the shell says if one waits."""
        for number in range(self.fleet.seq, self.fleet.seq + count):
            body = Announced(spec=Spec(ts=1))
            self.fold([Draft("vassal_added", body, "a", f"{number}.ini")])
        if lines.waits(self.fleet):
            self.watch.slot_wanted()

    def run(self, *steps: tuple[float, Callable[[], object]]) -> list[tuple[float, Any]]:
        """Carry out the steps at their seconds; what was told, and when."""

        async def main() -> None:
            async with trio.open_nursery() as nursery:
                began = trio.current_time()
                nursery.start_soon(self.watch.run, lambda: self.fleet)
                for second, do in steps:
                    await trio.sleep_until(began + second)
                    do()
                nursery.cancel_scope.cancel()
            self.told = [(round(at - began, 2), body) for at, body in self.told]

        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
        return self.told

    def sees(self, *steps: int) -> None:
        self.seen = Pressure(*steps)


def told(world: World) -> list[tuple[float, tuple[int, int, int]]]:
    return [(at, (body.cpu, body.memory, body.io)) for at, body in world.told]


def nothing() -> None:
    """Time passes."""


def test_nothing_is_told_while_no_vassal_waits() -> None:
    world = World()
    world.run((0.5, lambda: world.add(1)), (1.5, lambda: world.sees(3)), (5.0, nothing))
    assert world.told == []
    assert world.looks == 1  # at the start


def test_it_is_told_as_soon_as_one_waits() -> None:
    world = World()
    world.run((0.5, lambda: world.add(5)), (0.6, nothing))
    assert told(world) == [(0.51, (0, 0, 0))]
    assert lines.slots(world.fleet) == 16
    assert world.fleet.starting == 5


def test_a_change_is_told_once_and_not_sooner_than_a_second_later() -> None:
    world = World()
    world.run(
        (0.5, lambda: world.add(30)),
        (0.6, lambda: world.sees(1)),
        (0.7, lambda: world.sees(1, 2)),
        (5.0, nothing),
    )
    assert told(world) == [(0.51, (0, 0, 0)), (1.52, (1, 2, 0))]


def test_no_figure_is_no_news() -> None:
    world = World()
    world.seen = None
    world.run((0.5, lambda: world.add(30)), (5.0, nothing))
    assert world.told == []
    assert lines.slots(world.fleet) == 1


def test_what_no_vassal_waits_for_any_more_is_not_told() -> None:
    """The slots were freed while the news was on its way."""
    world = World()
    world.run((0.5, lambda: world.add(2)), (0.505, lambda: _forget_all(world)), (2.0, nothing))
    assert world.told == []


def _forget_all(world: World) -> None:
    for name in list(world.fleet.vassals):
        world.fold([Draft("vassal_removed", Empty(), "a", name)])


# The effects of pressure


@pytest.mark.parametrize(
    ("floor", "ceiling", "steps", "slots"),
    [
        pytest.param(4, 0, None, 4, id="fixed"),
        pytest.param(4, 0, (0, 0, 0), 4, id="fixed, whatever was seen"),
        pytest.param(4, 64, None, 4, id="not known yet"),
        pytest.param(4, 64, (0, 0, 0), 64, id="idle"),
        pytest.param(4, 64, (1, 0, 0), 32, id="1"),
        pytest.param(4, 64, (0, 2, 1), 16, id="2"),
        pytest.param(4, 64, (3, 0, 0), 8, id="3"),
        pytest.param(4, 64, (3, 4, 0), 4, id="4"),
        pytest.param(4, 64, (0, 0, 90), 4, id="never less than the floor"),
        pytest.param(4, 2, (0, 0, 0), 4, id="a ceiling below the floor"),
    ],
)
def test_slots(floor: int, ceiling: int, steps: tuple[int, int, int] | None, slots: int) -> None:
    fleet = Fleet(policy=Policy(max_starting=floor, max_starting_ceiling=ceiling))
    fleet.pressure = None if steps is None else Pressure(*steps)
    assert lines.slots(fleet) == slots


def test_more_than_the_floor_start_at_once(make_daemon: MakeDaemon) -> None:
    """None of them ever says that it accepts. The processors alone leave four slots a core."""
    count = 2 * FLOOR * cores()
    daemon = make_daemon("--start-patience", "60", "--mercy", "0.1")
    daemon.options += ["--uwsgi", _silent(daemon.folder)]
    for number in range(count):
        (daemon.vassals / f"{number:02}.ini").write_text("[uwsgi]\n")
    daemon.start()
    daemon.until(lambda: daemon.kinds().count("spawned") == count, "all are started")
    assert daemon.fleet().starting == count
    assert len(daemon.events("pressure_observed")) >= 1
    daemon.stop()


def _silent(folder: Path) -> str:
    """A program in the place of uWSGI that never says a word."""
    path = folder / "silent"
    path.write_text("#!/bin/sh\nexec sleep 1000\n")
    path.chmod(0o755)
    return str(path)


def test_a_fixed_number_looks_at_nothing(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--max-starting", "2", "--start-patience", "0.3", "--mercy", "0.1")
    daemon.options += ["--uwsgi", _silent(daemon.folder)]
    for number in range(6):
        (daemon.vassals / f"{number:02}.ini").write_text("[uwsgi]\n")
    daemon.start()
    daemon.until(lambda: daemon.kinds().count("spawned") == 6, "all are started")
    assert daemon.events("pressure_observed") == []
    daemon.stop()

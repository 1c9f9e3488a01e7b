"""Many changed files of one directory do not hold up a file of another one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from emperord.monitors.config_file import LARGEST
from emperord.monitors.contract import Listing, Refused, Touched
from emperord.monitors.files import fair_queue
from emperord.monitors.files.fair_queue import MOST, SCANNED, FairQueue
from emperord.monitors.files.pattern import Pattern
from emperord.monitors.files.watcher import FileMonitor
from emperord.monitors.files.watches import Watches
from emperord.monitors.options import MonitorOptions

from ..watching import NEVER, OFTEN, SLOW, Blind, Watching, watching

MANY = 20  # files, of which each takes some 50 ms
WATCHES = {"told by events": (NEVER, Watches), "found by rescans": (OFTEN, Blind)}


def homes(root: Path) -> tuple[Path, Path]:
    """A directory with many files that are slow to read, and one with a single file."""
    busy, other = root / "busy", root / "other"
    busy.mkdir()
    other.mkdir()
    (other / "it.ini").write_text("old")
    return busy, other


def told_of(watch: Watching, directory: Path) -> int:
    """How many vassals of a directory were told."""
    return sum(name.startswith(f"{directory}/") for name in watch.seen)


@pytest.mark.parametrize(("freq", "make_watches"), WATCHES.values(), ids=WATCHES)
async def test_another_directory_is_looked_at_in_its_turn(
    freq: float, make_watches: type[Watches], tmp_path: Path
) -> None:
    busy, other = homes(tmp_path)
    place = Pattern(f"{tmp_path}/*/*", ())
    monitor = FileMonitor("glob://", place, MonitorOptions(freq=freq), make_watches=make_watches)
    async with watching(monitor) as watch:
        for number in range(MANY):
            (busy / f"{number}.yml").write_text(SLOW)
        (other / "it.ini").write_text("new")
        await watch.shows(f"{other}/it.ini", "new")
        assert told_of(watch, busy) < MANY / 2
        await watch.until(lambda: told_of(watch, busy) == MANY)


async def test_what_a_rescan_puts_off_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fair_queue, "SLICE", 0)
    _, other = homes(tmp_path)
    place = Pattern(f"{tmp_path}/*/*", ())
    monitor = FileMonitor("glob://", place, MonitorOptions(freq=OFTEN), make_watches=Blind)
    async with watching(monitor) as watch:
        large = other / "large.ini"
        large.write_bytes(b"x" * (LARGEST + 1))
        await watch.until(lambda: str(large) in watch.refused)
        listings = await watch.listings(5)
        assert all(str(large) in each.refused for each in listings[1:])
        assert sum(isinstance(each, Refused) for each in watch.told) == 1
        large.write_text("small")
        await watch.shows(str(large), "small")
        await watch.until(lambda: not watch.refused)
        large.unlink()
        await watch.until(lambda: str(large) not in watch.seen)
        assert sum(isinstance(each, Touched) for each in watch.told) == 1


class Steps(list[tuple[tuple[str, ...], int, str]]):
    """Events that count how often another task ran while they were gone through."""

    def __init__(self, events: list[tuple[tuple[str, ...], int, str]], ran: list[int]) -> None:
        super().__init__(events)
        self._ran = ran
        self.meanwhile = -1

    def __iter__(self) -> Iterator[tuple[tuple[str, ...], int, str]]:
        before = self._ran[0]
        yield from super().__iter__()
        self.meanwhile = self._ran[0] - before


async def test_other_tasks_run_while_many_events_are_sorted_in(tmp_path: Path) -> None:
    ran = [0]
    given: list[Steps] = []

    class Busy(Watches):
        def read(self) -> list[tuple[tuple[str, ...], int, str]]:
            events = super().read()
            if events and not given:
                events *= 5000
                given.append(Steps(events, ran))
                return given[0]
            return events

    async def run_on() -> None:
        while True:
            await trio.lowlevel.checkpoint()
            ran[0] += 1

    _, other = homes(tmp_path)
    place = Pattern(f"{tmp_path}/*/*", ())
    monitor = FileMonitor("glob://", place, MonitorOptions(freq=NEVER), make_watches=Busy)
    async with watching(monitor) as watch, trio.open_nursery() as nursery:
        nursery.start_soon(run_on)
        (other / "it.ini").write_text("new")
        await watch.shows(f"{other}/it.ini", "new")
        nursery.cancel_scope.cancel()
    assert given[0].meanwhile >= 5


async def test_the_first_listing_has_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair_queue, "SLICE", 0)
    homes(tmp_path)
    place = Pattern(f"{tmp_path}/*/*", ())
    async with watching(FileMonitor("glob://", place, MonitorOptions(freq=NEVER))) as watch:
        first = watch.told[0]
        assert isinstance(first, Listing)
        assert list(first.seen) == [f"{tmp_path}/other/it.ini"]


def turn(name: str) -> str:
    """The first letter."""
    return name[0]


def test_names_are_taken_in_turns() -> None:
    queue = FairQueue(turn)
    for name in ("a1", "a2", "a3", "b1", "c1", "b2"):
        queue.put(name)
    queue.drop("c1")
    queue.add("a3", SCANNED)
    queue.put("a2", "/path")
    batch = queue.take()
    assert list(batch) == ["a1", "b1", "a2", "b2", "a3"]
    assert batch["a2"] == "/path"
    assert batch["a3"] is None
    assert not queue


def test_names_wait_until_their_turn_is_known() -> None:
    queue = FairQueue(lambda name: None if name.startswith("new") else turn(name))
    for name in ("new1", "new2", "a1", "new3", "new4"):
        queue.put(name)
    queue.put("new1", "/path")
    queue.drop("new4")
    assert queue.unsorted() == ["new1", "new2", "new3"]
    assert list(queue.take()) == ["a1"]
    assert queue
    queue.sort([("new1", "a"), ("new2", "b"), ("new4", "b")])
    queue.put("a2")
    assert queue.unsorted() == ["new3"]
    batch = queue.take()
    assert batch == {"new1": "/path", "new2": None, "a2": None}
    queue.put_back(list(batch.items())[1:])
    queue.drop("new3")
    assert queue.take() == {"new2": None, "a2": None}
    assert not queue


def test_names_that_were_not_reached_are_the_next_ones() -> None:
    queue = FairQueue(turn)
    for number in range(2 * MOST):
        queue.put(f"a{number}")
    queue.put("b0")
    batch = queue.take()
    assert len(batch) == MOST
    assert list(batch)[:3] == ["a0", "b0", "a1"]
    queue.put("c0")
    queue.put_back(list(batch.items())[1:])
    assert list(queue.take())[:4] == ["b0", "a1", "c0", "a2"]

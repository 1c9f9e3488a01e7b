"""A rescan is made in pieces: changes of single files are told between them."""

import gc
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from emperord.monitors.contract import Failed, Listing, Observation, Touched, Vanished
from emperord.monitors.files import fair_queue, watcher
from emperord.monitors.files.directory import Directory
from emperord.monitors.files.observation_queue import ObservationQueue
from emperord.monitors.files.survey import Survey
from emperord.monitors.files.watcher import FileMonitor
from emperord.monitors.options import MonitorOptions

from ..watching import NEVER, OFTEN, Watching, watching


class Long(Directory):
    """A directory whose rescans go on, ``before`` or after its files, while a test holds them."""

    def __init__(self, path: str, *, before: bool) -> None:
        super().__init__(path)
        self.go_on = threading.Event()
        self.go_on.set()
        self.is_held = threading.Event()
        self.steps = 0
        self._before = before

    def survey(self, survey: Survey) -> Iterator[None]:
        """Go on until the test lets it end."""
        if self._before:
            yield from self._hold()
        yield from super().survey(survey)
        if not self._before:
            yield from self._hold()

    def _hold(self) -> Iterator[None]:
        yield
        while not self.go_on.is_set():
            self.is_held.set()
            self.steps += 1
            yield


class Remembering(Directory):
    """A directory that knows its surveys, as long as anything else does."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.surveys: list[weakref.ref[Survey]] = []

    def survey(self, survey: Survey) -> Iterator[None]:
        self.surveys.append(weakref.ref(survey))
        yield from super().survey(survey)


WHEN = pytest.mark.parametrize("before", [True, False], ids=["not read yet", "read already"])


@asynccontextmanager
async def held(path: Path, *, before: bool) -> AsyncIterator[tuple[Watching, Long]]:
    """A monitor in the middle of a rescan that has looked at the files, or has not."""
    (path / "kept.ini").write_text("old")
    (path / "gone.ini").write_text("old")
    place = Long(str(path), before=before)
    async with watching(FileMonitor("dir://", place, MonitorOptions(freq=OFTEN))) as watch:
        await watch.listings(1)
        place.go_on.clear()
        await trio.to_thread.run_sync(place.is_held.wait)
        try:
            yield watch, place
        finally:
            place.go_on.set()


async def test_a_rescan_leaves_nothing_for_the_collector(tmp_path: Path) -> None:
    """It ran seldom in the daemon, so the findings of hundreds of rescans waited for it."""
    place = Remembering(str(tmp_path))
    (tmp_path / "one.ini").write_text("new")
    gc.disable()
    try:
        async with watching(FileMonitor("dir://", place, MonitorOptions(freq=OFTEN))) as watch:
            for number in range(4):
                (tmp_path / "one.ini").write_text(str(number))
                await watch.listings(number + 1)
        living = [each for each in place.surveys[:-1] if each() is not None]
    finally:
        gc.enable()
    assert len(place.surveys) > 2
    assert not living


@WHEN
async def test_changes_are_told_while_a_rescan_goes_on(tmp_path: Path, before: bool) -> None:
    """The listing that follows has them, though the rescan may have seen the files as they were."""
    async with held(tmp_path, before=before) as (watch, place):
        begin = len(watch.told)
        (tmp_path / "kept.ini").write_text("new")
        (tmp_path / "gone.ini").unlink()
        (tmp_path / "new.ini").write_text("new")
        await watch.shows("kept.ini", "new")
        await watch.shows("new.ini", "new")
        await watch.until(lambda: "gone.ini" not in watch.seen)
        assert {type(each) for each in watch.told[begin:]} == {Touched, Vanished}
        place.go_on.set()
        for listing in (await watch.listings(3))[-3:]:
            assert {name: seen.spec.config for name, seen in listing.seen.items()} == {
                name: watch.seen[name].spec.config for name in ("kept.ini", "new.ini")
            }
        kinds = [type(each) for each in watch.told[begin:]]
        assert kinds.count(Touched) == 2
        assert kinds.count(Vanished) == 1


@WHEN
async def test_a_file_that_is_mended_while_a_rescan_goes_on_is_not_refused(
    tmp_path: Path, before: bool
) -> None:
    bad = tmp_path / "bad.ini"
    bad.symlink_to("bad.ini")
    async with held(tmp_path, before=before) as (watch, place):
        assert "bad.ini" in watch.refused
        bad.unlink()
        bad.write_text("good")
        await watch.shows("bad.ini", "good")
        begin = len(watch.told)
        place.go_on.set()
        await watch.until(lambda: len(watch.told) > begin + 2)
        assert not [each for each in watch.told[begin:] if getattr(each, "refused", None)]


@pytest.mark.parametrize("first", [0.0, NEVER], ids=["a long start", "a short one"])
async def test_a_first_listing_comes_first_unless_it_takes_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: float
) -> None:
    monkeypatch.setattr(watcher, "FIRST", first)
    monkeypatch.setattr(fair_queue, "PIECE", 0)  # of one step
    place = Long(str(tmp_path), before=False)
    place.go_on.clear()
    monitor = FileMonitor("dir://", place, MonitorOptions(freq=NEVER))
    watch = Watching()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(monitor.run, watch.tell, {})
        await trio.to_thread.run_sync(place.is_held.wait)
        (tmp_path / "a.ini").write_text("new")
        if first:
            begin = place.steps
            while place.steps < begin + 5:
                await trio.lowlevel.checkpoint()
            place.go_on.set()
        await watch.shows("a.ini", "new")
        assert watch.kinds()[0] == ("Listing" if first else "Touched")
        place.go_on.set()
        await watch.until(lambda: "Listing" in watch.kinds())
        assert list(watch.seen) == ["a.ini"]
        nursery.cancel_scope.cancel()


class Journal:
    """Takes what is told. It is durable when the test says so."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.durable = trio.Event()

    async def tell(self, *observations: Observation) -> None:
        self.told += [type(each).__name__ for each in observations]
        await self.durable.wait()


async def test_news_is_told_while_a_listing_is_on_its_way() -> None:
    journal = Journal()
    async with trio.open_nursery() as nursery:
        teller = ObservationQueue(journal.tell, nursery)
        await teller.put(Listing({}))
        await teller.put(Vanished("a"))
        assert journal.told == ["Listing", "Vanished"]
        assert teller.is_listing
        for more in (Vanished("b"), Listing({}), Failed("")):
            with trio.move_on_after(0):
                await teller.put(more)
        assert journal.told == ["Listing", "Vanished"]
        journal.durable.set()
        await teller.put(Failed(""))
        assert journal.told[2:] == ["Failed"]


async def test_a_change_does_not_wait_until_a_listing_is_durable(tmp_path: Path) -> None:
    watch, journal = Watching(), Journal()

    async def tell(*observations: Observation) -> None:
        await watch.tell(*observations)
        if isinstance(observations[0], Listing):
            await journal.durable.wait()

    monitor = FileMonitor("dir://", Directory(str(tmp_path)), MonitorOptions(freq=OFTEN))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(monitor.run, tell, {})
        await watch.listings(1)
        (tmp_path / "a.ini").write_text("new")
        await watch.shows("a.ini", "new")
        (tmp_path / "b.ini").write_text("new")
        await watch.shows("b.ini", "new")
        assert watch.kinds() == ["Listing", "Touched", "Touched"]
        journal.durable.set()
        await watch.listings(3)
        nursery.cancel_scope.cancel()

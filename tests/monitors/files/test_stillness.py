"""A rescan looks at each file only where inotify may have missed a change of one."""

import os
from collections.abc import Callable, Container
from pathlib import Path

import pytest
from emperord.monitors.files import directory_marks, reader, stillness
from emperord.monitors.files.directory import Directory
from emperord.monitors.files.watcher import FileMonitor
from emperord.monitors.files.watches import Watches
from emperord.monitors.options import MonitorOptions

from ..watching import OFTEN, Blind, Watching, watching

LATE = 100_000  # times freq, until each file is looked at in any case


class Counting(Watches):
    """Counts the rescans that looked at each file. A deaf one is told of no event."""

    def __init__(self, label: str, *, deaf: bool = False) -> None:
        super().__init__(label)
        self.rescans = 0
        self._deaf = deaf

    def keep(self, paths: Container[str]) -> None:
        self.rescans += 1
        super().keep(paths)

    def read(self) -> list[tuple[tuple[str, ...], int, str]]:
        events = super().read()
        return [] if self._deaf else events


class Unwatched(Counting):
    """Watches nothing."""

    open = Blind.open


@pytest.fixture(autouse=True)
def _files_are_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "RACY", 0)
    monkeypatch.setattr(stillness, "EACH", LATE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "vassals"
    folder.mkdir()
    for name in ("a.ini", "b.ini", "c.ini"):
        (folder / name).write_text("one")
    return folder


def monitor(
    folder: Path, make: Callable[[str], Counting] = Counting, *, tyrant: bool = False
) -> tuple[FileMonitor, list[Counting]]:
    made: list[Counting] = []

    def remember(label: str) -> Counting:
        made.append(make(label))
        return made[-1]

    options = MonitorOptions(freq=OFTEN, tyrant=tyrant)
    place = Directory(str(folder))
    return FileMonitor(f"dir://{folder}", place, options, make_watches=remember), made


async def still(watch: Watching, made: list[Counting]) -> int:
    """Wait until listings are told without a look at each file; the rescans so far."""
    while True:
        before = made[0].rescans
        await watch.listings(5)
        if made[0].rescans == before:
            return before


async def test_unchanged_files_are_listed_without_a_look_at_each(folder: Path) -> None:
    source, made = monitor(folder)
    async with watching(source) as watch:
        before = await still(watch, made)
        for listing in await watch.listings(20):
            assert set(listing.seen) == {"a.ini", "b.ini", "c.ini"}
        assert made[0].rescans == before


async def test_a_change_is_seen_and_makes_rescans_look_again(folder: Path) -> None:
    source, made = monitor(folder)
    async with watching(source) as watch:
        before = await still(watch, made)
        (folder / "a.ini").write_text("two")
        await watch.shows("a.ini", "two")
        assert await still(watch, made) > before
        (folder / "b.ini").unlink()
        await watch.until(lambda: "b.ini" not in watch.seen)


def _link(folder: Path) -> None:
    os.link(folder / "a.ini", folder.parent / "other")


def _replace(folder: Path) -> None:
    folder.rename(folder.parent / "away")
    folder.mkdir()
    (folder / "a.ini").write_text("three")


def _nothing(folder: Path) -> None:
    """All is as it was."""


@pytest.mark.parametrize(
    ("prepare", "make", "tyrant"),
    [
        pytest.param(_link, Counting, False, id="hard link"),
        pytest.param(_nothing, Unwatched, False, id="no inotify"),
        pytest.param(_nothing, Counting, True, id="tyrant"),
    ],
)
async def test_where_events_do_not_tell_all_each_rescan_looks(
    folder: Path, prepare: Callable[[Path], None], make: Callable[[str], Counting], tyrant: bool
) -> None:
    prepare(folder)
    source, made = monitor(folder, make, tyrant=tyrant)
    async with watching(source) as watch:
        await watch.listings(5)
        before = made[0].rescans
        told = len(await watch.listings(5))
        assert made[0].rescans >= before + told - 1


async def test_a_file_system_that_others_write_to_is_looked_at(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_marks, "_LOCAL", frozenset({"none"}))
    source, made = monitor(folder)
    async with watching(source) as watch:
        await watch.listings(5)
        before = made[0].rescans
        await watch.listings(5)
        assert made[0].rescans >= before + 4


async def test_a_directory_that_changed_without_an_event_is_looked_at(folder: Path) -> None:
    source, made = monitor(folder, lambda label: Counting(label, deaf=True))
    async with watching(source) as watch:
        await still(watch, made)
        (folder / "a.ini").unlink()
        await watch.until(lambda: "a.ini" not in watch.seen)
        await still(watch, made)
        _replace(folder)
        await watch.shows("a.ini", "three")


async def test_a_change_of_which_nothing_tells_is_seen_after_some_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stillness, "EACH", 30)
    source, made = monitor(folder, lambda label: Counting(label, deaf=True))
    async with watching(source) as watch:
        await still(watch, made)
        (folder / "a.ini").write_text("two")
        await watch.shows("a.ini", "two")

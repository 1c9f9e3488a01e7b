"""A file that is changed over and over does not fill the disk of all with its versions."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from emperord.journal.chain import digest
from emperord.monitors.contract import Listing, Monitor, Refused
from emperord.monitors.files.allowance import EVENT, Allowance
from emperord.monitors.files.directory import Directory
from emperord.monitors.files.pattern import Pattern
from emperord.monitors.files.watcher import FileMonitor
from emperord.monitors.options import MonitorOptions

from ..watching import NEVER, OFTEN, Watching, watching

TEXT = 100_000  # bytes of a version
BURST = 1_000_000


def test_a_bucket_fills_and_leaks() -> None:
    allowance = Allowance(burst=2 * EVENT, rate=EVENT)
    for _ in range(2):
        allowance.charge("a", 0, 0.0)
    assert not allowance.is_spent("a", 0.0)
    allowance.charge("a", 0, 0.0)
    allowance.charge("b", 0, 0.0)
    assert allowance.room_at("a", 0.5) == 1.0
    assert allowance.is_spent("a", 0.9)
    assert allowance.spent(0.9) == ["a"]
    assert allowance.spent(1.0) == []
    assert not allowance.is_spent("never seen", 0.0)


def of_directory(folder: Path, options: MonitorOptions, allowance: Allowance) -> Monitor:
    return FileMonitor("dir://x", Directory(str(folder)), options, allowance=allowance)


def of_pattern(folder: Path, options: MonitorOptions, allowance: Allowance) -> Monitor:
    place = Pattern(f"{folder}/*/one.ini", ())
    return FileMonitor("glob://x", place, options, allowance=allowance)


PLACES = {"dir": (of_directory, "a.ini"), "glob": (of_pattern, "*/one.ini")}
Make = Callable[[Path, MonitorOptions, Allowance], Monitor]


class Restless:
    """A file, and versions of it without end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._count = 0

    def change(self) -> str:
        """Another version; its digest."""
        self._count += 1
        text = f"; {self._count}\n" + "x" * TEXT
        ready = self.path.with_suffix(".new")
        ready.write_text(text)
        ready.rename(self.path)
        return digest(text.encode())


def told(watch: Watching, name: str) -> int:
    """How many bytes of it have been told, all versions of it together."""
    size = 0
    for each in watch.told:
        seen = each.seen.get(name) if isinstance(each, Listing) else getattr(each, "seen", None)
        size += len(getattr(seen, "content", None) or b"")
    return size


async def taken_or_refused(watch: Watching, name: str, mark: str) -> None:
    """Return when this version is told, or why it is not."""
    await watch.until(lambda: watch.refused or watch.seen[name].spec.config == mark)


@asynccontextmanager
async def spent(
    make: Make, file: str, freq: float, tmp_path: Path, rate: float
) -> AsyncIterator[tuple[Watching, Restless, str]]:
    """Change a file until its allowance is spent, and a change of it is refused."""
    path = tmp_path / file.replace("*", "app")
    path.parent.mkdir(exist_ok=True)
    path.write_text("one")
    name = file if make is of_directory else str(path)
    options = MonitorOptions(freq=freq)
    async with watching(make(tmp_path, options, Allowance(BURST, rate))) as watch:
        restless = Restless(path)
        while not watch.refused:
            await taken_or_refused(watch, name, restless.change())
        yield watch, restless, name


FREQS = {"events": NEVER, "events and rescans": OFTEN}


@pytest.mark.parametrize("freq", FREQS.values(), ids=FREQS)
@pytest.mark.parametrize(("make", "file"), PLACES.values(), ids=PLACES)
async def test_what_is_too_much_is_not_told_and_said_once(
    make: Make, file: str, freq: float, tmp_path: Path
) -> None:
    async with spent(make, file, freq, tmp_path, rate=0) as (watch, restless, name):
        before = watch.seen[name].spec
        (reason,) = watch.refused.values()
        assert "changes faster" in reason
        for _ in range(50):
            restless.change()
        await watch.rest() if freq == NEVER else await watch.listings(3)
        assert watch.seen[name].spec is before
        assert BURST < told(watch, name) + EVENT * 20 < BURST + 3 * TEXT
        assert sum(isinstance(each, Refused) for each in watch.told) <= 1
        restless.path.unlink()
        await watch.until(lambda: name not in watch.seen)


@pytest.mark.parametrize("freq", FREQS.values(), ids=FREQS)
@pytest.mark.parametrize(("make", "file"), PLACES.values(), ids=PLACES)
async def test_the_last_version_is_told_when_there_is_room(
    make: Make, file: str, freq: float, tmp_path: Path
) -> None:
    async with spent(make, file, freq, tmp_path, rate=BURST) as (watch, restless, name):
        mark = restless.change()
        await watch.until(lambda: watch.seen[name].spec.config == mark)
        os.utime(restless.path, ns=(0, 0))
        await watch.until(lambda: watch.seen[name].spec.ts == 0)


async def test_what_is_read_again_and_as_before_costs_nothing(tmp_path: Path) -> None:
    """A file that was changed just now is read by each rescan, as its times may lie."""
    (tmp_path / "a.ini").write_text("one")
    allowance = Allowance(burst=0, rate=0)
    async with watching(of_directory(tmp_path, MonitorOptions(freq=OFTEN), allowance)) as watch:
        await watch.listings(5)
        assert watch.refused == {}

"""Folders of a pattern that a rescan cannot look into: they say nothing about any other."""

import errno
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from emperord.journal.events import Spec
from emperord.monitors.files.pattern import Pattern
from emperord.monitors.files.reader import Reader
from emperord.monitors.files.scan import Scan
from emperord.monitors.files.survey import Survey
from emperord.monitors.files.watches import Watches
from emperord.monitors.options import MonitorOptions
from emperord.monitors.os_errors import is_exhaustion
from emperord.monitors.registry import open_monitor
from support.dead_mount import ended_mount, private_mount
from support.tyrant import ALICE, ALICES

from ..watching import NEVER, OFTEN, watching

Break = Callable[[Path], AbstractContextManager[None]]
STAYS = "the directory cannot be read: {}; its vassals stay as they are"


@contextmanager
def long_link(folder: Path) -> Iterator[None]:
    """Put a symlink to a name that no file system has in place of a directory."""
    aside = folder.with_name(".aside")
    folder.rename(aside)
    folder.symlink_to("a" * 256)
    yield
    folder.unlink()
    aside.rename(folder)


def private(folder: Path) -> AbstractContextManager[None]:
    return private_mount(folder, ALICE, ALICES)


BREAKS: dict[str, tuple[Break, str]] = {
    "a symlink to a long name": (long_link, "File name too long"),
    "a user's own FUSE": (private, "Permission denied"),
    "FUSE without a server": (ended_mount, "Transport endpoint is not connected"),
}
# Where a directory is broken, and the pattern that leads to it.
PATTERNS = {
    "listed last": "*/vassals/*.ini",
    "by its file": "*/vassals/x.ini",
    "on the way": "*/*/*.ini",
}
HOW = pytest.mark.parametrize(("broken", "error"), BREAKS.values(), ids=BREAKS)


@pytest.fixture
def homes(tmp_path: Path) -> Path:
    for user in ("alice", "bob"):
        folder = tmp_path / user / "vassals"
        folder.mkdir(parents=True)
        (folder / "x.ini").write_text("old")
    return tmp_path


@HOW
@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
async def test_a_directory_that_cannot_be_read_holds_up_no_other(
    homes: Path, broken: Break, error: str, pattern: str
) -> None:
    """One tenant could switch off a shared source for all others."""
    alices, bobs = homes / "alice/vassals", homes / "bob/vassals"
    place = alices.parent if pattern == PATTERNS["on the way"] else alices
    monitor = open_monitor(f"glob://{homes}/{pattern}", MonitorOptions(freq=OFTEN))
    async with watching(monitor) as watch:
        with broken(place):
            await watch.until(lambda: watch.refused == {f"{place}/": STAYS.format(error)})
            (bobs / "x.ini").write_text("new")
            await watch.shows(f"{bobs}/x.ini", "new")
            (bobs / "x.ini").unlink()
            await watch.until(lambda: list(watch.seen) == [f"{alices}/x.ini"])
        (alices / "x.ini").write_text("new")
        await watch.shows(f"{alices}/x.ini", "new")
        await watch.until(lambda: not watch.refused)
        assert not watch.failures()


async def test_a_monitor_that_starts_ends_no_vassal_of_such_a_directory(homes: Path) -> None:
    """Of these a new daemon knows nothing but what its fleet has."""
    names = [f"{homes}/{user}/vassals/{file}" for user in ("alice", "bob") for file in "xy"]
    known = {f"{name}.ini": Spec(ts=1, path=f"{name}.ini") for name in names}
    monitor = open_monitor(f"glob://{homes}/*/vassals/*.ini", MonitorOptions(freq=OFTEN))
    alices = homes / "alice/vassals"
    with long_link(alices):
        async with watching(monitor, known=known) as watch:
            await watch.listings(2)
            kept = {f"{alices}/{file}.ini": "its directory cannot be read" for file in "xy"}
            assert watch.refused == {f"{alices}/": STAYS.format("File name too long"), **kept}
            assert list(watch.seen) == [f"{homes}/bob/vassals/x.ini"]


# Folders that are exchanged


def current(folder: Path) -> tuple[Path, Path]:
    return folder / "app/current", folder / "app/old"


def whole(folder: Path) -> tuple[Path, Path]:
    return folder / "app", folder / ".aside"


@pytest.mark.parametrize("part", [current, whole], ids=["the last directory", "one on the way"])
async def test_a_folder_that_is_exchanged_keeps_its_vassals(
    tmp_path: Path, part: Callable[[Path], tuple[Path, Path]]
) -> None:
    """They were stopped, and started as new ones."""
    place, aside = part(tmp_path / "apps")
    folder = tmp_path / "apps/app/current"
    folder.mkdir(parents=True)
    for name in ("a.ini", "b.ini"):
        (folder / name).write_text("old")
    monitor = open_monitor(f"glob://{tmp_path}/apps/*/current/*.ini", MonitorOptions(freq=NEVER))
    async with watching(monitor) as watch:
        place.rename(aside)
        await watch.listings(1)  # one that was made between both steps
        assert set(watch.seen) == {f"{folder}/a.ini", f"{folder}/b.ini"}
        folder.mkdir(parents=True)
        (folder / "a.ini").write_text("new")
        await watch.shows(f"{folder}/a.ini", "new")
        await watch.until(lambda: list(watch.seen) == [f"{folder}/a.ini"])


@pytest.mark.parametrize("missing", [False, True], ids=["at once", "file by file"])
async def test_a_folder_that_is_removed_has_no_vassals_soon(homes: Path, missing: bool) -> None:
    alices, bobs = homes / "alice/vassals", homes / "bob/vassals"
    (alices / "y.ini").write_text("old")
    monitor = open_monitor(f"glob://{homes}/*/vassals/*.ini", MonitorOptions(freq=NEVER))
    async with watching(monitor) as watch:
        if missing:
            (alices / "x.ini").unlink()
            (bobs / "x.ini").write_text("new")
            await watch.shows(f"{bobs}/x.ini", "new")  # so it was seen that the other is missing
        shutil.rmtree(alices)
        await watch.until(lambda: list(watch.seen) == [f"{bobs}/x.ini"])
        told = len(watch.told)
        await watch.rest()
        assert len(watch.told) == told


async def test_a_file_that_was_missing_is_gone_where_its_folder_is_another_one(homes: Path) -> None:
    alices, bobs = homes / "alice/vassals", homes / "bob/vassals"
    (alices / "y.ini").write_text("old")
    monitor = open_monitor(f"glob://{homes}/*/vassals/*.ini", MonitorOptions(freq=NEVER))
    async with watching(monitor) as watch:
        (alices / "x.ini").unlink()
        (bobs / "x.ini").write_text("new")
        await watch.shows(f"{bobs}/x.ini", "new")  # so it was seen that the other is missing
        alices.rename(homes / "aside")
        alices.mkdir()
        (alices / "y.ini").write_text("new")
        await watch.shows(f"{alices}/y.ini", "new")
        await watch.until(lambda: f"{alices}/x.ini" not in watch.seen)


async def test_a_target_of_a_symlink_that_comes_back_is_seen(tmp_path: Path) -> None:
    """Nothing watched the directory in which it was made anew."""
    target = tmp_path / "out/r1"
    (tmp_path / "apps").mkdir()
    (tmp_path / "apps/t3").symlink_to("../out/r1")
    target.mkdir(parents=True)
    (target / "a.ini").write_text("old")
    monitor = open_monitor(f"glob://{tmp_path}/apps/*/*.ini", MonitorOptions(freq=NEVER))
    async with watching(monitor) as watch:
        for removed in (target, target.parent):
            shutil.rmtree(removed)
            await watch.until(lambda: not watch.seen)
            target.mkdir(parents=True)
            (target / "a.ini").write_text(removed.name)
            await watch.shows(f"{tmp_path}/apps/t3/a.ini", removed.name)


# Descriptors of the daemon itself


@contextmanager
def room_for_one_descriptor() -> Iterator[None]:
    free = os.open("/", os.O_PATH)
    os.close(free)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_no_directory_is_to_blame_where_the_daemon_has_no_descriptors(homes: Path) -> None:
    options = MonitorOptions()
    reader = Reader(options, None)

    def scan(survey: Survey) -> Scan:
        return Scan(reader, options, {}, {}, survey.follow, lambda: None, lambda: False)

    survey = Survey(Watches("glob://"), scan)
    steps = Pattern(f"{homes}/*/vassals/*.ini", ()).survey(survey)
    next(steps)  # the root was looked at
    with room_for_one_descriptor(), pytest.raises(OSError, match="Too many open files"):
        list(steps)
    assert not survey.found.refused


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO])
def test_a_file_system_may_answer_with_any_error(number: int) -> None:
    """A tenant's (FUSE) could pass for the daemon that has no descriptors."""
    assert not is_exhaustion(OSError(number, os.strerror(number)))

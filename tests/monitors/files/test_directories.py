"""Directories that are late, gone, replaced, unmounted, hanging, overrun by events."""

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import trio
from emperord.monitors.contract import Failed, Listing
from emperord.monitors.files import fair_queue
from emperord.monitors.files.directory import Directory
from emperord.monitors.files.pattern import Pattern
from emperord.monitors.files.survey import Survey
from emperord.monitors.files.watcher import FileMonitor
from emperord.monitors.files.watches import Watches
from emperord.monitors.options import MonitorOptions
from emperord.monitors.registry import open_monitor

from ..sources import DirSource
from ..watching import NEVER, OFTEN, watching

QUEUE = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())  # events
SELDOM = MonitorOptions(freq=NEVER)
URLS = {"dir": "dir://{}", "glob": "glob://{}/*.ini", "glob of one": "glob://{}/a.ini"}


@pytest.fixture(params=URLS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return URLS[request.param].format(tmp_path / "etc/vassals")


def name_in(url: str, tmp_path: Path) -> str:
    return "a.ini" if url.startswith("dir") else str(tmp_path / "etc/vassals/a.ini")


async def test_a_directory_created_late_is_picked_up_at_once(url: str, tmp_path: Path) -> None:
    async with watching(open_monitor(url, SELDOM)) as watch:
        assert "No such file or directory" in watch.failures()[0]
        (tmp_path / "etc").mkdir()
        await watch.until(lambda: len(watch.failures()) > 1)
        (tmp_path / "etc/vassals").mkdir()
        await watch.until(lambda: isinstance(watch.told[-1], Listing))
        (tmp_path / "etc/vassals/a.ini").write_text("one")
        await watch.shows(name_in(url, tmp_path), "one")


async def test_a_renamed_directory_is_a_failure_until_it_is_back(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "etc/vassals"
    folder.mkdir(parents=True)
    (folder / "a.ini").write_text("one")
    async with watching(open_monitor(url, SELDOM)) as watch:
        folder.rename(tmp_path / "away")
        await watch.until(lambda: watch.failures())
        (tmp_path / "away").rename(folder)
        await watch.until(lambda: isinstance(watch.told[-1], Listing))
        assert "Vanished" not in watch.kinds()
        assert watch.contents[name_in(url, tmp_path)] == b"one"


async def test_a_replaced_directory_is_watched_instead(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "etc/vassals"
    folder.mkdir(parents=True)
    (folder / "a.ini").write_text("one")
    async with watching(open_monitor(url, SELDOM)) as watch:
        folder.rename(tmp_path / "away")
        folder.mkdir()
        (folder / "a.ini").write_text("two")
        await watch.shows(name_in(url, tmp_path), "two")
        (tmp_path / "away/a.ini").write_text("not ours any more")
        (folder / "a.ini").write_text("three")
        await watch.shows(name_in(url, tmp_path), "three")


async def test_a_switched_symlink_of_the_directory_is_followed(url: str, tmp_path: Path) -> None:
    for number in ("1", "2"):
        (tmp_path / number).mkdir()
        (tmp_path / number / "a.ini").write_text(number)
    (tmp_path / "etc").mkdir()
    folder = tmp_path / "etc/vassals"
    folder.symlink_to(tmp_path / "1")
    async with watching(open_monitor(url, SELDOM)) as watch:
        (tmp_path / "new").symlink_to(tmp_path / "2")
        (tmp_path / "new").rename(folder)
        await watch.shows(name_in(url, tmp_path), "2")
        (tmp_path / "2/a.ini").write_text("again")
        await watch.shows(name_in(url, tmp_path), "again")


async def test_a_deleted_directory_concludes_nothing_of_its_own(tmp_path: Path) -> None:
    source = DirSource(tmp_path)
    source.put("a.ini", "one")
    async with watching(source.monitor(SELDOM)) as watch:
        source.remove("a.ini")
        source.folder.rmdir()
        await watch.until(lambda: watch.failures())
        # The file's end was seen, but not verified before its directory was gone.
        assert list(watch.seen) == ["a.ini"]


async def test_a_file_in_the_directorys_place_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "vassals").write_text("not a directory")
    async with watching(open_monitor(f"dir://{tmp_path}/vassals", SELDOM)) as watch:
        assert watch.told == [Failed(f"{tmp_path}/vassals: Not a directory")]


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    folder = tmp_path / "vassals"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)
    return folder


def unmount(folder: Path) -> bool:
    return not subprocess.run(["umount", folder], capture_output=True).returncode


@pytest.mark.parametrize("url", ["dir://{}", "glob://{}/*.ini"], ids=["dir", "glob"])
async def test_an_unmounted_directory_is_a_failure(
    mounted: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fair_queue, "SLICE", 0)  # all that can be put off is
    (mounted / "a.ini").write_text("one")
    monitor = open_monitor(url.format(mounted), MonitorOptions(freq=OFTEN))
    try:
        async with watching(monitor) as watch:
            while not unmount(mounted):  # it is busy while it is being scanned
                await trio.lowlevel.checkpoint()
            await watch.until(lambda: any("unmounted?" in each for each in watch.failures()))
            assert len(watch.seen) == 1
            (mounted / "b.ini").write_text("on the other device")
            await watch.until(lambda: [os.path.basename(each) for each in watch.seen] == ["b.ini"])
    finally:
        unmount(mounted)


class Stuck(Directory):
    """A directory on a file system that does not answer until it is let go."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.let_go = threading.Event()
        self.started = 0

    def survey(self, survey: Survey) -> Iterator[None]:
        """Hang, then work."""
        self.started += 1
        self.let_go.wait()
        yield from super().survey(survey)


async def test_a_file_system_that_hangs_is_a_failure_and_starts_no_second_thread(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.ini").write_text("one")
    place = Stuck(str(tmp_path))
    monitor = FileMonitor("dir://x", place, MonitorOptions(freq=OFTEN), patience=0.02)
    try:
        async with watching(monitor) as watch:
            await watch.until(lambda: len(watch.failures()) > 2)
            assert watch.failures()[0] == f"{tmp_path} does not answer"
            assert place.started == 1
        async with watching(monitor) as watch:  # not even in another run
            assert watch.failures()
            assert place.started == 1
            place.let_go.set()
            await watch.shows("a.ini", "one")
    finally:
        place.let_go.set()


class Kept(Watches):
    """Watches that a test can look at. The system refuses the first attempts to open them."""

    all: ClassVar[list["Kept"]] = []
    refusals = 0

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self.all.append(self)

    def open(self) -> None:
        """Have no room for a descriptor at first."""
        if Kept.refusals:
            Kept.refusals -= 1
        else:
            super().open()


@pytest.fixture
def kept() -> Iterator[type[Kept]]:
    yield Kept
    Kept.all.clear()
    Kept.refusals = 0


async def test_a_run_that_begins_while_the_thread_hangs_has_events_later(
    tmp_path: Path, kept: type[Kept]
) -> None:
    """It had none for as long as it ran."""
    place = Stuck(str(tmp_path))
    monitor = FileMonitor(
        "dir://x", place, MonitorOptions(freq=OFTEN), patience=0.02, make_watches=kept
    )
    try:
        async with watching(monitor):
            pass
        async with watching(monitor) as watch:
            place.let_go.set()
            await watch.listings(1)
            assert kept.all[-1].inotify is not None
    finally:
        place.let_go.set()


async def test_events_come_once_the_system_has_room_for_them(
    tmp_path: Path, kept: type[Kept]
) -> None:
    kept.refusals = 1
    options = MonitorOptions(freq=OFTEN)
    place = Directory(str(tmp_path))
    async with watching(FileMonitor("dir://x", place, options, make_watches=kept)) as watch:
        await watch.listings(2)
        assert kept.all[-1].inotify is not None


async def test_events_that_were_lost_are_made_up_for(tmp_path: Path) -> None:
    count = QUEUE // 3 + 100
    async with watching(open_monitor(f"dir://{tmp_path}", SELDOM)) as watch:
        for number in range(count):  # created, written, closed
            (tmp_path / f"{number}.ini").write_text("one")
        await watch.until(lambda: len(watch.seen) == count)
        assert "Listing" in watch.kinds()[1:]


# Directories below the first wildcard


async def test_directories_of_a_pattern_come_and_go(tmp_path: Path) -> None:
    async with watching(open_monitor(f"glob://{tmp_path}/*/conf/*.ini", SELDOM)) as watch:
        assert watch.told == [Listing({})]
        (tmp_path / "app").mkdir()
        (tmp_path / "app/conf").mkdir()
        (tmp_path / "app/conf/a.ini").write_text("one")
        await watch.shows(f"{tmp_path}/app/conf/a.ini", "one")
        (tmp_path / "app").rename(tmp_path / "ape")
        await watch.until(lambda: list(watch.seen) == [f"{tmp_path}/ape/conf/a.ini"])
        (tmp_path / "ape/conf").rename(tmp_path / "ape/fonc")
        await watch.until(lambda: not watch.seen)


async def test_relative_patterns_stay_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/a.ini").write_text("one")
    async with watching(open_monitor("conf/*.ini", SELDOM)) as watch:
        spec = watch.seen["conf/a.ini"].spec
        assert (spec.path, spec.cwd) == ("conf/a.ini", None)
        (tmp_path / "conf/a.ini").write_text("two")
        await watch.shows("conf/a.ini", "two")


async def test_a_directorys_vassals_run_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/a.ini").write_text("one")
    monitor = open_monitor("dir://conf/", SELDOM)
    assert monitor.url == f"dir://{tmp_path}/conf"
    async with watching(monitor) as watch:
        spec = watch.seen["a.ini"].spec
        assert (spec.path, spec.cwd) == (f"{tmp_path}/conf/a.ini", f"{tmp_path}/conf")


PATTERNS = {
    "star": ("*.ini", {"a.ini", "ab.ini", "[x].ini"}),
    "no leading dot": ("*", {"a.ini", "ab.ini", "[x].ini", "b.yml"}),
    "a leading dot": (".*", {".hidden.ini"}),
    "question mark": ("?.ini", {"a.ini"}),
    "class": ("[ab].*", {"a.ini", "b.yml"}),
    "range": ("[a-c]*.ini", {"a.ini", "ab.ini"}),
    "not, as in a shell": ("[!b].*", {"a.ini"}),
    "not, as in a regex": ("[^b].*", {"a.ini"}),
    "escaped": (r"\[x\].ini", {"[x].ini"}),
    "escaped, with a star": (r"\[*", {"[x].ini"}),
    "two stars are one": ("**.yml", {"b.yml"}),
    "no wildcard": ("a.ini", {"a.ini"}),
    "below": ("*/*.ini", {"sub/c.ini"}),
    "below, by name": ("*/c.ini", {"sub/c.ini"}),
    "nothing": ("*.xml", set()),
    "no config": ("*.txt", set()),
}


@pytest.mark.parametrize(("pattern", "expected"), PATTERNS.values(), ids=PATTERNS)
async def test_patterns(pattern: str, expected: set[str], tmp_path: Path) -> None:
    for name in ("a.ini", "ab.ini", "b.yml", "[x].ini", ".hidden.ini", "c.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/c.ini").write_text("x")
    place = Pattern(f"{tmp_path}/{pattern}", ())
    async with watching(FileMonitor("glob://x", place, SELDOM)) as watch:
        assert set(watch.seen) == {f"{tmp_path}/{name}" for name in expected}

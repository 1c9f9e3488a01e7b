"""``--keep`` over days, by a steered clock, and on a disk that is full meanwhile."""

import itertools
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from crash.ground import Disk, mounted
from emperord.daemon.control.archives import Archives, Record
from emperord.daemon.control.caller import Caller
from emperord.daemon.core.draft import Draft
from emperord.daemon.core.fleet import Fleet
from emperord.replay.verify import verify
from journal_builder import SECOND, START, Builder, building
from support.archives import sql

DAY = 24 * 3600
EVENTS = 200  # a day


class Days:
    """A daemon whose fleet is changed all day."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.asked = 0  # how often an archive was begun

    @property
    def fleet(self) -> Fleet:
        return self.builder.fleet

    def now(self) -> int:
        return START + int(trio.current_time() * SECOND)

    def live(self) -> None:
        """Have events up to now."""
        pause = (self.now() - self.builder.at) // EVENTS
        while self.builder.at + pause < self.now() and pause > 2 * SECOND:
            self.builder.at += pause - 2 * SECOND
            self.builder.changed("a.ini", f"{self.builder.at}".encode())
            self.builder.accepting("a.ini")
        self.builder.flush()

    async def record(self, *drafts: Draft) -> None:
        for draft in drafts:
            self.builder.event(draft.kind, **msgspec.structs.asdict(draft.body))
        self.builder.flush()


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[Builder]:
    with building(str(tmp_path / "journal.db"), group=100) as builder:
        builder.start()
        builder.up("a.ini")
        yield builder


class Counted(Archives):
    """Calls ``after`` with the days after each try."""

    def __init__(self, days: Days, after: Callable[[Days, Archives], object]) -> None:
        super().__init__(days.builder.journal, 2.0 * DAY)
        self.days, self.after, self.done = days, after, trio.Event()

    async def archive(
        self, before: str, file: str | None, by: Caller, record: Record
    ) -> dict[str, Any]:
        self.days.asked += 1
        self.days.live()
        try:
            return await super().archive(before, file, by, record)
        finally:
            if self.after(self.days, self):
                self.done.set()


async def keep(builder: Builder, until: Callable[[Days, Archives], object]) -> None:
    """Run ``--keep 2d`` until a condition holds after one of its tries."""
    days = Days(builder)
    archives = Counted(days, until)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(archives.run, days)
        await archives.done.wait()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


def archives_of(builder: Builder) -> list[Path]:
    folder = Path(f"{builder.journal.path}.archives")
    return sorted(folder.iterdir(), key=lambda path: int(path.name.partition("-")[0]))


def check(builder: Builder) -> list[tuple[int, ...]]:
    """All events are in one of the files, once; the days that each archive has."""
    paths = archives_of(builder)
    last = 0
    for path in paths:
        ((first, end),) = sql(path, "SELECT min(seq), max(seq) FROM event")
        assert first == last + 1
        assert path.name == f"{first}-{end}.db"
        last = end
    journal = Path(builder.journal.path)
    assert sql(journal, "SELECT min(seq) FROM event") == [(last + 1,)]
    verdict = verify(builder.journal.path, archives=[str(path) for path in paths])
    assert verdict.exit_code == 0, verdict.audit.findings
    spans = [sql(path, "SELECT min(at), max(at) FROM event")[0] for path in paths]
    return [tuple(round((at - START) / (DAY * SECOND)) for at in span) for span in spans]


def test_an_archive_a_day_and_nothing_older_stays(builder: Builder) -> None:
    days = 6
    clock = trio.testing.MockClock(autojump_threshold=0)
    trio.run(keep, builder, lambda each, _: each.asked == days, clock=clock)
    assert check(builder) == [(0, 0), *((day, day + 1) for day in range(days - 3))]
    ((oldest,),) = sql(Path(builder.journal.path), "SELECT min(at) FROM event")
    assert builder.at - oldest < 2.1 * DAY * SECOND


def test_a_copy_that_is_being_made_is_waited_for(builder: Builder, tmp_path: Path) -> None:
    troubles: list[str | None] = []

    def until(days: Days, archives: Archives) -> bool:
        troubles.append(archives.trouble)
        return days.asked == 2

    async def both() -> None:
        archives = Counted(Days(builder), until)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(archives.backup, str(tmp_path / "copy.db"))
            nursery.start_soon(archives.run, archives.days)
            await archives.done.wait()
            nursery.cancel_scope.cancel()

    trio.run(both, clock=trio.testing.MockClock(autojump_threshold=0))
    assert troubles == [None, None]


def in_trouble(builder: Builder) -> Archives:
    archives = Archives(builder.journal, 2.0 * DAY)
    archives.trouble, archives.since = "no room", START
    return archives


def test_an_archive_by_hand_ends_the_trouble(builder: Builder) -> None:
    days = Days(builder)
    for _ in range(EVENTS):
        builder.changed("a.ini", f"{builder.at}".encode())
    builder.flush()
    archives = in_trouble(builder)
    me = Caller(os.getuid(), os.getpid())
    done = trio.run(archives.archive, "@50", None, me, days.record)
    assert done["last"] == 49
    assert (archives.trouble, archives.since) == (None, None)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """The disk of the archives, which is full."""
    with mounted(tmp_path / "journal.db.archives", "-t", "tmpfs", "-o", "size=2m", "tmpfs") as disk:
        yield disk


def test_a_full_disk_is_told_and_tried_again_ever_later(builder: Builder, disk: Disk) -> None:
    ballast = disk.path / "ballast"
    ballast.write_bytes(bytes(1800 << 10))
    times: list[float] = []
    troubles: list[str | None] = []

    def until(days: Days, archives: Archives) -> bool:
        times.append(trio.current_time())
        troubles.append(archives.trouble)
        tries = 12
        if days.asked == tries:
            ballast.unlink()
        return days.asked == tries + 2

    clock = trio.testing.MockClock(autojump_threshold=0)
    trio.run(keep, builder, until, clock=clock)
    assert set(os.listdir(disk.path)) == {path.name for path in archives_of(builder)}
    check(builder)
    assert troubles[-1] is None
    reason = troubles[-3] or ""
    assert " are free on its disk; it takes some " in reason
    assert " are to stay free: make room, or name a file on another disk" in reason
    # The first two days have nothing to archive.
    pauses = [round(b - a) for a, b in itertools.pairwise(times)]
    assert pauses[:3] == [DAY, DAY, 600]
    assert pauses[3:-2] == [min(600 * 2**n, DAY) for n in range(1, len(pauses) - 4)]


def test_a_file_that_must_not_grow_ends_nothing(builder: Builder, tmp_path: Path) -> None:
    """As a quota: the free room of the disk does not tell."""
    journal = Path(shutil.copy(_filled(builder), tmp_path / "other.db"))

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100 << 10, 100 << 10))

    module = "emperord.replay.for_daemon"
    argv = [sys.executable, "-P", "-m", module, "archive", str(journal), "@400"]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=limited
    ) as process:
        assert process.stdout is not None
        answer = msgspec.json.decode(process.stdout.readline())
    assert list(answer) == ["error"]
    assert os.listdir(f"{journal}.archives") == []


def _filled(builder: Builder) -> Path:
    for number in range(1000):
        builder.changed("a.ini", f"{number}".encode() * 100)
    builder.flush()
    builder.journal.close()
    return Path(builder.journal.path)

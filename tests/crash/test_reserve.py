"""Room for the daemon's own events: on a full disk it starts and stops, and does nothing else."""

import contextlib
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from emperord.journal.errors import JournalPaused
from emperord.journal.reserve import STEP, Reserve, Reserved
from emperord.journal.store import Journal
from support.kept import Emperor

from .ground import Disk, mounted
from .test_disk import OPTIONS, SLEEPER, check, paused

SIZE = 4 * STEP


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of 16 MiB."""
    folder = tmp_path / "state"
    with mounted(folder, "-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs") as made:
        yield made


@pytest.fixture
def emperor(tmp_path: Path, disk: Disk) -> Iterator[Emperor]:
    logs = ("--log-directory", str(tmp_path / "logs"), "--journal-reserve", "4M")
    with Emperor(tmp_path, *OPTIONS, *logs) as made:
        yield made
        made.clean_up()


def room(emperor: Emperor) -> int | None:
    return Reserve(str(emperor.journal), SIZE).room


def fill_after_the_reserve(emperor: Emperor, disk: Disk) -> None:
    """Fill the disk when the room is kept."""
    emperor.until(lambda: room(emperor) == SIZE, "the room is kept")
    disk.fill()


def test_the_room_is_kept_and_given_up_a_step_at_a_time(disk: Disk) -> None:
    reserve = Reserve(str(disk.path / "j.db"), SIZE)
    assert reserve.make() is None
    assert reserve.room == SIZE
    assert not reserve.give(), "there is room on the disk"
    disk.fill()
    for left in (3, 2, 1, 0):
        assert reserve.give()
        assert reserve.room == left * STEP
        disk.fill()
    assert not reserve.give()
    assert "there is no room for 4M" in str(reserve.make())
    disk.free()
    assert reserve.make() is None
    assert reserve.room == SIZE


def test_a_small_disk_is_not_filled_by_the_reserve(disk: Disk) -> None:
    reserve = Reserve(str(disk.path / "j.db"), 9 * STEP)
    assert "there is no room for 9M" in str(reserve.make())
    assert reserve.room is None


def test_without_a_size_the_room_is_given_back(disk: Disk) -> None:
    path = str(disk.path / "j.db")
    assert Reserve(path, SIZE).make() is None
    assert Reserve(path, 0).make() is None
    assert Reserve(path, SIZE).room is None


def test_a_daemon_stops_on_a_full_disk(emperor: Emperor, disk: Disk) -> None:
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.phase("a.ini", "ready")
    fill_after_the_reserve(emperor, disk)
    (emperor.vassals / "b.ini").write_text(SLEEPER)
    paused(emperor)
    assert emperor.running_for("b.ini") == []
    emperor.send(signal.SIGTERM)
    assert emperor.wait() == 0
    assert emperor.running() == []
    assert emperor.kinds()[-1] == "daemon_stopped"
    check(emperor)


def test_a_daemon_starts_on_a_full_disk_and_does_nothing_new(emperor: Emperor, disk: Disk) -> None:
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    pid = emperor.phase("a.ini", "ready").pid
    fill_after_the_reserve(emperor, disk)
    after = emperor.last_seq()
    emperor.kill_daemon()
    emperor.event("daemon_ready", after=after)
    assert emperor.pid_of("a.ini") == pid
    (emperor.vassals / "b.ini").write_text(SLEEPER)
    emperor.until(lambda: "for the daemon's own events" in emperor.log(), "others wait")
    assert "b.ini" not in emperor.fleet().vassals
    disk.free()
    emperor.phase("b.ini", "ready")
    assert room(emperor) == SIZE
    check(emperor)
    emperor.stop()


def test_a_start_says_that_there_is_no_room(tmp_path: Path, disk: Disk) -> None:
    logs = ("--log-directory", str(tmp_path / "logs"))
    with Emperor(tmp_path, *OPTIONS, *logs) as emperor:
        emperor.start()
        assert "journal.db.reserve: there is no room for 64M" in emperor.log()
        emperor.stop()
        emperor.clean_up()


def test_an_adoption_waits_for_room(tmp_path: Path, disk: Disk) -> None:
    logs = ("--log-directory", str(tmp_path / "logs"), "--journal-reserve", "0")
    with Emperor(tmp_path, *OPTIONS, *logs) as emperor:
        (emperor.vassals / "a.ini").write_text(SLEEPER)
        emperor.start()
        pid = emperor.phase("a.ini", "ready").pid
        copy = tmp_path / "copy.db"
        with (
            closing(sqlite3.connect(emperor.journal)) as source,
            closing(sqlite3.connect(copy)) as to,
        ):
            source.backup(to)
        (emperor.vassals / "b.ini").write_text(SLEEPER)
        emperor.phase("b.ini", "ready")
        (daemon,) = emperor.daemons()
        for each in ("", "-wal", "-shm"):
            os.unlink(f"{emperor.journal}{each}")
        emperor.journal.write_bytes(copy.read_bytes())
        os.kill(daemon, signal.SIGKILL)
        emperor.until(lambda: "emperor: estranged: " in emperor.log(), "the daemon is estranged")
        disk.fill()
        assert emperor.ctl("adopt", "--no-wait").returncode == 0
        emperor.until(lambda: "that decision waits" in emperor.log(), "it cannot be recorded")
        assert pid in emperor.running()
        disk.free()
        emperor.event("journal_adopted")
        emperor.event("daemon_ready", after=emperor.events("journal_adopted")[-1].seq)
        assert emperor.pid_of("a.ini") == pid
        emperor.stop()
        emperor.clean_up()


def test_all_other_events_wait_until_the_room_is_whole(disk: Disk) -> None:
    with Journal.open(str(disk.path / "j.db")) as journal:
        reserve = Reserve(journal.path, SIZE)
        reserve.make()
        os.truncate(reserve.path, 0)
        disk.fill()
        reserved = Reserved(journal, reserve)
        with pytest.raises(JournalPaused, match="for the daemon's own events"):
            reserved.append([])
        disk.free()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(reserve.path)
        disk.fill()
        with pytest.raises(JournalPaused, match="cannot be written"):
            reserved.append([])

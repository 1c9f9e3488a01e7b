"""SQLite's list of ways to corrupt a database (sqlite.org/howtocorrupt.html), tried on a daemon.

Others of the list are tried elsewhere. ``test_damage.py`` has a rogue write to a file at rest,
``test_guard.py`` a log that is deleted, cut or replaced, ``test_store.py`` a second name.
``test_wal.py`` has a torn log, and ``test_keeper_limits.py`` closed standard streams.
"""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from emperord.journal.store import Journal
from emperord.replay.verify import verify
from support.kept import Emperor
from support.vassals import SLEEPER
from support.waiting import until

from . import record

Harm = Callable[[Emperor], contextlib.AbstractContextManager[object]]


@contextlib.contextmanager
def locked_by_another(emperor: Emperor) -> Iterator[None]:
    """Another program writes, and does not end its transaction (1.2)."""
    with contextlib.closing(sqlite3.connect(emperor.journal, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        (emperor.vassals / "b.ini").write_text(SLEEPER)
        emperor.until(lambda: "paused: " in emperor.log(), "it says that it is paused")
        yield
        other.execute("ROLLBACK")


@contextlib.contextmanager
def copied_in_use(emperor: Emperor) -> Iterator[None]:
    """A backup by cp, of a database that is written (1.2)."""
    copy = emperor.folder / "copy.db"
    shutil.copy(emperor.journal, copy)
    shutil.copy(f"{emperor.journal}-wal", f"{copy}-wal")
    yield
    assert verify(str(copy)).exit_code == 0


@contextlib.contextmanager
def linked(emperor: Emperor) -> Iterator[None]:
    """A second name, by which another program opens it, with a log of its own (2.5)."""
    other = emperor.journal.with_name("other.db")
    other.hardlink_to(emperor.journal)
    until(lambda: "linked: " in emperor.ctl("status").stdout, "status tells of it")
    assert emperor.log().count("another name (hard link) leads there") == 1
    with contextlib.closing(sqlite3.connect(other)) as connection:
        connection.execute("SELECT count(*) FROM event").fetchone()
    yield
    other.unlink()


@contextlib.contextmanager
def index_cut(emperor: Emperor) -> Iterator[None]:
    """The mapped file becomes shorter: who touches the memory is killed by SIGBUS (1.1)."""
    os.truncate(f"{emperor.journal}-shm", 0)
    yield


@contextlib.contextmanager
def index_overwritten(emperor: Emperor) -> Iterator[None]:
    """A stray write to memory that is shared with all who have the database open (1.1, 5)."""
    with open(f"{emperor.journal}-shm", "r+b") as file:
        file.write(b"\xa5" * 96)
    yield


@contextlib.contextmanager
def opened_and_closed(emperor: Emperor) -> Iterator[None]:
    """Other programs open, checkpoint and close it, as the last who has it open would."""
    for sql in ("PRAGMA wal_checkpoint(TRUNCATE)", "SELECT count(*) FROM event"):
        with contextlib.closing(sqlite3.connect(emperor.journal)) as other:
            other.execute(sql).fetchone()
    yield


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "harm",
    [
        locked_by_another, copied_in_use, linked, index_cut, index_overwritten, opened_and_closed,
    ],
    ids=lambda harm: harm.__name__,
)  # fmt: skip
def test_no_event_is_lost_and_no_vassal_notices(tmp_path: Path, harm: Harm) -> None:
    with Emperor(tmp_path, "--freq", "0.2") as emperor:
        (emperor.vassals / "a.ini").write_text(SLEEPER)
        emperor.start()
        pid = emperor.phase("a.ini", "ready").pid
        before = record.rows(emperor.journal)
        with harm(emperor):
            (emperor.vassals / "b.ini").write_text(SLEEPER)
        emperor.phase("b.ini", "ready")
        emperor.restart()
        emperor.phase("b.ini", "ready")
        assert emperor.pid_of("a.ini") == pid
        found, _ = record.check(emperor.journal)
        assert found[: len(before)] == before
        assert verify(str(emperor.journal)).exit_code == 0
        emperor.stop()


def locks(path: Path) -> set[str]:
    """The files of which this process holds POSIX locks, as suffixes of the journal's name."""
    suffixes = {Path(f"{path}{suffix}").stat().st_ino: suffix for suffix in ("", "-shm")}
    words = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return {
        suffixes[inode]
        for _, kind, _, _, pid, file, *_ in words
        if kind == "POSIX" and pid == str(os.getpid())
        for inode in [int(file.rpartition(":")[2])]
        if inode in suffixes
    }


def test_sqlites_locks_are_lost_to_no_close_of_ours(tmp_path: Path) -> None:
    """Any close of a file drops the process's POSIX locks of it, whatever was opened (2.2)."""
    path = tmp_path / "journal.db"
    with Journal.open(str(path)) as journal:
        assert locks(path) == {"", "-shm"}
        journal.append([(1, 1, "daemon_ready", None, None, None, "{}", "[]")])
        assert journal.is_whole()
        assert journal.texts.content("0" * 64) is None
        assert journal.time_of(1) == 1
        assert locks(path) == {"", "-shm"}
        journal._connection._doubtful = True  # it is opened anew
        journal.append([(2, 2, "daemon_ready", None, None, None, "{}", "[]")])
        assert locks(path) == {"", "-shm"}


def test_a_fork_with_the_journal_open_takes_no_lock_away(tmp_path: Path) -> None:
    """As a vassal's start does: the child shares descriptors, and closes them (2.6)."""
    path = tmp_path / "journal.db"
    with Journal.open(str(path)) as journal:
        child = os.fork()
        if child == 0:
            os.closerange(3, 1024)
            os._exit(0)
        until(lambda: os.waitpid(child, os.WNOHANG)[0] == child, "the child ends")
        assert locks(path) == {"", "-shm"}
        journal.append([(1, 1, "daemon_ready", None, None, None, "{}", "[]")])
    assert verify(str(path)).exit_code == 0


def test_no_page_of_the_database_is_mapped(tmp_path: Path) -> None:
    """A stray write could change it, and a disk that fails would be a SIGBUS (1.1)."""
    path = tmp_path / "journal.db"
    with Journal.open(str(path)) as journal:
        journal.append([(1, 1, "daemon_ready", None, None, None, "{}", "[]")])
        assert journal.time_of(1) == 1
        maps = Path("/proc/self/maps").read_text()
        assert f"{path}-shm" in maps
        assert f"{path}\n" not in maps

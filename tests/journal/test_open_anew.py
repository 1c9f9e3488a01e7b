"""The connection is made anew while other threads read, and while another program writes."""

import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from emperord.journal import chain, wal
from emperord.journal.guard import Guard
from emperord.journal.store import Journal

FOLD = "PRAGMA wal_checkpoint(TRUNCATE)"
START = 1_700_000_000_000_000_000


def row(seq: int) -> chain.Columns:
    return (seq, START + seq, "daemon_ready", None, None, None, "{}", "[]")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def make_room(journal: Journal) -> None:
    """Have another program leave empty pages in the file."""
    make = ("INSERT INTO config VALUES ('0', zeroblob(262144))", "DELETE FROM config")
    subprocess.run(["sqlite3", journal.path, *make, FOLD], check=True)
    assert journal.is_whole()


def give_back(journal: Journal, *more: str) -> None:
    """Have another program give them back to the disk, and do ``more``."""
    subprocess.run(["sqlite3", journal.path, "VACUUM", FOLD, *more], check=True)


@contextmanager
def repeating(call: Callable[[], object]) -> Iterator[None]:
    """Have a thread do this again and again, without a pause."""
    ended = threading.Event()
    failed: list[Exception] = []

    def repeat() -> None:
        while not ended.is_set():
            try:
                call()
            except Exception as error:
                failed.append(error)
                return

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert failed == []


def locks(path: Path) -> list[str]:
    """The locks that there are of the index."""
    inode = path.with_name(path.name + "-shm").stat().st_ino
    lines = Path("/proc/locks").read_text().splitlines()
    return [line for line in lines if f":{inode} " in line]


def test_a_thread_that_reads_meanwhile_costs_sqlite_no_lock(path: Path) -> None:
    """Without its lock of the index, the next program cuts that file, and the daemon dies of it."""
    with Journal.open(str(path)) as journal:
        journal.append([row(1)])
        with repeating(lambda: journal.time_of(1)):
            for seq in range(2, 12):
                make_room(journal)
                give_back(journal)
                journal.append([row(seq)])
                assert locks(path) != []


def test_another_program_may_give_room_back_just_before_an_append(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[bool] = []
    is_shorter = Guard.is_shorter

    def is_shorter_later(guard: Guard) -> bool:
        looked.append(is_shorter(guard))
        if looked == [False]:
            give_back(journal)
        return looked[-1]

    with Journal.open(str(path)) as journal:
        journal.append([row(1)])
        make_room(journal)
        monkeypatch.setattr(Guard, "is_shorter", is_shorter_later)
        journal.append([row(2)])
        assert looked == [False, True]
        assert [event.seq for event in journal.tail(0)] == [1, 2]


def test_another_program_may_begin_the_log_anew_during_the_look_at_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost then: all that was in it is in the journal."""
    begun: list[str] = []
    walk = wal.walk

    def walk_late(*args: Any, **more: Any) -> wal.Walk:
        if not begun:
            begun.append(FOLD)
            subprocess.run(["sqlite3", path, *begun, "INSERT INTO another VALUES (2)"], check=True)
        return walk(*args, **more)

    with Journal.open(str(path)) as journal:
        journal.append([row(1)])
        make_room(journal)
        give_back(journal, "CREATE TABLE another (it)", "INSERT INTO another VALUES (1)")
        monkeypatch.setattr(wal, "walk", walk_late)
        journal.append([row(2)])
        assert begun != []
        assert [event.seq for event in journal.tail(0)] == [1, 2]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT it FROM another").fetchall() == [(1,), (2,)]


def test_a_thread_that_looks_at_the_files_keeps_no_journal_open(path: Path) -> None:
    """Nor does it look at descriptors that are closed, which another file may have by then."""
    for seq in range(1, 11):
        journal = Journal.open(str(path))
        with repeating(journal.is_whole):
            journal.append([row(seq)])
            journal.close()
            assert not path.with_name("journal.db-wal").exists()


def test_a_look_at_a_journal_that_was_closed_finds_no_file(path: Path) -> None:
    with Journal.open(str(path)) as journal:
        journal.append([row(1)])
        assert journal.is_whole()
    assert not journal.is_whole()

"""A file of a journal is lost while the journal is open."""

import gc
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from emperord.journal import chain
from emperord.journal.errors import JournalPaused
from emperord.journal.events import Event
from emperord.journal.reading import Link
from emperord.journal.store import Journal

# A daemon that appends and is killed: its log stays.
DYING = """
import ast, os, sys
from emperord.journal.store import Journal
Journal.open(sys.argv[1]).append(ast.literal_eval(sys.argv[2]))
os._exit(0)
"""
START = 1_700_000_000_000_000_000


def row(seq: int) -> chain.Columns:
    body = '{"reason":"' + "x" * 3000 + '"}'
    return (seq, START + seq, "daemon_stopping", None, None, None, body, "[]")


def seqs(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as db:
        return [seq for (seq,) in db.execute("SELECT seq FROM event ORDER BY seq")]


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def remove_log(path: Path) -> None:
    beside(path, "-wal").unlink()


def remove_index(path: Path) -> None:
    beside(path, "-shm").unlink()


def remove_both(path: Path) -> None:
    remove_log(path)
    remove_index(path)


def replace_log(path: Path) -> None:
    """Put an older one in its place."""
    beside(path, ".older").rename(beside(path, "-wal"))


def opened(path: Path) -> Journal:
    """A journal with five events in its log, and an older copy of that log."""
    journal = Journal.open(str(path))
    for seq in range(1, 4):
        journal.append([row(seq)])
    shutil.copyfile(beside(path, "-wal"), beside(path, ".older"))
    for seq in range(4, 6):
        journal.append([row(seq)])
    return journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.mark.parametrize(
    "lose",
    [
        pytest.param(remove_log, id="log removed"),
        pytest.param(remove_index, id="index removed"),
        pytest.param(remove_both, id="both removed"),
        pytest.param(replace_log, id="older log"),
    ],
)
def test_a_lost_file_is_noticed_and_no_event_is_lost(
    path: Path, lose: Callable[[Path], None]
) -> None:
    with opened(path) as journal:
        assert journal.is_whole()
        lose(path)
        assert not journal.is_whole()
        with pytest.raises(JournalPaused, match=r"the -(wal|shm) file"):
            journal.append([row(6)])
        journal.append([row(6)])
        assert journal.is_whole()
        # The files that a daemon would find after a kill -9 now.
        copy = path.with_name("copy.db")
        for suffix in ("", "-wal"):
            shutil.copyfile(beside(path, suffix), beside(copy, suffix))
        assert seqs(copy) == [1, 2, 3, 4, 5, 6]
    assert seqs(path) == [1, 2, 3, 4, 5, 6]


def test_a_loss_that_no_look_has_noticed_is_the_appends(path: Path) -> None:
    with opened(path) as journal:
        remove_log(path)
        with pytest.raises(JournalPaused, match="the -wal file is gone"):
            journal.append([row(6)])
        assert journal.seq == 5
        journal.append([row(6)])
    assert seqs(path) == [1, 2, 3, 4, 5, 6]


def empty(log: Path) -> None:
    os.truncate(log, 0)


def halve(log: Path) -> None:
    os.truncate(log, log.stat().st_size // 2)


@pytest.mark.parametrize("cut", [empty, halve])
def test_a_log_that_was_cut_pauses_until_it_is_put_back(
    path: Path, cut: Callable[[Path], None]
) -> None:
    with opened(path) as journal:
        log = beside(path, "-wal")
        text = log.read_bytes()
        cut(log)
        assert not journal.is_whole()
        for _ in range(2):
            with pytest.raises(JournalPaused, match="the -wal file was cut"):
                journal.append([row(6)])
        log.write_bytes(text)
        journal.append([row(6)])
    assert seqs(path) == [1, 2, 3, 4, 5, 6]


def test_closing_does_not_copy_a_spoilt_log_into_the_journal(path: Path) -> None:
    with opened(path) as journal:
        size = beside(path, "-wal").stat().st_size
        os.truncate(beside(path, "-wal"), 0)
        assert not journal.is_whole()
        os.truncate(beside(path, "-wal"), size)  # zeros, and as long as it was
        before = path.read_bytes()
    del journal  # SQLite copies the log when a connection that is open is deleted
    gc.collect()
    assert path.read_bytes() == before


def test_another_program_may_empty_the_log(path: Path) -> None:
    """All that is in it is in the journal by then."""
    with opened(path) as journal:
        subprocess.run(["sqlite3", path, "PRAGMA wal_checkpoint(TRUNCATE)"], check=True)
        assert beside(path, "-wal").stat().st_size == 0
        assert journal.is_whole()
        journal.append([row(6)])
    assert seqs(path) == [1, 2, 3, 4, 5, 6]


def test_a_journal_that_was_cut_pauses(path: Path) -> None:
    with opened(path) as journal:
        subprocess.run(["sqlite3", path, "PRAGMA wal_checkpoint(TRUNCATE)"], check=True)
        assert journal.is_whole()
        text = path.read_bytes()
        os.truncate(path, 4096)
        with pytest.raises(JournalPaused, match="the file was cut"):
            journal.append([row(6)])
        path.write_bytes(text)
        journal.append([row(6)])
    assert seqs(path) == [1, 2, 3, 4, 5, 6]


def make_room(path: Path) -> None:
    """Leave empty pages in the file."""
    with closing(sqlite3.connect(path)) as db:
        for query in ("INSERT INTO config VALUES ('0', zeroblob(262144))", "DELETE FROM config"):
            with db:
                db.execute(query)
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def vacuum(path: Path) -> None:
    """As ``sqlite3 journal.db VACUUM`` does, with its copying of the log."""
    subprocess.run(["sqlite3", path, "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"], check=True)


def vacuum_and_go_on(path: Path) -> None:
    """More pages were written since, which are only in the log."""
    vacuum(path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE another (it)")
        db.execute("INSERT INTO another VALUES (zeroblob(?))", (1 << 16,))


@pytest.mark.parametrize("shorten", [vacuum, vacuum_and_go_on])
def test_another_program_may_give_room_back(path: Path, shorten: Callable[[Path], None]) -> None:
    with opened(path) as journal:
        make_room(path)
        assert journal.is_whole()
        before = path.stat().st_size
        shorten(path)
        assert path.stat().st_size < before
        assert not journal.is_whole()  # the next append looks at it
        journal.append([row(6)])
        assert journal.is_whole()
        journal.append([row(7)])
    assert seqs(path) == [1, 2, 3, 4, 5, 6, 7]


def test_a_journal_that_was_cut_after_room_was_given_back_pauses(path: Path) -> None:
    with opened(path) as journal:
        make_room(path)
        assert journal.is_whole()
        vacuum_and_go_on(path)
        text = path.read_bytes()
        os.truncate(path, len(text) - 3 * 4096)
        for _ in range(2):
            with pytest.raises(JournalPaused, match="the file was cut"):
                journal.append([row(6)])
        path.write_bytes(text)
        journal.append([row(6)])
    assert seqs(path) == [1, 2, 3, 4, 5, 6]


def test_a_log_that_could_not_be_opened_for_writing_is_opened_anew(path: Path) -> None:
    """SQLite opens it read-only then, and keeps that."""
    argv = [sys.executable, "-c", DYING, str(path), repr([row(1), row(2)])]
    subprocess.run(argv, check=True)
    log = beside(path, "-wal")
    subprocess.run(["chattr", "+i", log], check=True)
    try:
        journal = Journal.open(str(path))
        for _ in range(2):
            with pytest.raises(JournalPaused):
                journal.append([row(3)])
    finally:
        subprocess.run(["chattr", "-i", log], check=True)
    with journal:
        journal.append([row(3)])
        assert [event.seq for event in journal.tail(0)] == [1, 2, 3]
    assert seqs(path) == [1, 2, 3]


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a_second_name_is_told_as_long_as_it_is_there(path: Path, suffix: str) -> None:
    with opened(path) as journal:
        told = [journal.troubles().get("linked")]
        other = beside(path, ".other")
        other.hardlink_to(beside(path, suffix))
        told.append(journal.troubles().get("linked"))
        assert journal.is_whole()
        other.unlink()
        told.append(journal.troubles().get("linked"))
    assert [text is None for text in told] == [True, False, True]
    assert str(told[1]).startswith(f"{path}{suffix}: another name (hard link)")
    assert ("does not go on" in str(told[1])) is (suffix == "")


# A daemon whose index was cut to so many bytes. It would die of SIGBUS.
CUT = """
import ast, os, sys
from emperord.journal.errors import JournalPaused
from emperord.journal.store import Journal
path, size, first, rows = sys.argv[1], int(sys.argv[2]), sys.argv[3], ast.literal_eval(sys.argv[4])
with Journal.open(path) as journal:
    for row in rows[:-1]:
        journal.append([row])
    assert journal.is_whole() and journal.time_of(1)
    os.truncate(path + "-shm", size)
    if first == "look":
        assert not journal.is_whole()
    elif first == "read":
        assert journal.time_of(5) == rows[4][1]
    if first != "close":
        try:
            journal.append(rows[-1:])
        except JournalPaused as pause:
            print(pause)
        journal.append(rows[-1:])
        assert journal.is_whole()
"""


@pytest.mark.parametrize("first", ["look", "read", "append", "close"])
@pytest.mark.parametrize("size", [0, 200, 20_000])
def test_an_index_that_was_cut_is_made_anew(path: Path, first: str, size: int) -> None:
    rows = [row(seq) for seq in range(1, 7)]
    argv = [sys.executable, "-c", CUT, str(path), str(size), first, repr(rows)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    if first != "close":
        assert "the -shm file was cut" in done.stdout
    assert seqs(path) == [1, 2, 3, 4, 5, 6][: 5 if first == "close" else 6]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_an_index_and_a_log_that_were_cut_pause_until_the_log_is_put_back(path: Path) -> None:
    with opened(path) as journal:
        assert journal.is_whole()
        log = beside(path, "-wal")
        text = log.read_bytes()
        os.truncate(log, 0)
        os.truncate(beside(path, "-shm"), 0)
        assert not journal.is_whole()
        with pytest.raises(JournalPaused, match="the -shm file was cut"):
            journal.append([row(6)])
        with pytest.raises(JournalPaused, match="the -wal file was cut"):
            journal.append([row(6)])
        log.write_bytes(text)
        journal.append([row(6)])
    assert seqs(path) == [1, 2, 3, 4, 5, 6]


def test_events_of_an_append_that_failed_do_not_come_back(path: Path) -> None:
    """The request that they recorded was refused, so nothing may come of it."""
    with opened(path) as journal:
        before = journal.head
        journal.append([row(6), row(7)])
        assert before is not None
        journal._last = Link(before.seq, before.hash)
        remove_index(path)
        with pytest.raises(JournalPaused, match="the -shm file is gone"):
            journal.append([row(6)])
        journal.append([row(6)])
        events: list[Event] = list(journal.tail(0))
    assert [event.seq for event in events] == [1, 2, 3, 4, 5, 6]


def test_texts_can_be_read_while_the_connection_is_made_anew(path: Path) -> None:
    text = b"[uwsgi]\n"
    digest = chain.digest(text)
    with opened(path) as journal:
        journal.append([row(6)], {digest: text})
        assert journal.texts.content(digest) == text
        remove_log(path)
        with pytest.raises(JournalPaused, match="the -wal file is gone"):
            journal.append([row(7)])
        journal.append([row(7)])
        assert journal.texts.content(digest) == text
        assert journal.time_of(7) == START + 7

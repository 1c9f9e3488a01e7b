"""Reading a journal in whatever state it is, and leaving no trace of it."""

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from emperord.journal.errors import Damaged, JournalError, NotAJournal
from emperord.journal.files import Files
from emperord.journal.reading import open_journal
from emperord.journal.selection import Filter
from emperord.journal.store import Journal
from journal_builder import MONITOR, SECOND, START, building, busy_fleet

EVENTS = 40
SUFFIXES = ("", "-wal", "-shm")

# A daemon's stand-in: it writes, tells how far it is, and waits to be told to go on.
WRITER = """
import sys
from journal_builder import building, busy_fleet
with building(sys.argv[1], snapshot_every=20) as builder:
    busy_fleet(builder, 40, 3)
    print(builder.seq, flush=True)
    for line in sys.stdin:
        for _ in range(int(line)):
            builder.changed("app000.ini")
        print(builder.seq, flush=True)
"""


IS_LIVE = """
import sys
from emperord.journal.files import Files
print(Files(sys.argv[1]).live)
"""


class Writer:
    """A process that has a journal open for writing."""

    def __init__(self, path: Path) -> None:
        tests = str(Path(__file__).parent.parent)
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": tests},
        )  # fmt: skip
        self.seq = self._reached()

    def _reached(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def write(self, events: int) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{events}\n")
        self.process.stdin.flush()
        self.seq = self._reached()
        return self.seq

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        self.process.wait()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    writer = Writer(tmp_path / "live" / "journal.db")
    yield writer
    writer.kill()
    writer.close()


def fingerprint(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def all_of(path: Path) -> list[int]:
    with open_journal(str(path)) as reader:
        seqs = [row[0] for row in reader.rows()]
        assert reader.head.seq == reader.last == seqs[-1]
        assert next(reader.snapshots()).seq <= seqs[-1]
        return seqs


def test_a_live_journal(writer: Writer, tmp_path: Path) -> None:
    path = tmp_path / "live" / "journal.db"
    before = fingerprint(path.parent)
    assert all_of(path) == list(range(1, writer.seq + 1))
    assert fingerprint(path.parent) == before
    assert Files(str(path)).live
    with open_journal(str(path)) as reader:
        first = reader.head.seq
        writer.write(30)
        assert [row[0] for row in reader.rows()] == list(range(1, first + 1))
    assert all_of(path) == list(range(1, writer.seq + 1))


def test_a_reader_does_not_keep_the_log_from_being_folded_in(
    writer: Writer, tmp_path: Path
) -> None:
    path = tmp_path / "live" / "journal.db"
    with open_journal(str(path)) as reader:
        rows = reader.rows()
        next(rows)  # and then an operator pages through it for an hour
        for _ in range(4):
            writer.write(250)  # 5 MiB of log
    assert (path.parent / "journal.db-wal").stat().st_size < 12 << 20


def test_a_reader_does_not_take_the_writers_locks_away(tmp_path: Path) -> None:
    # In one process: closing a descriptor of a file drops all its POSIX locks there.
    path = tmp_path / "journal.db"
    with building(str(path)) as builder:
        builder.start()
        for _ in range(3):
            assert all_of_plain(path) == [1, 2]
        locked = subprocess.run(
            [sys.executable, "-c", IS_LIVE, str(path)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert locked.stdout == "True\n"
        builder.removed("a.ini")
    assert all_of_plain(path) == [1, 2, 3]


def all_of_plain(path: Path) -> list[int]:
    with open_journal(str(path)) as reader:
        return [row[0] for row in reader.rows()]


@pytest.mark.parametrize(
    "suffixes",
    [("", "-wal", "-shm"), ("", "-wal")],
    ids=["all three files", "without the index"],
)
@pytest.mark.parametrize("read_only", [False, True], ids=["writable", "read-only"])
def test_a_copy_taken_after_kill_9(
    writer: Writer, tmp_path: Path, suffixes: tuple[str, ...], read_only: bool
) -> None:
    writer.kill()
    copy = tmp_path / "copy"
    copy.mkdir()
    for suffix in suffixes:
        shutil.copy(tmp_path / "live" / f"journal.db{suffix}", copy / f"journal.db{suffix}")
    if read_only:
        subprocess.run(["mount", "--bind", str(copy), str(copy)], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(copy)], check=True)
    try:
        before = fingerprint(copy)
        assert all_of(copy / "journal.db") == list(range(1, writer.seq + 1))
        assert fingerprint(copy) == before
        assert not Files(str(copy / "journal.db")).live
    finally:
        if read_only:
            subprocess.run(["umount", str(copy)], check=True)


def test_what_a_killed_daemon_left(writer: Writer, tmp_path: Path) -> None:
    writer.kill()
    before = fingerprint(tmp_path)
    assert all_of(tmp_path / "live" / "journal.db") == list(range(1, writer.seq + 1))
    assert fingerprint(tmp_path) == before


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    path = tmp_path / "closed" / "journal.db"
    with building(str(path), snapshot_every=20) as builder:
        busy_fleet(builder, EVENTS, 3)
    os.unlink(f"{path}.lock")
    return path


def test_a_plain_file(closed: Path) -> None:
    before = fingerprint(closed.parent)
    assert all_of(closed)[-1] >= EVENTS
    assert fingerprint(closed.parent) == before == {"journal.db": before["journal.db"]}


def test_a_file_in_rollback_mode(closed: Path) -> None:
    with closing(sqlite3.connect(closed)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    before = fingerprint(closed.parent)
    assert all_of(closed)[-1] >= EVENTS
    assert Files(str(closed)).access == "plain"
    assert fingerprint(closed.parent) == before


def test_an_unfinished_transaction_of_another_program_is_rolled_back_in_a_copy(
    closed: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(closed, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("PRAGMA cache_size = 1")
        expected = [seq for (seq,) in db.execute("SELECT seq FROM event ORDER BY seq")]
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE event SET body = body || hex(randomblob(3000))")
        torn = tmp_path / "torn"
        torn.mkdir()
        for suffix in ("", "-journal"):
            shutil.copy(f"{closed}{suffix}", torn / f"journal.db{suffix}")
        db.execute("ROLLBACK")
    before = fingerprint(torn)
    assert all_of(torn / "journal.db") == expected
    assert fingerprint(torn) == before


def test_private_copies_are_removed(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.kill()
    (tmp_path / "live" / "journal.db-shm").unlink()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    with open_journal(str(tmp_path / "live" / "journal.db")):
        (copy,) = scratch.iterdir()
        assert copy.stat().st_mode & 0o777 == 0o700
    assert list(scratch.iterdir()) == []


def test_where_no_copy_can_be_made_that_is_said(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.kill()
    (tmp_path / "live" / "journal.db-shm").unlink()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(scratch)], check=True)
    try:
        monkeypatch.setattr("tempfile.tempdir", str(scratch))
        with pytest.raises(JournalError, match="No space left on device; set TMPDIR"):
            all_of(tmp_path / "live" / "journal.db")
        assert list(scratch.iterdir()) == []
    finally:
        subprocess.run(["umount", str(scratch)], check=True)


def test_it_cannot_write(closed: Path) -> None:
    with (
        open_journal(str(closed)) as reader,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        reader.db.execute("DELETE FROM event")


def test_names_with_characters_that_mean_something_in_a_uri(closed: Path, tmp_path: Path) -> None:
    odd = tmp_path / "100% a?b#c&d=é"
    shutil.copytree(closed.parent, odd)
    assert all_of(odd / "journal.db") == all_of(closed)


def test_a_daemon_that_starts_meanwhile_is_noticed(closed: Path) -> None:
    with open_journal(str(closed)) as reader:
        assert not reader.files.disturbed()
        with Journal.open(str(closed)):
            assert reader.files.disturbed()


KILLED = """
import os, sys
from emperord.journal.store import Journal
journal = Journal.open(sys.argv[1])
journal.append([])
os._exit(0)
"""


def test_a_daemon_that_follows_a_killed_one_is_noticed(closed: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, closed], check=True)
    files = Files(str(closed))
    with files.connection() as connection:
        connection.execute("SELECT count(*) FROM event").fetchone()
    assert (files.access, files.live, files.disturbed()) == ("shared", False, False)
    with Journal.open(str(closed)):
        assert files.disturbed()
    assert files.disturbed(), "it has come and gone"


# Files that are no journal


def make_directory(path: Path) -> None:
    path.mkdir()


def make_text(path: Path) -> None:
    path.write_text("# not a database, but long enough to be one\n" * 200)


def make_other(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE event (seq)")


def make_empty(path: Path) -> None:
    path.touch()


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_headless(path: Path) -> None:
    with building(str(path)) as builder:
        builder.start()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DELETE FROM chain WHERE name = 'head'")


def make_without_table(path: Path) -> None:
    with building(str(path)) as builder:
        builder.start()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DROP TABLE snapshot")


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda path: None, JournalError, "there is no such file"),
        (make_directory, NotAJournal, "a directory"),
        (make_text, NotAJournal, "not an SQLite database"),
        (make_other, NotAJournal, "not a journal of emperord"),
        (make_empty, NotAJournal, "empty"),
        (make_fifo, NotAJournal, "not a regular file"),
        (make_headless, Damaged, "no row 'head'"),
        (make_without_table, Damaged, "no table snapshot"),
    ],
    ids=[
        "missing", "directory", "text", "other database", "empty", "fifo",
        "no head", "no table",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_line(
    tmp_path: Path, make: object, error: type[JournalError], says: str
) -> None:
    path = tmp_path / "journal.db"
    assert callable(make)
    make(path)
    with pytest.raises(error) as caught, open_journal(str(path)):
        pass
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


# The reader's answers


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """Twelve events whose numbers the tests below name."""
    path = tmp_path / "told.db"
    with building(str(path)) as builder:
        builder.start()  # 1, 2
        builder.up("a.ini", b"one\n")  # 3, 4, 5
        builder.up("b.ini", b"two\n")  # 6, 7, 8
        builder.changed("a.ini", b"three\n")  # 9
        builder.accepting("a.ini")  # 10
        builder.exited("b.ini", code=1)  # 11
        builder.event("monitor_failed", monitor="pg://db;SELECT 1", reason="refused")  # 12
    return path


@pytest.mark.parametrize(
    ("which", "seqs"),
    [
        (Filter(), list(range(1, 13))),
        (Filter(vassal="a.ini"), [3, 4, 5, 9, 10]),
        (Filter(monitor=MONITOR), [3, 6, 9]),
        (Filter(kinds=("exited", "daemon_ready")), [2, 11]),
        (Filter(vassal="a.ini", kinds=("vassal_changed",)), [9]),
        (Filter(since=START + 10 * SECOND), [10, 11, 12]),
        (Filter(since=START + 10 * SECOND + 1), [11, 12]),
        (Filter(until=START + 3 * SECOND), [1, 2, 3]),
        (Filter(until=START + 3 * SECOND - 1), [1, 2]),
        (Filter(since=START + 4 * SECOND, until=START + 9 * SECOND, vassal="a.ini"), [4, 5, 9]),
        (Filter(since=START + 100 * SECOND), []),
        (Filter(until=START), []),
        (Filter(vassal="none.ini"), []),
    ],
    ids=str,
)
def test_filters(told: Path, which: Filter, seqs: list[int]) -> None:
    with open_journal(str(told)) as reader:
        assert [row[0] for row in reader.rows(which)] == seqs
        assert [event.seq for event in reader.events(which)] == seqs


@pytest.mark.parametrize(
    ("at", "seq"),
    [(0, 0), (START, 0), (START + SECOND, 1), (START + SECOND * 5 // 2, 2), (2**62, 12)],
)
def test_the_event_at_a_time(told: Path, at: int, seq: int) -> None:
    with open_journal(str(told)) as reader:
        assert reader.seq_at(at) == seq


def test_the_event_at_a_time_where_rows_are_missing(told: Path) -> None:
    with closing(sqlite3.connect(told, isolation_level=None)) as db:
        db.execute("DELETE FROM event WHERE seq BETWEEN 4 AND 9")
    with open_journal(str(told)) as reader:
        for at, seq in ((2, 2), (3, 3), (10, 10), (11, 11), (12, 12), (50, 12)):
            assert list(reader.rows(Filter(until=START + at * SECOND)))[-1][0] == seq


def test_more_rows_than_are_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "long.db"
    with building(str(path), group=1000) as builder:
        busy_fleet(builder, 4500, 5)
    with open_journal(str(path)) as reader:
        assert [row[0] for row in reader.rows()] == list(range(1, reader.head.seq + 1))
        assert [row[0] for row in reader.rows(after=1999, upto=4001)] == list(range(2000, 4002))


def test_config_texts(told: Path) -> None:
    digest = hashlib.sha256(b"three\n").hexdigest()
    with open_journal(str(told)) as reader:
        assert reader.config_text(digest) == b"three\n"
        assert reader.config_text("0" * 64) is None
    with closing(sqlite3.connect(told, isolation_level=None)) as db:
        db.execute("UPDATE config SET content = x'00' WHERE digest = ?", [digest])
    with open_journal(str(told)) as reader, pytest.raises(Damaged, match=digest):
        reader.config_text(digest)


def test_the_names_it_speaks_of(told: Path) -> None:
    with open_journal(str(told)) as reader:
        assert reader.vassals() == ["a.ini", "b.ini"]

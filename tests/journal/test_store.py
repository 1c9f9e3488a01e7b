"""The store: one writer, durable groups, and what it does when it cannot write."""

import contextlib
import fcntl
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from emperord.journal import chain, migrations, schema
from emperord.journal.errors import (
    Damaged,
    JournalError,
    JournalLocked,
    JournalPaused,
    NotAJournal,
)
from emperord.journal.store import Journal, Snapshot
from journal_builder import START, Builder, building


def row(seq: int, body: str = "{}") -> chain.Columns:
    return (seq, START + seq, "daemon_ready", None, None, None, body, "[]")


def seqs(path: Path) -> list[int]:
    db = sqlite3.connect(path)
    try:
        return [seq for (seq,) in db.execute("SELECT seq FROM event ORDER BY seq")]
    finally:
        db.close()


def test_a_new_journal_is_private_and_so_is_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "state" / "emperord" / "journal.db"
    old = os.umask(0)
    try:
        with Journal.open(str(path)) as journal:
            journal.append([row(1)])
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(old)
    assert modes == dict.fromkeys(
        ("journal.db", "journal.db-wal", "journal.db-shm", "journal.db.lock"), 0o600
    )
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_group_is_one_transaction(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal.open(str(path)) as journal:
        with pytest.raises(JournalPaused):
            journal.append([row(1), row(2), row(2)])
        assert (journal.seq, seqs(path)) == (0, [])
        journal.append([row(1), row(2), row(3)], {chain.digest(b"x"): b"x"})
        assert (journal.seq, journal.last_at, seqs(path)) == (3, START + 3, [1, 2, 3])
        assert journal.texts.content(chain.digest(b"x")) == b"x"
        assert journal.texts.content(chain.digest(b"y")) is None


def test_reopened_it_goes_on_where_it_was(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with Journal.open(path) as journal:
        journal.append([row(1), row(2)])
    with Journal.open(path) as journal:
        assert (journal.seq, journal.last_at) == (2, START + 2)
        journal.append([row(3)])
        assert [event.seq for event in journal.tail(0)] == [1, 2, 3]
        assert [event.seq for event in journal.tail(2)] == [3]


OTHER = """
import sys
from emperord.journal.store import Journal
from emperord.journal.errors import JournalLocked
try:
    Journal.open(sys.argv[1])
except JournalLocked as error:
    print(error)
"""


def test_a_second_writer_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with Journal.open(path):
        with pytest.raises(JournalLocked):
            Journal.open(path)
        other = subprocess.run(
            [sys.executable, "-c", OTHER, path], capture_output=True, text=True, check=True
        )
    assert other.stdout.startswith(f"{path}: in use by a running emperor (pid {os.getpid()})")
    assert "--journal" in other.stdout
    assert other.stderr == ""
    Journal.open(path).close()


def test_a_link_to_a_journal_is_the_same_journal(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "journal.db")
    with Journal.open(str(tmp_path / "journal.db")), pytest.raises(JournalLocked):
        Journal.open(str(tmp_path / "link.db"))


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A second name of the journal, by a bind mount of the one file."""
    name = tmp_path / "elsewhere" / "journal.db"
    name.parent.mkdir()
    name.touch()
    Journal.open(str(tmp_path / "journal.db")).close()
    subprocess.run(["mount", "--bind", str(tmp_path / "journal.db"), str(name)], check=True)
    yield name
    subprocess.run(["umount", str(name)], check=True)


def open_elsewhere(path: Path) -> str:
    """The output of another process that opens it to write."""
    ran = subprocess.run(
        [sys.executable, "-c", OTHER, str(path)], capture_output=True, text=True, check=True
    )
    return ran.stdout


def test_a_journal_is_locked_under_every_name(tmp_path: Path, mounted: Path) -> None:
    with Journal.open(str(tmp_path / "journal.db")) as journal:
        assert open_elsewhere(mounted).startswith(f"{mounted}: in use by a running emperor")
        os.link(journal.path, tmp_path / "linked.db")
        assert open_elsewhere(tmp_path / "linked.db").startswith(f"{tmp_path}/linked.db: in use")
        journal.append([row(1)])
    os.unlink(tmp_path / "linked.db")
    assert open_elsewhere(mounted) == ""


def test_a_journal_with_two_names_is_refused(tmp_path: Path) -> None:
    # Opened under the other, the events in the log beside the first would be lost.
    path = tmp_path / "journal.db"
    Journal.open(str(path)).close()
    os.link(path, tmp_path / "linked.db")
    for name in (path, tmp_path / "linked.db"):
        with pytest.raises(JournalError, match=f"{name}: the file has 2 names"):
            Journal.open(str(name))
    os.unlink(tmp_path / "linked.db")
    Journal.open(str(path)).close()


def test_a_child_on_its_way_to_exec_holds_no_lock_for_long(tmp_path: Path) -> None:
    # It lets go of the lock beside the journal first.
    path = tmp_path / "journal.db"
    Journal.open(str(path)).close()
    held = os.open(path, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    timer = threading.Timer(0.1, os.close, [held])
    timer.start()
    Journal.open(str(path)).close()
    timer.join()


def replaced(path: Path) -> None:
    shutil.copyfile(path, path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)


@pytest.mark.parametrize("what", [replaced, os.unlink], ids=["replaced", "deleted"])
def test_a_journal_taken_away_pauses_it_until_it_is_back(tmp_path: Path, what: object) -> None:
    path = tmp_path / "journal.db"
    with Journal.open(str(path)) as journal:
        journal.append([row(1)])
        os.link(path, tmp_path / "kept")
        assert callable(what)
        what(path)
        with pytest.raises(JournalPaused, match="cannot be written"):
            journal.append([row(2)])
        assert journal.seq == 1
        os.replace(tmp_path / "kept", path)
        journal.append([row(2)])
    assert seqs(path) == [1, 2]


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system with 400 KiB. Tests run as root, as those of --tyrant must."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def free(folder: Path) -> int:
    """Bytes that there is room for."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def test_a_full_disk_pauses_it_and_room_lets_it_go_on(tiny: Path) -> None:
    path = tiny / "journal.db"
    (tiny / "ballast").write_bytes(bytes(64 << 10))
    with Journal.open(str(path)) as journal:
        body = '{"reason":"' + "x" * 4000 + '"}'

        def fill() -> None:
            for seq in range(1, 200):
                journal.append([row(seq, body)])

        with pytest.raises(JournalPaused, match="full"):
            fill()
        reached = journal.seq
        assert 0 < reached < 199
        with pytest.raises(JournalPaused):
            journal.append([row(reached + 1, body)])
        (tiny / "filler").write_bytes(bytes(free(tiny)))
        with pytest.raises(JournalPaused):
            journal.append([])  # not even what changes nothing can be written
        (tiny / "ballast").unlink()
        journal.append([])
        assert journal.seq == reached
        journal.append([row(reached + 1, body)])
        assert [event.seq for event in journal.tail(0)] == list(range(1, reached + 2))


def test_a_read_only_directory_is_one_line(tiny: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(tiny)], check=True)
    with pytest.raises(JournalError, match="cannot be opened: Read-only file system"):
        Journal.open(str(tiny / "journal.db"))


def test_a_full_disk_at_the_start_is_answered_with_room(tiny: Path) -> None:
    with contextlib.suppress(OSError), open(tiny / "ballast", "wb", 0) as ballast:
        while True:
            ballast.write(bytes(4096))
    with pytest.raises(JournalError) as caught:
        Journal.open(str(tiny / "journal.db"))
    assert str(caught.value) == (
        f"{tiny}/journal.db: cannot be opened: No space left on device;"
        " make room on its disk, or give a --journal on another"
    )


def older(path: Path) -> None:
    """Make a journal what a version before this one left."""
    db = sqlite3.connect(path, isolation_level=None)
    for made in ("VIEW deploys", "VIEW events", "TABLE deploy"):
        db.execute(f"DROP {made}")
    for statement in migrations.statements("0002_deploys"):
        db.execute(statement)
    db.execute("DELETE FROM _sqlite_migrations WHERE name > '0002_deploys'")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def test_a_full_disk_puts_off_new_views(tiny: Path) -> None:
    path = tiny / "journal.db"
    with Journal.open(str(path)) as journal:
        journal.append([row(1)])
    older(path)
    (tiny / "journal.db.lock").write_text("123456\n")
    with contextlib.suppress(OSError), open(tiny / "ballast", "wb", 0) as ballast:
        while True:
            ballast.write(bytes(4096))
    # Room for the shared memory of the log, and not for the views.
    os.truncate(tiny / "ballast", os.path.getsize(tiny / "ballast") - (40 << 10))
    with Journal.open(str(path)) as journal:
        assert journal.seq == 1
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        assert schema.applied(db) == migrations.NAMES[:2]
        db.close()
        (tiny / "ballast").unlink()
    with Journal.open(str(path)) as journal:
        journal.append([row(2)])
    db = sqlite3.connect(path)
    assert schema.applied(db) == migrations.NAMES
    db.close()


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        pytest.param(b"hello\n", NotAJournal, "not an SQLite database", id="text"),
        pytest.param(
            b"SQLite format 3\x00" + bytes(4096), Damaged, "restore it", id="zeros behind the magic"
        ),
    ],
)
def test_a_file_that_is_no_journal_is_left_as_it_is(
    tmp_path: Path, content: bytes, error: type[JournalError], says: str
) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    with pytest.raises(error, match=says):
        Journal.open(str(path))
    assert path.read_bytes() == content


def test_another_programs_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE t (a)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(NotAJournal, match="not a journal of emperord"):
        Journal.open(str(path))
    assert path.read_bytes() == before


def test_an_empty_file_is_ours_to_fill(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.touch()
    with Journal.open(str(path)) as journal:
        journal.append([row(1)])
    assert seqs(path) == [1]


# Snapshots


def test_a_snapshot_comes_back_as_it_was(tmp_path: Path) -> None:
    with Journal.open(str(tmp_path / "journal.db")) as journal:
        assert journal.snapshot() is None
        journal.append([row(1), row(2)], snapshot=Snapshot(2, b'{"seq":2}'))
        found = journal.snapshot()
        assert found is not None
        assert (found.seq, found.fleet) == (2, b'{"seq":2}')


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE snapshot SET fleet = x'00' WHERE seq = 20",
        "UPDATE snapshot SET hash = zeroblob(32) WHERE seq = 20",
        "UPDATE snapshot SET check_sum = '' WHERE seq = 20",
        "DELETE FROM snapshot WHERE seq = 20",
    ],
    ids=["fleet", "hash", "checksum", "gone"],
)
def test_a_damaged_snapshot_is_passed_over_for_an_older_one(tmp_path: Path, harm: str) -> None:
    path = str(tmp_path / "journal.db")
    with building(path, snapshot_every=10) as builder:
        builder.start()
        for number in range(18):
            builder.removed(f"a{number}.ini")
    db = sqlite3.connect(path)
    db.execute(harm)
    db.commit()
    db.close()
    with Journal.open(path) as journal:
        found = journal.snapshot()
        assert found is not None
        assert found.seq == 10


def archived(path: str, seq: int) -> None:
    """Cut off the events up to ``seq``, as an archive does."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(
        "UPDATE chain SET (seq, hash) = (SELECT seq, hash FROM event WHERE seq = ?)"
        " WHERE name = 'anchor'",
        (seq,),
    )
    db.execute("DELETE FROM event WHERE seq <= ?", (seq,))
    db.close()


def test_an_archived_journal_goes_on_from_the_snapshot_it_begins_with(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path, snapshot_every=10) as builder:
        builder.start()
        for number in range(15):
            builder.added(f"a{number}.ini")
    archived(path, 10)
    with building(path) as builder:
        assert len(builder.fleet.vassals) == 15
        assert builder.seq == 17
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("DELETE FROM snapshot")
    db.close()
    with Journal.open(path) as journal, pytest.raises(Damaged, match="snapshot of event 10"):
        journal.snapshot()


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("UPDATE event SET body = '{ }' WHERE seq = 3", "event 3 is not what was written"),
        ("DELETE FROM event WHERE seq = 3", "event 3 is missing"),
        ("DELETE FROM event WHERE seq > 5", "events 6 to 8 are missing"),
        ("UPDATE chain SET hash = randomblob(32) WHERE name = 'head'", "is not that of event 8"),
    ],
    ids=["changed", "missing", "cut", "head"],
)
def test_the_tail_is_checked_as_it_is_read(tmp_path: Path, harm: str, says: str) -> None:
    path = str(tmp_path / "journal.db")
    with Journal.open(path) as journal:
        journal.append([row(seq) for seq in range(1, 9)])
    db = sqlite3.connect(path)
    db.execute(harm)
    db.commit()
    db.close()
    with Journal.open(path) as journal, pytest.raises(Damaged, match=says):
        list(journal.tail(0))


def test_the_event_of_the_newest_snapshot_is_checked(tmp_path: Path) -> None:
    # Its time is where the clock goes on from.
    path = str(tmp_path / "journal.db")
    with Journal.open(path) as journal:
        journal.append([row(seq) for seq in range(1, 4)], snapshot=Snapshot(3, b"{}"))
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("UPDATE event SET at = 9223372036854775807 WHERE seq = 3")
    db.close()
    with Journal.open(path) as journal, pytest.raises(Damaged, match="event 3 is not what was"):
        list(journal.tail(3))


def test_a_config_text_that_was_changed_is_not_deployed(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    digest = chain.digest(b"good")
    with Journal.open(path) as journal:
        journal.append([row(1)], {digest: b"good"})
        assert journal.texts.content(digest) == b"good"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("UPDATE config SET content = CAST('evil' AS BLOB)")
    db.close()
    with Journal.open(path) as journal:
        assert journal.texts.content(digest) is None


SCHEMA_HARMS = {
    "event": "DROP TABLE event",
    "config": "DROP TABLE config",
    "snapshot": "DROP TABLE snapshot",
    "chain": "DROP TABLE chain",
    "deploys": "DROP VIEW deploys",
    "events": "DROP VIEW events",
    "table deploy": "DROP TABLE deploy",
    "index deploy_open": "DROP INDEX deploy_open",
    "event_vassal": "DROP INDEX event_vassal",
    "_sqlite_migrations": "DROP TABLE _sqlite_migrations",
    "column body": "ALTER TABLE event RENAME COLUMN body TO b",
    "column content": "ALTER TABLE config RENAME COLUMN content TO b",
    "column fleet": "ALTER TABLE snapshot RENAME COLUMN fleet TO b",
    "column hash": "ALTER TABLE chain RENAME COLUMN hash TO b",
    "trigger 'spy' on 'config'": "CREATE TRIGGER spy INSERT ON config BEGIN SELECT 1; END",
    "index 'u' on 'config'": "CREATE UNIQUE INDEX u ON config (length(content))",
}


@pytest.mark.parametrize(("named", "harm"), SCHEMA_HARMS.items(), ids=SCHEMA_HARMS)
def test_a_schema_that_is_not_what_was_made_keeps_the_daemon_away(
    tmp_path: Path, named: str, harm: str
) -> None:
    path = str(tmp_path / "journal.db")
    with Journal.open(path) as journal:
        journal.append([row(1)])
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(harm)
    db.close()
    with pytest.raises(Damaged) as caught:
        Journal.open(path)
    assert named in str(caught.value)
    assert "restore the journal from a copy" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("harm", "repair"),
    [
        ("DROP VIEW deploys", "DELETE FROM _sqlite_migrations WHERE name = '0005_deploys'"),
        ("DROP VIEW events", "DELETE FROM _sqlite_migrations WHERE name = '0003_events'"),
        ("DROP INDEX event_vassal", migrations._RECORD.split(";\n")[1]),
    ],
    ids=["view deploys", "view events", "index"],
)
def test_what_holds_nothing_can_be_made_again(tmp_path: Path, harm: str, repair: str) -> None:
    path = str(tmp_path / "journal.db")
    Journal.open(path).close()
    db = sqlite3.connect(path, isolation_level=None)
    for statement in (harm, repair):
        db.execute(statement)
    db.close()
    Journal.open(path).close()


def test_time_rises_whoever_writes(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    for _ in range(3):
        with building(str(path)) as builder:
            assert isinstance(builder, Builder)
            builder.start()
    db = sqlite3.connect(path)
    times = [at for (at,) in db.execute("SELECT at FROM event ORDER BY seq")]
    db.close()
    assert times == sorted(set(times))
    assert len(times) == 6

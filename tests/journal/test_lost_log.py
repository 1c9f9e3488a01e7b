"""A log is not destroyed, whatever journal lies beside it when a daemon starts."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from emperord.journal.errors import Damaged
from emperord.journal.store import Journal
from emperord.replay.main import cli
from journal_builder import building

Harm = Callable[[Path, Path], None]


def log_of(journal: Path) -> Path:
    return journal.with_name(journal.name + "-wal")


def cut_to_nothing(journal: Path, older: Path) -> None:
    os.truncate(journal, 0)


def move_away(journal: Path, older: Path) -> None:
    journal.unlink()


def put_an_older_copy(journal: Path, older: Path) -> None:
    shutil.copyfile(older, journal)


def put_another(journal: Path, older: Path) -> None:
    strange = older.with_name("strange.db")
    with building(str(strange)) as builder:
        builder.start()
        builder.added("strange.ini")
    shutil.copyfile(strange, journal)


def spoil(journal: Path, older: Path) -> None:
    with journal.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"Z" * 4096 * 10)


def halve_the_log(journal: Path, older: Path) -> None:
    os.truncate(log_of(journal), log_of(journal).stat().st_size // 2)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal with 126 events as a killed daemon leaves it: the last four are in the log only.

    ``older.db`` was copied when it had few.
    """
    made, kept = tmp_path / "made.db", tmp_path / "journal.db"
    with building(str(made)) as builder:
        builder.start()
        with closing(sqlite3.connect(made)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            shutil.copyfile(made, tmp_path / "older.db")
            for number in range(120):
                builder.added(f"{number}.ini")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for number in range(4):
            builder.added(f"late{number}.ini")
        builder.flush()
        for suffix in ("", "-wal", "-shm"):
            shutil.copy(f"{made}{suffix}", f"{kept}{suffix}")
    return kept


def lost(journal: Path) -> list[Path]:
    return sorted(journal.parent.glob("journal.db-wal.lost-*"))


def test_a_journal_with_its_log_is_opened(journal: Path) -> None:
    with Journal.open(str(journal)) as opened:
        assert opened.seq == 126
    assert lost(journal) == []


def test_a_log_without_an_index_is_read(journal: Path) -> None:
    journal.with_name("journal.db-shm").unlink()
    with Journal.open(str(journal)) as opened:
        assert opened.seq == 126
    assert lost(journal) == []


@pytest.mark.parametrize(
    ("harm", "seq"),
    [
        pytest.param(move_away, 0, id="no journal"),
        pytest.param(cut_to_nothing, 0, id="an empty journal"),
        pytest.param(put_an_older_copy, 1, id="an older copy"),
        pytest.param(put_another, 2, id="another journal"),
        pytest.param(halve_the_log, 122, id="a log cut in half"),
    ],
)
def test_a_log_that_is_not_the_journals_is_set_aside(journal: Path, harm: Harm, seq: int) -> None:
    harm(journal, journal.with_name("older.db"))
    held = log_of(journal).read_bytes()
    with Journal.open(str(journal)) as opened:
        assert opened.seq >= seq
    (aside,) = lost(journal)
    assert aside.read_bytes() == held
    assert aside.stat().st_mode & 0o777 == 0o600


def test_an_older_log_takes_no_event_from_its_journal(tmp_path: Path) -> None:
    """Root put back a log that was folded in long ago. It is whole, with an older last event."""
    journal = tmp_path / "journal.db"
    with building(str(journal)) as builder, closing(sqlite3.connect(journal)) as db:
        builder.start()
        builder.flush()
        shutil.copyfile(log_of(journal), tmp_path / "older-wal")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        builder.added("a.ini")
        builder.flush()
        last = db.execute("SELECT max(seq) FROM event").fetchone()[0]
    shutil.copyfile(tmp_path / "older-wal", log_of(journal))
    with closing(sqlite3.connect(tmp_path / "copy.db")) as db:
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{journal}{suffix}", tmp_path / f"copy.db{suffix}")
        assert db.execute("SELECT max(seq) FROM event").fetchone()[0] < last  # as SQLite reads it
    with Journal.open(str(journal)) as opened:
        assert opened.seq == last
    (aside,) = lost(journal)
    assert aside.read_bytes() == (tmp_path / "older-wal").read_bytes()


def test_a_damaged_journal_and_its_log_stay_as_they_are(journal: Path) -> None:
    good = journal.read_bytes()
    spoil(journal, journal)
    before = {path: path.read_bytes() for path in (journal, log_of(journal))}
    with pytest.raises(Damaged):
        Journal.open(str(journal))
    assert {path: path.read_bytes() for path in before} == before
    journal.write_bytes(good)
    with Journal.open(str(journal)) as opened:
        assert opened.seq == 126


def test_a_journal_that_is_left_keeps_its_log(journal: Path) -> None:
    """An estranged daemon does not go on with it, so it folds nothing in."""
    before = {path: path.read_bytes() for path in (journal, log_of(journal))}
    Journal.open(str(journal)).leave()
    assert {path: path.read_bytes() for path in before} == before
    replaced = journal.with_name("mine")
    opened = Journal.open(str(journal))
    log_of(journal).rename(replaced)
    log_of(journal).write_bytes(b"another's")
    opened.leave()
    assert log_of(journal).read_bytes() == b"another's"


def test_two_logs_of_one_second_are_both_kept(journal: Path) -> None:
    held = log_of(journal).read_bytes()
    for _ in range(2):
        journal.unlink(missing_ok=True)
        log_of(journal).write_bytes(held)
        Journal.open(str(journal)).leave()
        log_of(journal).unlink(missing_ok=True)
    assert [path.read_bytes() for path in lost(journal)] == [held, held]


def test_a_lost_log_is_told_as_long_as_it_is_there(journal: Path) -> None:
    put_another(journal, journal.with_name("older.db"))
    Journal.open(str(journal)).leave()
    (aside,) = lost(journal)
    with Journal.open(str(journal)) as opened:
        assert str(aside) in opened.troubles()["lost log"]
        told = CliRunner().invoke(cli, ["--journal", str(journal), "verify"])
        assert (told.exit_code, str(aside) in told.output) == (0, True)
        aside.rename(journal.with_name("kept"))
        assert opened.troubles() == {}
    told = CliRunner().invoke(cli, ["--journal", str(journal), "verify"])
    assert str(aside) not in told.output

"""Journals that ``emperor-replay archive`` does not cut, and the reasons that it gives."""

import fcntl
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from emperord.journal.store import Journal
from emperord.replay import archiving
from journal_builder import building, busy_fleet
from support.archives import (
    EVENTS,
    archive,
    at,
    content,
    sql,
    write,
)
from support.root import need_root


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("2020-01-01", "no event is from before that time"),
        ("@1", "no event is from before that time"),
    ],
)
def test_nothing_is_older(before: str, said: str, journal: Path, tmp_path: Path) -> None:
    kept = content(journal)
    result = archive(journal, "--before", before, "-o", str(tmp_path / "old.db"))
    assert (result.exit_code, result.stdout) == (0, f"{journal}: nothing to archive: {said}\n")
    assert content(journal) == kept
    assert not (tmp_path / "old.db").exists()


def test_a_time_in_the_future_leaves_the_last_events(journal: Path, tmp_path: Path) -> None:
    result = archive(journal, "--before", "2099-01-01", "-o", str(tmp_path / "old.db"), "--json")
    assert '"first":1,' in result.stdout
    ((count, last),) = sql(journal, "SELECT count(*), max(seq) FROM event")
    assert count == archiving.KEPT + 1
    assert f'"event":{last},' in result.stdout


def foreign(path: Path) -> None:
    path.write_text("a letter")


def other_journal(path: Path) -> None:
    write(path, 30)


@pytest.mark.parametrize("make", [foreign, other_journal])
def test_a_file_in_the_way_stays(make: Any, journal: Path, tmp_path: Path) -> None:
    file, kept = tmp_path / "old.db", content(journal)
    make(file)
    before = file.read_bytes()
    result = at(journal, 200, file)
    assert result.exit_code == 1
    assert "is there already, and is no archive of these events" in result.stderr
    assert (file.read_bytes(), content(journal)) == (before, kept)


def test_the_journal_itself_and_a_later_copy_are_no_archives(journal: Path, tmp_path: Path) -> None:
    copy, kept = Path(shutil.copy(journal, tmp_path / "copy.db")), content(journal)
    for file in (journal, copy):
        result = at(journal, 200, file)
        assert result.exit_code == 1
        assert "is no archive of these events" in result.stderr
    assert content(journal) == kept


def test_a_missing_directory_is_named(journal: Path, tmp_path: Path) -> None:
    kept = content(journal)
    result = at(journal, 200, tmp_path / "none" / "old.db")
    assert result.exit_code == 1
    assert "old.db: its directory is not there; make it, or name another file" in result.stderr
    assert content(journal) == kept


def test_a_journal_in_use_is_refused(journal: Path, tmp_path: Path) -> None:
    with Journal.open(str(journal)):
        result = at(journal, 200, tmp_path / "old.db")
    assert result.exit_code == 1
    assert "in use by a running emperor" in result.stderr
    assert not (tmp_path / "old.db").exists()


def test_the_journal_of_a_keeper_that_waits_is_refused(
    journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    ((identity,),) = sql(journal, "SELECT hex(hash) FROM event WHERE seq = 1")
    with open(tmp_path / f"{identity[:16].lower()}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = at(journal, 200, tmp_path / "old.db")
    assert result.exit_code == 1
    assert "an emperor has its identity" in result.stderr
    assert at(journal, 200, tmp_path / "old.db").exit_code == 0


def test_a_damaged_journal_is_not_cut(journal: Path, tmp_path: Path) -> None:
    sql(journal, "UPDATE event SET at = at + 1 WHERE seq = 100")
    kept = content(journal)
    result = at(journal, 200, tmp_path / "old.db")
    assert result.exit_code == 1
    assert "event 100 is not what was written" in result.stderr
    assert content(journal) == kept
    assert [each.name for each in tmp_path.glob("old*")] == []


def test_a_lost_text_is_not_moved(journal: Path, tmp_path: Path) -> None:
    ((digest,),) = sql(
        journal, "SELECT json_extract(body, '$.spec.config') FROM event WHERE seq = 3"
    )
    sql(journal, "DELETE FROM config WHERE digest = ?", digest)
    kept = content(journal)
    result = at(journal, 200, tmp_path / "old.db")
    assert result.exit_code == 1
    assert f"the archive would not verify: config {digest}: the text is missing" in result.stderr
    assert content(journal) == kept
    assert [each.name for each in tmp_path.glob("old*")] == []


def test_an_event_that_gives_a_copy_its_identity_stays(journal: Path, tmp_path: Path) -> None:
    with building(str(journal)) as builder:
        fork = builder.event("journal_forked", identity="a" * 64, path="x", device=1, inode=2)
        busy_fleet(builder, EVENTS + 200, 4)
        builder.event("daemon_stopping", reason="SIGTERM")
        builder.event("daemon_stopped")
    assert at(journal, fork + 50, tmp_path / "old.db").exit_code == 0
    assert sql(journal, "SELECT min(seq) FROM event") == [(fork,)]
    result = at(journal, fork + 50, tmp_path / "more.db")
    assert f"nothing to archive: event {fork} stays" in result.stdout


def test_a_directory_of_another_user_is_refused(journal: Path, tmp_path: Path) -> None:
    need_root("give a directory to another user")
    kept, theirs = content(journal), tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 1234, 1234)
    result = at(journal, 200, theirs / "old.db")
    assert result.exit_code == 1
    assert f"root writes no file below {theirs}, which belongs to uid 1234" in result.stderr
    assert content(journal) == kept
    os.chown(journal, 1234, 1234)  # they have the journal, too
    assert at(journal, 200, theirs / "old.db").exit_code == 0

"""An append that failed, and yet left its events in the log: they are removed before the next."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from emperord.journal import chain
from emperord.journal.errors import JournalPaused
from emperord.journal.store import Journal
from emperord.replay.verify import verify
from journal_builder import building


def commit_unnoticed(path: Path, event: chain.Columns) -> None:
    """Commit an event with its outcome, by another connection than the daemon's."""
    with closing(sqlite3.connect(path)) as db, db:
        (head,) = db.execute("SELECT hash FROM chain WHERE name = 'head'").fetchone()
        hash_ = chain.link(head, event)
        db.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*event, hash_))
        db.execute("UPDATE chain SET seq = ?, hash = ? WHERE name = 'head'", (event[0], hash_))
        db.execute("UPDATE deploy SET outcome = 'superseded', outcome_seq = ?", (event[0],))


def test_it_leaves_no_outcome_of_a_deploy(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with building(str(path)) as builder:
        builder.start()
        builder.up("a.ini")
    with Journal.open(str(path)) as journal:
        seq, at = journal.seq + 1, journal.last_at + 1
        commit_unnoticed(path, (seq, at, "vassal_removed", "m", "a.ini", None, "{}", "[]"))
        Path(f"{path}-shm").unlink()
        stopped = (seq, at, "daemon_stopped", None, None, None, "{}", "[]")
        with pytest.raises(JournalPaused):
            journal.append([stopped])
        journal.append([stopped], known=[(seq, None, "stopped", None, None, None, None, True)])
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT * FROM deploy").fetchall() == []  # all or none
    assert verify(str(path)).audit.findings == []
    with Journal.open(str(path)) as journal:
        assert journal.deploys.lacks_rows

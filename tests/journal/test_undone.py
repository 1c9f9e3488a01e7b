"""An append that failed, and yet left its events in the log: they are removed before the next."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from emperord.journal.errors import JournalPaused
from emperord.journal.reading import Link
from emperord.journal.store import Journal
from emperord.replay.verify import verify
from journal_builder import Builder, building

GOOD = 3  # the deploy with which the vassal accepts


def remove(builder: Builder) -> None:
    builder.removed("a.ini")  # a deploy of its own, and the former one is superseded


def accept(builder: Builder) -> None:
    builder.accepting("a.ini")


def stop(builder: Builder) -> None:
    builder.operator("stop", "a.ini")


def rows(path: Path) -> list[Any]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute("SELECT * FROM deploy ORDER BY seq").fetchall()


@pytest.mark.parametrize("undone", [remove, accept, stop])
def test_the_outcomes_of_deploys_are_those_from_before(tmp_path: Path, undone: Any) -> None:
    path = tmp_path / "journal.db"
    with building(str(path)) as builder:
        builder.start()
        builder.up("a.ini", b"good\n")
        builder.changed("a.ini", b"bad\n")
        journal, before, at = builder.journal, builder.journal.head, builder.at
        wanted = builder.fleet.vassals["a.ini"].spec.config
        known = rows(path)
        undone(builder)
        assert rows(path) != known
        assert before is not None
        journal._last = Link(before.seq, before.hash)  # as if the commit had failed
        Path(f"{path}-shm").unlink()
        stopped = (before.seq + 1, at + 1, "daemon_stopped", None, None, None, "{}", "[]")
        with pytest.raises(JournalPaused, match="the -shm file is gone"):
            journal.append([stopped])
        journal.append([stopped])
        assert rows(path) == known
        good = journal.announcements.last_good("a.ini", wanted, wanted)
        assert good is not None
        assert good.seq == GOOD
    assert verify(str(path)).audit.findings == []
    with Journal.open(str(path)) as journal:
        assert not journal.deploys.lacks_rows

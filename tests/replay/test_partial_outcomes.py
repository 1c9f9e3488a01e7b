"""The table ``deploy`` of a journal in which an old event is damaged."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from emperord.daemon.loop.stored_deploys import followed
from emperord.journal.store import Journal
from emperord.replay.verify import verify
from journal_builder import Builder, building

SNAPSHOTS = 10
DAMAGED = 4
DAMAGES = pytest.mark.parametrize(
    "damage",
    [
        pytest.param("UPDATE event SET body = '{' WHERE seq = 4", id="body"),
        pytest.param("UPDATE event SET hash = zeroblob(32) WHERE seq = 4", id="hash"),
        pytest.param("DELETE FROM event WHERE seq = 4", id="deleted"),
    ],
)


def execute(path: Path, *queries: str) -> list[Any]:
    """Execute these, and give the rows of the last."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        found = [db.execute(query).fetchall() for query in queries]
    return found[-1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with deploys before and behind its snapshots, and no outcome of any."""
    path = tmp_path / "journal.db"
    with building(str(path), snapshot_every=SNAPSHOTS) as builder:
        builder.start()
        builder.up("old.ini")
        for number in range(10):
            builder.changed("old.ini", b"%d\n" % number)
            builder.accepting("old.ini")
    execute(path, "DELETE FROM deploy")
    return path


def live(path: Path, name: str) -> int:
    """A daemon's life, with a good deploy and a bad one; an older vassal's last good deploy."""
    with building(str(path), snapshot_every=SNAPSHOTS) as builder:
        builder.start()
        good = builder.up(name, b"good\n")
        builder.changed(name, b"bad\n")
        assert last_good(builder, name) == good
        return last_good(builder, "old.ini")


def last_good(builder: Builder, name: str) -> int:
    """The deploy to which a rollback leads."""
    wanted = builder.fleet.vassals[name].spec.config
    good = builder.journal.announcements.last_good(name, wanted, wanted)
    assert good is not None
    return good.seq


def without_outcome(path: Path) -> list[int]:
    """The deploys of which the table has no row."""
    deploys = "SELECT seq FROM event WHERE kind IN ('vassal_added', 'vassal_changed')"
    return [seq for (seq,) in execute(path, f"{deploys} AND seq NOT IN (SELECT seq FROM deploy)")]


def found_of(path: Path) -> list[str]:
    """The findings about deploys."""
    return [each.what for each in verify(str(path)).audit.findings if "deploy" in each.what]


@DAMAGES
def test_deploys_behind_it_have_outcomes(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    execute(path, damage)
    before = live(path, "one.ini")
    assert "no outcome of a deploy up to event 10 is stored: " in caplog.text
    caplog.clear()
    assert live(path, "two.ini") == before  # it is found in the life before as well
    assert caplog.text == ""
    assert [seq for seq in without_outcome(path) if seq > SNAPSHOTS] == []
    assert verify(str(path)).exit_code == 3
    assert found_of(path) == []


def test_where_no_snapshot_is_behind_it_later_deploys_have(path: Path) -> None:
    execute(path, "DELETE FROM snapshot", f"UPDATE event SET body = '{{' WHERE seq = {DAMAGED}")
    with Journal.open(str(path)) as journal:
        last = journal.seq
        assert followed(journal).open == {}
        assert not journal.deploys.lacks_rows
    assert execute(path, "SELECT seq FROM chain WHERE name = 'deploys'") == [(last,)]


def test_the_table_is_whole_again_when_the_damage_was_put_right(path: Path) -> None:
    ((body,),) = execute(path, f"SELECT body FROM event WHERE seq = {DAMAGED}")
    execute(path, f"UPDATE event SET body = '{{' WHERE seq = {DAMAGED}")
    live(path, "one.ini")
    execute(path, f"UPDATE event SET body = '{body}' WHERE seq = {DAMAGED}")
    assert found_of(path)[0] == "deploy 3: its outcome is missing"
    execute(path, "DELETE FROM deploy")  # as the page on damage says
    live(path, "two.ini")
    assert without_outcome(path) == []
    assert verify(str(path)).exit_code == 0
    assert execute(path, "SELECT * FROM chain WHERE name = 'deploys'") == []


def test_a_journal_without_damage_excuses_no_row_that_is_missing(path: Path) -> None:
    live(path, "one.ini")
    assert verify(str(path)).exit_code == 0
    execute(
        path,
        "DELETE FROM deploy WHERE seq <= 10",
        "INSERT INTO chain SELECT 'deploys', seq, hash FROM event WHERE seq = 10",
    )
    assert found_of(path)[0] == "deploy 3: its outcome is missing"

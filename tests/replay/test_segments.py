"""A long journal is verified in segments, on all cores: the answer is that of one fold in order."""

import os
import random
import shutil
import sqlite3
import sys
import tempfile
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from emperord.journal import chain
from emperord.journal.errors import JournalError
from emperord.replay import segment as one_segment
from emperord.replay import segments, tickets
from emperord.replay.boundaries import Following
from emperord.replay.verify import lines, verify
from fold.test_properties import Life
from hypothesis import HealthCheck, settings
from journal_builder import building, busy_fleet
from support.damage import IN_THE_FILE, Harm
from support.effort import examples
from support.long_lives import waits_for_a_client, write

EVENTS = 60
Alone = Callable[[Path], list[str]]


def told(path: Path) -> list[str]:
    try:
        return list(lines(str(path), verify(str(path))))
    except JournalError as error:
        return [str(error)]


def in_order(path: Path, patch: pytest.MonkeyPatch) -> list[str]:
    with patch.context() as patched:
        patched.setattr(segments, "LONG", 10**9)
        return told(path)


class Answers:
    """The answers of the quick way, in ``given``."""

    def __init__(self, patch: pytest.MonkeyPatch, segment: int, processes: int = 2) -> None:
        self.given: list[segments.Clean | None] = []
        verified = segments.verified

        def noted(*arguments: Any) -> segments.Clean | None:
            self.given.append(verified(*arguments))
            return self.given[-1]

        patch.setattr(segments, "verified", noted)
        patch.setattr(segments, "LONG", 10)
        patch.setattr(segments, "SEGMENT", segment)
        # In this process, a segment has several batches of rows.
        patch.setattr(one_segment, "ROWS", one_segment.ROWS.replace("LIMIT 1000", "LIMIT 3"))
        patch.setattr(tickets, "MOST", processes)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("segments") / "journal.db"
    with building(str(path), snapshot_every=20) as builder:
        busy_fleet(builder, EVENTS, 4)
    return path


def test_a_whole_journal(pristine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = in_order(pristine, monkeypatch)
    answers = Answers(monkeypatch, 20)
    assert told(pristine) == alone
    (clean,) = answers.given
    assert clean is not None
    assert (clean.events, clean.snapshots) == (EVENTS, 3)


def test_a_segment_takes_no_notes_where_no_deploy_of_before_is_open(
    pristine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = in_order(pristine, monkeypatch)
    answers = Answers(monkeypatch, 20, processes=1)
    ended: list[int] = []
    without_notes = Following.without_notes

    def noted(self: Following) -> Any:
        ended.append(len(self.open))
        return without_notes(self)

    monkeypatch.setattr(Following, "without_notes", noted)
    assert told(pristine) == alone
    assert answers.given[0] is not None
    assert len(ended) == 2


@pytest.mark.few(12)
@pytest.mark.parametrize("harm", [harm for harm, _ in IN_THE_FILE.values()], ids=IN_THE_FILE)
def test_damage_is_told_as_by_one_fold(
    pristine: Path, tmp_path: Path, harm: Harm, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    shutil.copy(pristine, path)
    harm(path)
    alone = in_order(path, monkeypatch)
    Answers(monkeypatch, 20)
    assert told(path) == alone


def test_without_other_processes_one_does_all(
    pristine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = in_order(pristine, monkeypatch)
    Answers(monkeypatch, 20)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert told(pristine) == alone


def test_a_process_that_fails_has_no_answer(
    pristine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = in_order(pristine, monkeypatch)
    answers = Answers(monkeypatch, 20)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert told(pristine) == alone
    assert answers.given == [None]


def test_no_work_goes_on_for_a_parent_that_has_gone() -> None:
    begin, end = os.pipe()
    with open(begin, "rb", buffering=0) as source, open(end, "wb", buffering=0) as sink:
        sink.write((1).to_bytes(4) + (2).to_bytes(4))
        sink.close()
        assert list(tickets.Tickets(source.fileno(), parent=os.getpid())) == []
        assert list(tickets.of_parent(source.fileno())) == [1, 2]


def test_deploys_that_are_open_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    with building(str(path), snapshot_every=5) as builder:
        waits_for_a_client(builder)
    alone = in_order(path, monkeypatch)
    answers = Answers(monkeypatch, 5, processes=1)
    assert told(path) == alone
    assert answers.given[0] is not None
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        query = "SELECT seq FROM deploy WHERE outcome_seq > seq + 20"
        late = [seq for (seq,) in db.execute(query)]
        assert len(late) == 3
        for seq in late:
            query = "SELECT outcome FROM deploy WHERE seq = ?"
            (outcome,) = db.execute(query, (seq,)).fetchone()
            db.execute("UPDATE deploy SET outcome = 'barred' WHERE seq = ?", (seq,))
            assert f"deploy {seq}: its outcome is not what follows" in " ".join(told(path))
            db.execute("UPDATE deploy SET outcome = ? WHERE seq = ?", (outcome, seq))
    assert answers.given[1:] == [None] * 3


def test_deploys_that_wait_in_a_rollout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    with building(str(path), snapshot_every=4) as builder:
        builder.start(rollout="1")
        names = ("a.ini", "b.ini", "c.ini", "d.ini")
        for name in names:
            builder.up(name)
            builder.accepting(name)
        for name in names:
            builder.changed(name, b"new\n")
        for number in range(6):
            builder.up(f"other{number}.ini")
        builder.exited("a.ini", code=1)  # the others are held back
        for number in range(6, 12):
            builder.up(f"other{number}.ini")
    with closing(sqlite3.connect(path)) as db:
        held = db.execute("SELECT count(*) FROM deploy WHERE outcome = 'held'").fetchone()
    assert held == (3,)
    alone = in_order(path, monkeypatch)
    answers = Answers(monkeypatch, 4, processes=1)
    assert told(path) == alone
    assert answers.given[0] is not None


def test_deploys_that_may_be_rolled_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each accepts long before it fails, and is barred in between, which settles others."""
    path = tmp_path / "journal.db"
    names = ("a.ini", "b.ini", "c.ini")
    with building(str(path), snapshot_every=4) as builder:
        builder.start(rollback=1)
        for name in names:
            builder.up(name)
            builder.changed(name, b"new\n")
            builder.accepting(name)
        for number in range(6):
            builder.up(f"other{number}.ini")
        for name in names:
            builder.exited(name, code=26)
            builder.event("operator_requested", name, request="start")
            builder.exited(name, code=1)
        for number in range(6, 12):
            builder.up(f"other{number}.ini")
    with closing(sqlite3.connect(path)) as db:
        back = db.execute("SELECT count(*) FROM deploy WHERE outcome = 'rolled_back'").fetchone()
    assert back == (3,)
    alone = in_order(path, monkeypatch)
    answers = Answers(monkeypatch, 4, processes=1)
    assert told(path) == alone
    assert answers.given[0] is not None


# Random lives


def chained(db: sqlite3.Connection) -> None:
    """Make the chain fit again, as an attacker who rewrites a record does."""
    previous = bytes(32)
    for row in db.execute("SELECT * FROM event ORDER BY seq").fetchall():
        previous = chain.link(previous, row[:8])
        db.execute("UPDATE event SET hash = ? WHERE seq = ?", (previous, row[0]))
        db.execute("UPDATE snapshot SET hash = ? WHERE seq = ?", (previous, row[0]))
    db.execute("UPDATE chain SET hash = ? WHERE name = 'head'", (previous,))


def other_actions(db: sqlite3.Connection, seq: int) -> None:
    db.execute(
        """UPDATE event SET actions = CASE actions WHEN '[]' THEN '[{"do":"stop","vassal":"a"}]'
           ELSE '[]' END WHERE seq = ?""",
        (seq,),
    )
    chained(db)


def another_time(db: sqlite3.Connection, seq: int) -> None:
    db.execute("UPDATE event SET at = at + 1 WHERE seq >= ?", (seq,))
    chained(db)


def another_kind(db: sqlite3.Connection, seq: int) -> None:
    query = "UPDATE event SET kind = 'vassal_loyal' WHERE kind = 'vassal_accepting' AND seq >= ?"
    db.execute(query, (seq,))
    chained(db)


def another_snapshot(db: sqlite3.Connection, seq: int) -> None:
    query = "SELECT seq, fleet FROM snapshot WHERE seq >= ? ORDER BY seq LIMIT 1"
    for found, packed in db.execute(query, (seq,)).fetchall():
        fleet = zlib.decompress(packed).replace(b'"deaths":1', b'"deaths":2')
        fleet = fleet.replace(b'"loyal":true', b'"loyal":false')
        again = zlib.compress(fleet)
        query = "UPDATE snapshot SET fleet = ?, check_sum = ? WHERE seq = ?"
        db.execute(query, (again, chain.digest(again), found))


def another_outcome(db: sqlite3.Connection, seq: int) -> None:
    db.execute(
        "UPDATE deploy SET outcome = iif(outcome = 'died', 'accepting', 'died') WHERE seq ="
        " (SELECT min(seq) FROM deploy WHERE seq >= ?)",
        (seq,),
    )


def a_later_outcome(db: sqlite3.Connection, seq: int) -> None:
    db.execute("UPDATE deploy SET outcome_seq = outcome_seq + 1 WHERE seq >= ?", (seq,))


def no_outcome(db: sqlite3.Connection, seq: int) -> None:
    query = "DELETE FROM deploy WHERE seq = (SELECT min(seq) FROM deploy WHERE seq >= ?)"
    db.execute(query, (seq,))


def no_event(db: sqlite3.Connection, seq: int) -> None:
    db.execute("DELETE FROM event WHERE seq = ?", (seq,))


def no_snapshot(db: sqlite3.Connection, seq: int) -> None:
    query = "DELETE FROM snapshot WHERE seq = (SELECT min(seq) FROM snapshot WHERE seq >= ?)"
    db.execute(query, (seq,))


def another_text(db: sqlite3.Connection, seq: int) -> None:
    query = "UPDATE config SET content = x'61' WHERE rowid = (SELECT 1 + ? % 2 FROM config)"
    db.execute(query, (seq,))


def a_text_more(db: sqlite3.Connection, seq: int) -> None:
    text = b"%d" % seq
    db.execute("INSERT INTO config VALUES (?, ?)", (chain.digest(text), text))


def a_text_less(db: sqlite3.Connection, seq: int) -> None:
    db.execute("DELETE FROM config WHERE rowid = (SELECT 1 + ? % 2 FROM config)", (seq,))


CHANGES = (
    other_actions, another_time, another_kind, another_snapshot, another_outcome, a_later_outcome,
    no_outcome, no_event, no_snapshot, another_text, a_text_more, a_text_less,
)  # fmt: skip


class Verified(Life):
    """The random lives of the fold's properties, as written and changed; both ways agree."""

    def teardown(self) -> None:
        self.world.turn_honest()
        events = [event for event, _ in self.world.journal]
        chance = random.Random(len(events))
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            path = Path(folder) / "journal.db"
            write(path, events, 10)
            alone = in_order(path, patch)
            answers = Answers(patch, 10, processes=1)
            assert told(path) == alone
            assert answers.given[0] is not None or len(events) < segments.LONG
            other = Path(folder) / "other.db"
            for change in chance.sample(CHANGES, 3):
                shutil.copy(path, other)
                with closing(sqlite3.connect(other)) as db, db:
                    change(db, chance.randint(1, len(events)))
                assert told(other) == in_order(other, patch), change


TestVerified = pytest.mark.search(Verified.TestCase)
TestVerified.settings = settings(
    max_examples=examples(10),
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

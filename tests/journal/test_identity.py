"""The identity of a journal: the hash of its first event. A copy shares it, a fork has another."""

import sqlite3
from pathlib import Path

import pytest
from emperord.daemon.core.fleet import Fleet, to_json
from emperord.journal import chain
from emperord.journal.errors import JournalPaused
from emperord.journal.store import Head, Journal, Snapshot
from journal_builder import START, building


def row(seq: int, kind: str = "daemon_ready", body: str = "{}") -> chain.Columns:
    return (seq, START + seq, kind, None, None, None, body, "[]")


def fork(seq: int) -> chain.Columns:
    body = '{"identity":"","path":"","device":0,"inode":0}'
    return row(seq, "journal_forked", body)


def head(path: Path) -> Head | None:
    with Journal.open(str(path)) as journal:
        return journal.head


def test_it_is_the_hash_of_the_first_event_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    told: list[Head] = []
    with Journal.open(str(path)) as journal:
        assert journal.head is None
        journal.when_durable = told.append
        journal.append([row(1), row(2)])
        journal.append([row(3)])
        first = journal.hash_of(1)
    assert first is not None
    assert [(each.identity, each.seq) for each in told] == [(first, 2), (first, 3)]
    assert head(path) == told[-1]


def test_a_journal_of_the_first_release_has_one(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal.open(str(path)) as journal:
        journal.append([row(1), row(2)])
        expected = journal.head
    db = sqlite3.connect(path)
    db.execute("DELETE FROM chain WHERE name = 'identity'")
    db.commit()
    db.close()
    assert head(path) == expected


def test_a_fork_has_another_and_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal.open(str(path)) as journal:
        journal.append([row(1)])
        journal.append([row(2), fork(3), row(4)])
        forked = journal.hash_of(3)
        event = journal.identity_event()
    assert event is not None
    assert event.kind == "journal_forked"
    found = head(path)
    assert found is not None
    assert found.identity == forked


def test_a_group_that_is_not_written_changes_nothing(tmp_path: Path) -> None:
    with Journal.open(str(tmp_path / "journal.db")) as journal:
        journal.append([row(1)])
        before, told = journal.head, list[Head]()
        journal.when_durable = told.append
        (tmp_path / "journal.db").rename(tmp_path / "elsewhere.db")
        with pytest.raises(JournalPaused):
            journal.append([fork(2)])
        assert (journal.head, told) == (before, [])


def test_a_new_journal_may_follow_one_that_was_lost(tmp_path: Path) -> None:
    """It is numbered on, keeps the identity, and is read as one whose events were archived."""
    path = tmp_path / "journal.db"
    lost = Head(b"i" * 32, 41, b"h" * 32, START)
    with Journal.open(str(path)) as journal:
        journal.number_on(lost, Snapshot(41, to_json(Fleet(seq=41, at=START))), row(42))
        told = journal.head
        assert told == Head(lost.identity, 42, chain.link(lost.hash, row(42)), START + 42)
        journal.append([row(43)])
        assert journal.hash_of(41) == lost.hash
        assert journal.hash_of(40) is None
        assert journal.hash_of(42) == chain.link(lost.hash, row(42))
    with building(str(path)) as builder:
        builder.start()
        builder.up("a.ini")
        assert builder.attempt("a.ini") > 42
    found = head(path)
    assert found is not None
    assert found.identity == lost.identity

"""The fleet that tests ask for is that of the whole journal, however often they look."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from emperord.daemon.core.fleet import to_json
from journal_builder import Builder, building
from support.journal_reader import JournalReader
from support.tail import Tail


class Looks:
    """Queries of a journal, and how many rows they gave."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows = 0

    def __call__(self, sql: str, seq: int) -> list[Any]:
        with closing(sqlite3.connect(self._path)) as connection:
            found = connection.execute(sql, (seq,)).fetchall()
        self.rows += len(found)
        return found


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[Builder]:
    with building(str(tmp_path / "journal.db")) as made:
        made.start()
        yield made


def test_each_look_folds_only_the_new_events(builder: Builder, tmp_path: Path) -> None:
    tail, looks = Tail(), Looks(tmp_path / "journal.db")
    for number in range(20):
        builder.added(f"v{number}.ini")
        assert to_json(tail.fleet(looks)) == to_json(builder.fleet)
        assert to_json(tail.fleet(looks)) == to_json(builder.fleet)
    # Both events of the start, 20 more, and the last one again at each look but the first.
    assert looks.rows == 2 + 20 + 39


def test_another_journal_in_its_place_is_folded_from_its_start(
    builder: Builder, tmp_path: Path
) -> None:
    builder.added("a.ini")
    tail = Tail()
    tail.fleet(Looks(tmp_path / "journal.db"))
    with building(str(tmp_path / "other.db")) as other:
        other.start()
        other.added("b.ini")
        assert other.seq == builder.seq
        assert to_json(tail.fleet(Looks(tmp_path / "other.db"))) == to_json(other.fleet)
    with building(str(tmp_path / "shorter.db")) as shorter:
        shorter.start()
        assert to_json(tail.fleet(Looks(tmp_path / "shorter.db"))) == to_json(shorter.fleet)


class Reader(JournalReader):
    """Reads the journal at a path."""

    def __init__(self, path: Path) -> None:
        self.journal = path
        self._tail = Tail()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    made = Reader(tmp_path / "journal.db")
    yield made
    made.let_go()


def test_each_commit_is_seen_at_once(builder: Builder, reader: Reader) -> None:
    for number in range(50):
        builder.added(f"v{number}.ini")
        if number % 10 == 0:
            with closing(sqlite3.connect(reader.journal)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for _ in range(2):
            assert reader.last_seq() == builder.seq


def test_no_look_ends_a_lock_of_the_test(builder: Builder, reader: Reader) -> None:
    begin = (
        f"import sqlite3; sqlite3.connect({str(reader.journal)!r}, 0).execute('BEGIN IMMEDIATE')"
    )
    with closing(sqlite3.connect(reader.journal, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            assert reader.last_seq() == builder.seq
        done = subprocess.run([sys.executable, "-c", begin], capture_output=True, check=False)
        assert b"database is locked" in done.stderr

"""A log that is folded in while nothing is appended: the next daemon has less to read."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from emperord.daemon.core.fleet import to_json
from emperord.daemon.loop import recorder
from emperord.journal import log_folding, wal
from emperord.journal.store import Journal, Snapshot
from emperord.replay.verify import verify
from journal_builder import Builder, building
from support.steered import Source, inline, steered

FEW = 3  # pages that a log may have that was begun anew


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[Builder]:
    """With 100 vassals, all of them in the log."""
    with building(str(tmp_path / "journal.db")) as made:
        made.start()
        for number in range(100):
            made.added(f"{number}.ini")
        made.flush()
        yield made


def log_of(journal: Journal) -> Path:
    return Path(f"{journal.path}-wal")


def is_worthwhile(journal: Journal) -> bool:
    return journal.log.is_worthwhile


def committed(journal: Journal) -> int:
    """The pages in the log that a next daemon has to check."""
    with log_of(journal).open("rb") as log:
        return wal.walk(log).committed


def snapshots(journal: Journal) -> list[int]:
    with closing(sqlite3.connect(journal.path)) as db:
        return [seq for (seq,) in db.execute("SELECT seq FROM snapshot ORDER BY seq")]


def test_all_events_are_in_the_journal_then_and_the_log_keeps_its_size(
    tmp_path: Path, builder: Builder
) -> None:
    journal = builder.journal
    assert is_worthwhile(journal)
    size, before = os.path.getsize(log_of(journal)), committed(journal)
    journal.log.fold(None)
    assert not is_worthwhile(journal)
    assert (os.path.getsize(log_of(journal)), committed(journal) <= FEW < before) == (size, True)
    shutil.copy(journal.path, tmp_path / "alone.db")
    with Journal.open(str(tmp_path / "alone.db")) as alone:
        assert alone.head == journal.head
    assert journal.is_whole()
    builder.added("later.ini")
    builder.flush()
    assert verify(journal.path).exit_code == 0


def test_a_snapshot_of_the_last_event_is_stored_with_it(builder: Builder) -> None:
    journal = builder.journal
    earlier = Snapshot(builder.fleet.seq, to_json(builder.fleet))
    builder.added("later.ini")
    builder.flush()
    journal.log.fold(earlier)
    assert snapshots(journal) == []
    journal.log.fold(Snapshot(builder.fleet.seq, to_json(builder.fleet)))
    assert snapshots(journal) == [journal.seq]
    assert committed(journal) <= FEW
    assert verify(journal.path).exit_code == 0


def test_a_reader_keeps_what_it_reads_and_is_not_waited_for(builder: Builder) -> None:
    journal, count = builder.journal, "SELECT count(*) FROM event"
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        (seen,) = reader.execute(count).fetchone()
        builder.added("later.ini")
        builder.flush()
        journal.log.fold(None)
        assert reader.execute(count).fetchone() == (seen,)
        reader.execute("COMMIT")
        assert reader.execute(count).fetchone() == (seen + 1,)


async def test_a_daemon_at_rest_does_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_folding, "_MANY", 1)
    monkeypatch.setattr(recorder, "_TAIL", 0)
    source = Source()
    async with steered(tmp_path, source, uwsgi="/bin/true") as daemon:
        await source.lists(a=inline("exec\n", 1))
        await daemon.until(lambda: snapshots(daemon.journal), "there is a snapshot")
        await daemon.until(lambda: committed(daemon.journal) <= FEW, "the log is folded in")
    assert verify(str(tmp_path / "journal.db")).exit_code == 0

"""A journal that is open for writing lets go of older events, and its file becomes smaller."""

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from emperord.daemon.core.fleet import to_json
from emperord.journal.errors import JournalPaused
from emperord.journal.rows import Snapshot
from emperord.journal.store import Journal
from emperord.journal.writing import snapshot_row
from emperord.replay.verify import verify
from journal_builder import Builder, building, busy_fleet

EVENTS = 3_000
PAGES = 50


def cut(builder: Builder) -> None:
    """Write some events, and take them out of the journal again."""
    busy_fleet(builder, EVENTS, 4)
    builder.flush()
    journal = builder.journal
    hash_ = journal.hash_of(builder.seq)
    assert hash_ is not None
    journal.cuts.step(snapshot_row(Snapshot(builder.seq, to_json(builder.fleet)), hash_))
    assert journal.cuts.begin.seq == builder.seq


def go_on(builder: Builder, events: int = 20) -> None:
    for number in range(events):
        builder.changed("app001.ini", f"[uwsgi]\nnumber = {number}\n".encode())
    builder.flush()


def test_the_file_becomes_smaller_and_the_journal_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with building(str(path), group=50) as builder:
        cut(builder)
        before = path.stat().st_size
        while builder.journal.cuts.shrink(PAGES):
            go_on(builder, 2)
        assert builder.journal.cuts.fold_in()
        assert path.stat().st_size < 0.7 * before
        assert builder.journal.is_whole()
        go_on(builder)
    verdict = verify(str(path))
    assert verdict.exit_code == 0, verdict.audit.findings


def test_a_reader_delays_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with building(str(path), group=50) as builder:
        cut(builder)
        before = path.stat().st_size
        cuts = builder.journal.cuts
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM event").fetchall()
            while cuts.shrink(PAGES):
                pass
            assert not cuts.fold_in()
            assert path.stat().st_size >= before
            reader.execute("COMMIT")
            assert cuts.fold_in()
        assert path.stat().st_size < 0.7 * before


def test_a_file_that_another_program_cuts_is_still_noticed(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with building(str(path), group=50) as builder:
        cut(builder)
        while builder.journal.cuts.shrink(PAGES):
            pass
        assert builder.journal.cuts.fold_in()
        kept = path.read_bytes()
        os.truncate(path, path.stat().st_size - 4096)
        with pytest.raises(JournalPaused, match="the file was cut"):
            builder.journal.append([])
        path.write_bytes(kept)


def test_a_kill_before_the_log_is_folded_in_is_gone_on_from(tmp_path: Path) -> None:
    path, killed = tmp_path / "journal.db", tmp_path / "killed.db"
    with building(str(path), group=50) as builder:
        cut(builder)
        builder.journal.cuts.shrink(PAGES)
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{killed}{suffix}")
    before = killed.stat().st_size
    with Journal.open(str(killed)) as journal:
        while journal.cuts.shrink(PAGES):
            pass
        assert journal.cuts.fold_in()
        assert journal.is_whole()
        journal.append([])
    assert killed.stat().st_size < before
    assert verify(str(killed)).exit_code == 0

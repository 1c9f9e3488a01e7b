"""The room that a journal takes: docs/journal.md says how many bytes an event has."""

import sqlite3
from contextlib import closing
from pathlib import Path

from journal_builder import building, busy_fleet

EVENTS = 20_000


def test_an_event_takes_less_than_300_bytes(tmp_path: Path) -> None:
    """Of a busy fleet, with its deploys, texts, snapshots and all indexes."""
    path = tmp_path / "journal.db"
    with building(str(path), group=1000) as builder:
        busy_fleet(builder, EVENTS)
        events = builder.seq
    with closing(sqlite3.connect(path)) as db:
        (texts,) = db.execute("SELECT sum(length(content)) FROM config").fetchone()
    assert (path.stat().st_size - texts) / events < 300

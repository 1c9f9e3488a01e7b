"""Opening a journal while its daemon ends: SQLite removes the log and its index then."""

import os
from pathlib import Path

from emperord.journal.files import Files
from emperord.journal.store import Journal
from journal_builder import building, busy_fleet


def test_a_daemon_that_ends_between_the_look_and_the_opening(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        busy_fleet(builder, 5, 1)
        last = builder.seq
    with Journal.open(path):
        files = Files(path)
        assert files.access == "shared"
    assert not os.path.exists(path + "-shm")
    with files.connection() as connection:
        assert connection.execute("SELECT max(seq) FROM event").fetchone() == (last,)

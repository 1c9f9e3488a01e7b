"""A journal whose last event is no ``daemon_stopped`` may go on elsewhere; commands say so."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from emperord.journal.store import Journal
from emperord.replay.open_end import OPEN_END
from journal_builder import Builder, building
from support.replaying import asking

CHECKPOINT = """
import sqlite3, sys
busy, _, _ = sqlite3.connect(sys.argv[1]).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
sys.exit(busy)
"""
COMMANDS = [
    ["verify"],
    ["state"],
    ["events"],
    ["history"],
    ["why", "a.ini"],
    ["show", "a.ini"],
]

run = asking()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_copy_without_its_log(tmp_path: Path, command: list[str]) -> None:
    """SQLite takes the file alone for whole: its last checkpoint is, and the rest is not missed."""
    path, copy = tmp_path / "journal.db", tmp_path / "copy.db"
    with Journal.open(str(path)) as journal:
        builder = Builder(journal)
        builder.start()
        builder.up("a.ini")
        # In another process: closing a file here would drop the locks of this one.
        argv = [sys.executable, "-c", CHECKPOINT, str(path)]
        subprocess.run(argv, check=True)
        builder.removed("a.ini")
        shutil.copy(path, copy)
        # The daemon that has it is known to run.
        assert OPEN_END not in run(path, *command).stderr
        builder.event("daemon_stopped")
    result = run(copy, *command)
    assert result.exit_code == 0
    assert result.stderr.count(OPEN_END) == 1
    assert OPEN_END not in run(path, *command).stderr


def test_after_a_kill_it_is_said_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with building(str(path)) as builder:
        builder.start()
        builder.up("a.ini")
    result = run(path, "verify")
    assert (result.exit_code, result.stderr) == (0, f"emperor-replay: {path}: {OPEN_END}\n")


def test_an_empty_journal_has_no_end(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    Journal.open(str(path)).close()
    assert OPEN_END not in run(path, "verify").stderr

"""Journals that are cut by ``emperor-replay archive``, and what they hold."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from click.testing import CliRunner, Result
from emperord.replay.main import cli
from journal_builder import building, busy_fleet

from support.replaying import asking

CHAOS: Final = Path(__file__).parent.parent / "recorded" / "0.1.0" / "chaos.db.xz"
NEWEST: Final = sorted((Path(__file__).parent.parent / "recorded" / "shapes").glob("*.db.xz"))[-1]
EVENTS: Final = 400
ask = asking()
archive = asking("archive")


def write(path: Path, events: int = EVENTS) -> Path:
    with building(str(path), group=20, snapshot_every=50) as builder:
        busy_fleet(builder, events // 4, 4)
        builder.changed("app001.ini", b"[uwsgi]\nold = 1\n")
        builder.accepting("app001.ini")
        busy_fleet(builder, events // 2, 4)
        builder.checkpoint()
        busy_fleet(builder, events, 4)
        builder.changed("app001.ini", b"[uwsgi]\nnew = 1\n")
        builder.accepting("app001.ini")
        builder.checkpoint()
        builder.event("daemon_stopping", reason="SIGTERM")
        builder.event("daemon_stopped")
    return path


def at(path: Path, seq: int, file: Path) -> Result:
    return archive(path, "--before", f"@{seq + 1}", "-o", str(file))


def cut(path: Path, seq: int, file: Path) -> None:
    """Archive up to an event."""
    result = at(path, seq, file)
    assert (result.exit_code, result.stderr) == (0, "")


def joined(*paths: Path, command: str) -> Result:
    named = [each for path in paths for each in ("--journal", str(path))]
    return CliRunner().invoke(cli, [*named, *command.split()])


def sql(path: Path, query: str, *parameters: Any) -> list[Any]:
    with closing(sqlite3.connect(path)) as db, db:
        return db.execute(query, parameters).fetchall()


def content(path: Path) -> dict[str, list[Any]]:
    """All that a journal holds."""
    tables = ("event", "config", "snapshot", "chain", "deploy")
    return {table: sql(path, f"SELECT * FROM {table}") for table in tables}


def check_nothing_is_lost(journal: Path, file: Path, kept: dict[str, list[Any]]) -> None:
    """Archive again, after a run that may have ended anywhere."""
    if not file.exists() or len(content(journal)["event"]) == len(kept["event"]):
        assert content(journal) == kept
        cut(journal, 200, file)
    assert not file.with_name("old.db.unfinished").exists()
    old, new = content(file), content(journal)
    assert old["event"] + new["event"][:-1] == kept["event"]
    assert {**dict(old["config"]), **dict(new["config"])} == dict(kept["config"])
    assert joined(file, journal, command="verify").exit_code == 0

"""A journal in the hands of others: sqlite-utils, Datasette, and the commands of the docs."""

import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from emperord.journal import migrations
from emperord.journal.store import Journal
from emperord.journal.times import EventNumber
from emperord.replay import archiving
from emperord.replay.main import cli
from emperord.replay.open_end import OPEN_END
from journal_builder import MONITOR, building, busy_fleet

BIN = Path(sys.executable).parent
PAGE = (Path(__file__).parents[2] / "docs" / "journal.md").read_text()


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()  # 1, 2
        builder.up("a.ini", b"one\n", pid=41)  # 3, 4, 5
        builder.added("b.ini", bar="not yours")  # 6
        builder.exited("a.ini", after=86_400, signal=9)  # 7
        builder.operator("stop", "a.ini")  # 8
        builder.event("monitor_failed", monitor=MONITOR, reason="refused")  # 9
    return path


def query(path: str, sql: str, how: str = "mode=ro") -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{path}?{how}", uri=True)) as db:
        return db.execute(sql).fetchall()


def objects(path: str, how: str = "mode=ro") -> set[object]:
    sql = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
    return {name for (name,) in query(path, sql, how)}


ALL = {
    *("event", "config", "snapshot", "chain", "deploy"),
    *("deploys", "events", "_sqlite_migrations"),
}


# The schema


def test_the_schema_of_a_young_journal_is_in_the_file_itself(tmp_path: Path) -> None:
    """As ``datasette inspect`` and ``datasette -i`` read it: without the write-ahead log."""
    path = str(tmp_path / "journal.db")
    with Journal.open(path):
        assert objects(path, "mode=ro&immutable=1") == ALL


def migrate(*arguments: str | Path) -> str:
    return subprocess.run(
        [BIN / "sqlite-utils", "migrate", *arguments], capture_output=True, text=True, check=True,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    ).stdout  # fmt: skip


def listed(said: str) -> tuple[list[str], list[str]]:
    """The names of migrations that are applied, and of those that are not."""
    applied, pending = said.split("Pending:")
    names = r"^ +(\d{4}_\w+)"
    return re.findall(names, applied, re.MULTILINE), re.findall(names, pending, re.MULTILINE)


def test_sqlite_utils_lists_the_migrations_of_the_installed_file(path: str, tmp_path: Path) -> None:
    # It needs nothing of ours besides: sqlite-utils may be installed elsewhere.
    alone = tmp_path / "migrations.py"
    alone.write_text(Path(migrations.__file__).read_text())
    for file in (Path(migrations.__file__), alone, tmp_path):
        assert listed(migrate(path, file, "--list")) == (list(migrations.NAMES), [])
    none = listed(migrate(tmp_path / "new.db", migrations.__file__, "--list"))
    assert none == ([], list(migrations.NAMES))


def older(path: str) -> None:
    """Make a journal what 0.1.0 left."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for made in ("VIEW deploys", "VIEW events", "TABLE deploy"):
            db.execute(f"DROP {made}")
        for statement in migrations.statements("0002_deploys"):
            db.execute(statement)
        db.execute("DELETE FROM _sqlite_migrations WHERE name > '0002_deploys'")


@pytest.mark.parametrize("command", ["state", "history", "events", "verify", "why a.ini"])
def test_an_older_journal_is_read_as_it_is(path: str, command: str) -> None:
    new = CliRunner().invoke(cli, ["--journal", path, *command.split()])
    older(path)
    before = Path(path).read_bytes()
    old = CliRunner().invoke(cli, ["--journal", path, *command.split()])
    assert (old.exit_code, old.output) == (0, new.output)
    assert Path(path).read_bytes() == before


def test_an_older_journal_gets_new_views_and_keeps_its_chain(path: str) -> None:
    older(path)
    head = query(path, "SELECT * FROM chain")
    assert "events" not in objects(path)
    with Journal.open(path):
        assert objects(path, "mode=ro&immutable=1") == ALL
    assert query(path, "SELECT * FROM chain") == head
    assert listed(migrate(path, migrations.__file__, "--list")) == (list(migrations.NAMES), [])
    verified = CliRunner().invoke(cli, ["--journal", path, "verify"])
    assert verified.exit_code == 0, verified.output


# The view events


def test_events_for_people(path: str) -> None:
    rows = query(path, "SELECT seq, day, kind, vassal, reason, attempt, pid, signal FROM events")
    first, second = "2026-11-24", "2026-11-25"
    assert rows[2:] == [
        (3, first, "vassal_added", "a.ini", None, None, None, None),
        (4, first, "spawned", "a.ini", None, 3, 41, None),
        (5, first, "vassal_accepting", "a.ini", None, 3, None, None),
        (6, first, "vassal_added", "b.ini", "not yours", None, None, None),
        (7, second, "exited", "a.ini", None, 3, None, 9),
        (8, second, "operator_requested", "a.ini", None, None, None, None),
        (9, second, "monitor_failed", None, "refused", None, None, None),
    ]
    assert query(path, "SELECT at, orders FROM events WHERE seq = 3") == [
        ("2026-11-24T06:00:03.000000000Z", "spawn")
    ]
    assert query(path, "SELECT request, by FROM events WHERE seq = 8") == [("stop", 1000)]
    (text,) = query(path, "SELECT body FROM events WHERE seq = 7")[0]
    assert json.loads(str(text)) == {"attempt": 3, "signal": 9}


def test_orders_about_others_name_them(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start(max_starting=1)
        builder.added("a.ini")
        builder.added("b.ini")
        builder.accepting("a.ini")
    assert query(path, "SELECT orders FROM events WHERE orders IS NOT NULL") == [
        ("spawn",), ("spawn b.ini",)
    ]  # fmt: skip


def test_days_can_be_counted(path: str) -> None:
    assert query(path, "SELECT day, count(*) FROM events GROUP BY day") == [
        ("2026-11-24", 6),
        ("2026-11-25", 3),
    ]


def test_a_damaged_row_hides_no_other(path: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE event SET body = '{', actions = 'x' WHERE seq = 4")
    rows = query(path, "SELECT seq, pid, orders, body FROM events")
    assert [row[0] for row in rows] == list(range(1, 10))
    assert rows[3] == (4, None, None, None)


# The commands of the docs


def commands() -> Iterator[str]:
    """The commands of the page's shell blocks, each with its lines and pipes."""
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        command = ""
        for line in block.splitlines(keepends=True):
            command += "" if line.startswith("#") else line
            quotes = command.count('"') % 2 or command.replace('"', "").count("'") % 2
            if command.strip() and not quotes and not line.endswith("\\\n"):
                yield command.strip()
                command = ""


# They run on, or ask for what another program has recorded.
OTHERS = ("datasette", "journalctl")
TOO_SHORT = "only a journal of 50,000 events and more"  # for verify --since-verified
DOCUMENTED = [each for each in commands() if not each.startswith(OTHERS)]


@pytest.mark.parametrize("command", DOCUMENTED, ids=lambda each: re.sub(r"\W+", " ", each)[:40])
def test_a_command_of_the_page_says_something(tmp_path: Path, command: str) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        busy_fleet(builder, 200, 3)
    told = command.replace("/var/lib/emperord/journal.db", path)
    told = told.replace("copy.db", path).replace("/srv/audit", str(tmp_path))
    archive = str(tmp_path / "old.db")
    told = told.replace("/srv/archive/2026-08.db", archive)
    if archive in told and " archive " not in told:
        archiving.archive(path, EventNumber(100), archive, lambda *_: None)
    told = told.replace(".venv/lib/python3*/site-packages/emperord/journal/migrations.py",
                        migrations.__file__)  # fmt: skip
    if told.startswith("sqlite3 "):  # in Python's own, as that program may not be there
        _, uri, sql = shlex.split(told)
        with closing(sqlite3.connect(uri, uri=True)) as db:
            assert db.execute(sql.replace("'now'", "'2026-11-25'")).fetchall()
        return
    environ = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "EMPEROR_JOURNAL": path}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", told], capture_output=True, text=True, check=False,
        cwd=tmp_path, env=environ,
    )  # fmt: skip
    said = done.stderr.splitlines()
    complaints = [line for line in said if OPEN_END not in line and TOO_SHORT not in line]
    assert (done.returncode, complaints) == (0, [])
    made = [each for each in (tmp_path / "deploys.db", tmp_path / "fleet.csv") if each.exists()]
    assert done.stdout or made

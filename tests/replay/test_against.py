"""``verify --against COPY.db``: what an altered event or text said before."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from journal_builder import Builder, building
from support.replaying import asking

run = asking("verify")


def ended(builder: Builder) -> None:
    builder.event("daemon_stopping", reason="SIGTERM")
    builder.event("daemon_stopped")


def made(path: Path, release: str, code: int = 0, more: int = 0) -> str:
    """A journal whose chain is whole, whatever it says."""
    with building(str(path)) as builder:
        builder.start()
        builder.up("a.ini", b"[uwsgi]\nrelease = 1\n")  # 3 to 5
        builder.changed("a.ini", f"[uwsgi]\nrelease = {release}\n".encode())  # 6
        builder.operator("stop", "a.ini")  # 7
        builder.exited("a.ini", code=code)  # 8
        for _ in range(more):
            builder.added("b.ini")
            builder.removed("b.ini")
        ended(builder)
    return str(path)


@pytest.fixture
def copy(tmp_path: Path) -> str:
    return made(tmp_path / "copy.db", "2")


def test_copies_that_are_the_same(tmp_path: Path, copy: str) -> None:
    result = run(made(tmp_path / "journal.db", "2"), "--against", copy)
    assert result.exit_code == 0
    assert f"against {copy}: events 1 to 10 and all texts are the same\n" in result.stdout


def test_a_text_that_was_changed_with_its_digest_and_the_chain(tmp_path: Path, copy: str) -> None:
    journal = made(tmp_path / "journal.db", "3")
    assert run(journal).exit_code == 0
    result = run(journal, "--against", copy)
    assert result.exit_code == 3
    lines = result.stdout.splitlines()
    assert f"against {copy}: event 6 differs" in lines
    assert {"    -release = 2", "    +release = 3"} <= set(lines)
    told = json.loads(run(journal, "--against", copy, "--json").stdout)["against"]
    assert (told["count"], told["differences"][0]["seq"]) == (1, 6)
    assert "-release = 2" in told["differences"][0]["diff"]


def test_a_body_that_was_changed_with_the_chain(tmp_path: Path, copy: str) -> None:
    result = run(made(tmp_path / "journal.db", "2", code=7), "--against", copy)
    assert result.exit_code == 3
    assert "event 8 differs\n  copy: 8 " in result.stdout
    assert "exit code 0" in result.stdout.partition("  here: ")[0]
    assert "exit code 7" in result.stdout.partition("  here: ")[2]


def test_a_text_under_its_old_digest_and_a_missing_event(tmp_path: Path, copy: str) -> None:
    journal = str(tmp_path / "journal.db")
    shutil.copy(copy, journal)
    with closing(sqlite3.connect(journal, isolation_level=None)) as db:
        db.execute(
            "UPDATE config SET content = 'evil' WHERE CAST(content AS TEXT) LIKE '%release = 2%'"
        )
        db.execute("DELETE FROM event WHERE seq = 7")
    result = run(journal, "--against", copy)
    assert result.exit_code == 3
    assert "event 7 differs\n  copy: 7 " in result.stdout
    assert "  here: not there\n" in result.stdout
    assert "has another text\n" in result.stdout
    assert {"    -release = 2", "    +evil"} <= set(result.stdout.splitlines())


def test_an_older_copy_ends_earlier(tmp_path: Path) -> None:
    older, journal = str(tmp_path / "older.db"), str(tmp_path / "journal.db")
    made(Path(older), "2")
    shutil.copy(older, journal)
    with building(journal) as builder:
        builder.start()
        ended(builder)
    result = run(journal, "--against", older)
    assert result.exit_code == 0
    assert "  this journal has 4 events behind these\n" in result.stdout


def test_a_copy_that_is_no_journal(tmp_path: Path, copy: str) -> None:
    (tmp_path / "text").write_text("nothing")
    result = run(copy, "--against", str(tmp_path / "text"))
    assert (result.exit_code, result.stdout) == (3, "")

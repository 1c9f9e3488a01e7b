"""docs/journal.md says what is true: its schema, its program, its vectors."""

import json
import re
import sqlite3
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from emperord.journal import migrations
from journal_builder import building, busy_fleet

PAGE = (Path(__file__).parents[2] / "docs" / "journal.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_the_schema_is_the_one_that_is_made() -> None:
    assert block("sql").split() == migrations._RECORD.split()


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        busy_fleet(builder, 60, 3)
    return path


def check(path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore::ResourceWarning", "-c", block("python"), path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_program_checks_a_journal(path: str) -> None:
    checked = check(path)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert re.fullmatch(r"6\d events, head [0-9a-f]{64}\n", checked.stdout)


def test_the_program_finds_a_changed_row(path: str) -> None:

    db = sqlite3.connect(path, isolation_level=None)
    db.execute("UPDATE event SET at = at + 1 WHERE seq = 17")
    db.close()
    checked = check(path)
    assert checked.returncode == 1
    assert "event 17 is not what was written" in checked.stderr


def test_the_vectors() -> None:
    previous = bytes(32)
    for pair in block("text").strip().split("\n\n"):
        text, expected = pair.split("\n")
        previous = sha256(previous + text.encode()).digest()
        assert previous.hex() == expected
        assert len(json.loads(text)) == 8

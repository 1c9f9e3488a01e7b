"""``verify --json``: the verdict for programs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from journal_builder import building
from support.incidents import known
from support.replaying import asking
from support.rewriting import rewrite, run_sql

verify = asking("verify", "--json")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    with building(str(path)) as builder:
        builder.start()  # 1, 2
        builder.up("a.ini")  # 3, 4, 5
        builder.event("daemon_stopped")  # 6
    return path


def told(path: Path, code: int) -> dict[str, Any]:
    result = verify(path)
    assert result.exit_code == code, result.output
    one: dict[str, Any] = json.loads(result.stdout)
    assert one["exit_code"] == code
    return one


def test_verified(path: Path) -> None:
    one = told(path, 0)
    found = [one[key] for key in ("verdict", "events", "intact_to", "findings", "diverged")]
    assert found == ["verified", 6, 6, [], None]
    assert (one["head"]["seq"], len(one["head"]["hash"])) == (6, 64)


def test_damaged(path: Path) -> None:
    run_sql(path, "UPDATE event SET at = at + 1 WHERE seq = 4")
    one = told(path, 3)
    assert (one["verdict"], one["intact_to"], one["findings_count"]) == ("damaged", 3, 1)
    assert one["findings"][0]["seq"] == 4
    assert one["saved"].startswith("events up to 3 are intact")


def test_diverged(path: Path) -> None:
    rewrite(path, "UPDATE event SET actions = replace(actions, 'spawn', 'reload') WHERE seq = 3")
    one = told(path, 1)
    diverged = one["diverged"]
    assert (one["verdict"], diverged["seq"], diverged["vassal"]) == ("diverged", 3, "a.ini")
    assert [diverged[key][0]["do"] for key in ("recorded", "computed")] == ["reload", "spawn"]


def test_rewritten(incident: Callable[[str], str]) -> None:
    journal = Path(incident("edited"))
    witness = journal.parents[1] / "witness"
    one = json.loads(verify(journal.with_name("body.db"), "--witness", str(witness)).stdout)
    assert (one["verdict"], one["witnessed_to"] < one["intact_to"]) == ("damaged", True)
    assert known(str(journal.with_name("whole.db")), "verify")["verdict"] == "verified"

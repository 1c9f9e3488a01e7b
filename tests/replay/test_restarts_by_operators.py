"""Requests that came with many names: a restart is a cause of its own, a reopen is none."""

import json
from pathlib import Path

import pytest
from journal_builder import building
from support.replaying import asking

WHY, UNDO = asking("why"), asking("undo")


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("a.ini")  # 3, 4, 5
        builder.event("operator_requested", request="reopen", uid=0)  # 6
        builder.event("operator_requested", "a.ini", request="restart", uid=0, reason="leaks")  # 7
        builder.event("daemon_stopping", reason="SIGTERM")
        builder.event("daemon_stopped")
    return path


def test_why_has_the_restart_and_not_the_reopening(path: str) -> None:
    text = WHY(path, "a.ini").stdout
    assert "restart by uid 0" in text
    assert "leaks" in text
    assert "reopen" not in text
    json.loads(WHY(path, "a.ini", "--json").stdout)


@pytest.mark.parametrize(("seq", "request_"), [("6", "reopen"), ("7", "restart")])
def test_there_is_nothing_to_undo(path: str, seq: str, request_: str) -> None:
    result = UNDO(path, seq)
    assert result.exit_code == 1
    assert f"event {seq} ({request_}) left nothing to bring back" in result.stderr

"""A vassal that is stopped because another one of its rollout made room."""

import json
from pathlib import Path

import pytest
from journal_builder import building
from support.replaying import asking

ask = asking()


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as b:
        b.start(rollout="1", rollout_failures=3)
        for name in ("a.ini", "b.ini"):
            b.added(name, b"one", settings={"command": "one"})  # 3, 5
            b.spawned(name)
        for name in ("a.ini", "b.ini"):
            b.changed(name, b"two", settings={"command": "two"})  # 7, 8
        b.exited("a.ini", signal=15)
        b.spawned("a.ini")
        b.exited("a.ini", code=1)  # 11: the next one may change
        b.exited("b.ini", signal=15)  # 12
        b.event("operator_requested", request="rollout_abort", uid=0)
        b.event("daemon_stopping", reason="SIGTERM")
        for name in ("a.ini", "b.ini"):
            if b.fleet.vassals[name].attempt is not None:
                b.exited(name, signal=15)
        b.event("daemon_stopped")
    return path


def test_its_turn_came(path: str) -> None:
    assert "as ordered: its turn came (event 11)" in ask(path, "events", "b.ini").stdout


def test_the_end_of_a_rollout_repairs_nothing(path: str) -> None:
    told = json.loads(ask(path, "why", "a.ini", "--json").stdout)
    assert told["break"]["repairs"] == []

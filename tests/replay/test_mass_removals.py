"""A source that loses most of its vassals, and gives them back, is an outage of the fleet."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from journal_builder import MONITOR, Builder, building
from support.replaying import asking

OTHER = "dir:///srv/other"
MINUTE = 60
ask = asking("report")


def lost(b: Builder, vassals: int = 8, removed: int = 6, away: float = 5 * MINUTE, back: int = 6,
         apart: float = 0.01) -> None:  # fmt: skip
    """A source loses some of its vassals one after the other, and gives some of them back."""
    b.start(monitors=(MONITOR, OTHER))
    b.added("other.ini", monitor=OTHER)
    names = [f"app-{number}.ini" for number in range(vassals)]
    for name in names:
        b.up(name)
    for name in names[:removed]:
        b.at += int(apart * 10**9) - 10**9
        b.removed(name, reason="no longer listed")
    for name in names[:removed]:
        b.exited(name, signal=15)
    b.at += int(away * 10**9)
    for name in names[:back]:
        b.at += 10**7 - 10**9
        b.added(name)
    b.event("daemon_stopping", reason="SIGTERM")
    b.event("daemon_stopped")


def known(path: str, *words: str) -> Any:
    result = ask(path, *words, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        lost(builder)
    return path


def test_it_is_named(path: str) -> None:
    (one,) = known(path)["fleet_outages"]
    assert (one["monitor"], one["vassals"], one["removed"], one["back"]) == (MONITOR, 8, 6, 6)
    assert (one["seq"], one["last_seq"], one["until_seq"]) == (28, 33, 45)
    assert 5 * MINUTE < one["seconds"] < 5 * MINUTE + 10
    assert one["away_s"] == pytest.approx(6 * one["seconds"], rel=0.01)
    text = ask(path).stdout
    assert "outage of the fleet: dir:vassals lost 6 of its 8 vassals at 2026-11-24 06:00" in text
    assert "(events 28-33); all were back after 5m06s (event 45)" in text


def test_its_vassals_were_not_down(path: str) -> None:
    told = known(path, "--monitor", MONITOR)
    assert told["fleet"]["outages"] == 0
    for one in told["vassals"]:
        assert one["down_s"] < MINUTE, one


@pytest.mark.parametrize(
    ("case", "count"),
    [
        pytest.param({"back": 4}, 1, id="most came back"),
        pytest.param({"back": 3}, 0, id="half came back"),
        pytest.param({"back": 0}, 0, id="none came back"),
        pytest.param({"away": 61 * MINUTE}, 0, id="after an hour"),
        pytest.param({"vassals": 12}, 0, id="half of its vassals"),
        pytest.param({"vassals": 11}, 1, id="more than half"),
        pytest.param({"vassals": 4, "removed": 4, "back": 4}, 0, id="fewer than five"),
        pytest.param({"vassals": 5, "removed": 5, "back": 5}, 1, id="five"),
        pytest.param({"apart": 2}, 0, id="one by one"),
    ],
)
def test_which_are(tmp_path: Path, case: dict[str, Any], count: int) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        lost(builder, **case)
    assert len(known(path)["fleet_outages"]) == count


@pytest.mark.parametrize(
    ("after", "says"),
    [
        pytest.param(0, "2 were not within 5m08s, where the record ends", id="the record ends"),
        pytest.param(61 * MINUTE, "2 were not within an hour", id="an hour has passed"),
    ],
)
def test_those_that_are_not_back(tmp_path: Path, after: float, says: str) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        lost(builder, back=4)
        builder.event("pressure_observed", after=after, cpu=1)
    assert f"4 of them were back after 5m06s (event 43), {says}\n" in ask(path).stdout


@pytest.mark.parametrize(
    ("words", "count"),
    [
        pytest.param(("app-1.ini",), 1, id="of it"),
        pytest.param(("app-7.ini",), 0, id="stayed"),
        pytest.param(("--monitor", OTHER), 0, id="another source"),
        pytest.param(("--monitor", MONITOR), 1, id="its source"),
        pytest.param(("--since", "@34"), 0, id="before the period"),
        pytest.param(("--until", "@40"), 1, id="back after the period"),
        pytest.param(("--full",), 1, id="full"),
    ],
)
def test_it_is_told_where_it_was_asked_for(path: str, words: tuple[str, ...], count: int) -> None:
    assert len(known(path, *words)["fleet_outages"]) == count


def test_without_stored_deploys(path: str) -> None:
    told = known(path)["fleet_outages"]
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DROP TABLE deploy")
    assert known(path)["fleet_outages"] == told

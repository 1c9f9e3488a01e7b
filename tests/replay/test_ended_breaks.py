"""A removal and a success end a break, and ``report`` and ``incident`` agree on that."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from journal_builder import MONITOR, OTHER, Builder, building
from support.replaying import asking

JOB = {"command": "job", "restart": "on-failure"}
HOUR = 3600


def loops(b: Builder, times: int = 3) -> None:
    """It dies again and again, and waits for its next start at last."""
    for number in range(times):
        b.spawned("a.ini")
        b.exited("a.ini", code=1)
        if number < times - 1:
            b.at = b.fleet.vassals["a.ini"].deadline or b.at
            b.event("deadline_passed", "a.ini", after=0, deadline=b.at)


def healthy_comes_back_bad(b: Builder) -> None:
    b.up("a.ini", b"good\n")  # 3, 4, 5
    b.removed("a.ini")  # 6
    b.exited("a.ini", code=0)
    b.event("pressure_observed", after=HOUR, cpu=1)
    b.added("a.ini", b"bad\n")  # 9
    loops(b)


def done_and_changed(b: Builder) -> None:
    b.added("a.ini", b"good\n", settings=JOB)  # 3
    b.spawned("a.ini")
    b.exited("a.ini", code=0, after=9)
    b.event("pressure_observed", after=HOUR, cpu=1)
    b.changed("a.ini", b"bad\n", settings=JOB)  # 7
    loops(b)


def done_at_once_and_changed(b: Builder) -> None:
    b.added("a.ini", b"good\n", settings=JOB)  # 3
    b.of_attempt("spawned", "a.ini", after=0, pid=1, start_time=1)
    b.exited("a.ini", code=0, after=0.1)
    b.event("pressure_observed", after=HOUR, cpu=1)
    b.changed("a.ini", b"bad\n", settings=JOB)  # 7
    loops(b)


def loops_twice(b: Builder) -> None:
    b.added("a.ini", b"bad\n")  # 3
    loops(b, 2)
    b.removed("a.ini")  # 9
    b.event("pressure_observed", after=HOUR, cpu=1)
    b.added("a.ini", b"worse\n")  # 11
    loops(b)


@pytest.mark.parametrize(
    ("story", "broken_by", "outages"),
    [
        pytest.param(healthy_comes_back_bad, 9, 1, id="a healthy one comes back bad"),
        pytest.param(done_and_changed, 7, 1, id="a job is done and changed"),
        pytest.param(done_at_once_and_changed, 7, 1, id="a job is done within the throttle"),
        pytest.param(loops_twice, 11, 2, id="a bad one comes back as another"),
    ],
)
def test_down_since_and_the_deploy_to_blame(
    tmp_path: Path, story: Callable[[Builder], None], broken_by: int, outages: int
) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        story(builder)
    found = json.loads(asking("incident")(path, "a.ini", "--json").stdout)["break"]
    (vassal,) = json.loads(asking("report")(path, "--json").stdout)["vassals"]
    assert found["broken_by"]["seq"] == broken_by
    assert found["until"] is None
    assert (vassal["outages"], vassal["down_now"]) == (outages, 1)
    assert found["since"] == vassal["longest_at"]
    assert found["deaths"] == 3


@pytest.fixture
def removed(tmp_path: Path) -> str:
    """A vassal that its source removed while it was in a crash loop."""
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.added("a.ini", b"bad\n")  # 3
        loops(builder)
        builder.removed("a.ini")  # 12
    return path


@pytest.mark.parametrize("words", [(), ("a.ini",)], ids=["the last one", "by name"])
def test_a_removed_vassal_is_not_down(removed: str, words: tuple[str, ...]) -> None:
    found: dict[str, Any] = json.loads(asking("incident")(removed, *words, "--json").stdout)
    assert found["title"].startswith("a.ini was down for ")
    assert found["title"].endswith(", until it was removed")
    assert found["facts"]["removed"].startswith("2026-11-24 ")
    assert "event 12" in found["facts"]["removed"]
    assert "up again" not in found["facts"]


def test_why_tells_of_the_removal_and_of_the_break_before_it(removed: str) -> None:
    text = asking("why")(removed, "a.ini").stdout
    assert "until it was removed, 3 deaths: broken by 3" in text
    assert "vassal_added" in text
    assert "down since" not in text


def test_a_source_that_has_not_the_name_ends_no_break_and_is_not_to_blame(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start((MONITOR, OTHER))
        builder.up("a.ini", b"good\n")  # 3, 4, 5
        builder.added("a.ini", b"other\n", OTHER)  # 6
        builder.exited("a.ini", code=1)  # 7
        builder.removed("a.ini", OTHER)  # 8
    found = json.loads(asking("incident")(path, "a.ini", "--json").stdout)["break"]
    assert (found["broken_by"]["seq"], found["until"], found["repairs"]) == (3, None, [])

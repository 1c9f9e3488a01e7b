"""A bad change that comes when the vassal is up again behind an unrelated death."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from journal_builder import Builder, building
from support.replaying import asking

LONG = 1000


def again(b: Builder, name: str = "a.ini") -> None:
    """Its throttle is over, and it is started."""
    b.at = max(b.at, b.fleet.vassals[name].deadline or 0)
    b.event("deadline_passed", name, after=0, deadline=b.at)
    b.spawned(name)


def killed(b: Builder) -> None:
    b.up("a.ini", b"good\n")  # 3, 4, 5
    b.exited("a.ini", after=LONG, signal=9)  # 6
    again(b)
    b.accepting("a.ini")  # 9


def out_of_memory(b: Builder) -> None:
    b.up("a.ini", b"good\n")  # 3, 4, 5
    b.exited("a.ini", after=LONG, signal=9, oom="its cgroup")  # 6
    again(b)
    b.accepting("a.ini")  # 9


def loops(b: Builder) -> None:
    b.exited("a.ini", code=1)
    for _ in range(2):
        again(b)
        b.exited("a.ini", code=1)


@pytest.mark.parametrize("first", [killed, out_of_memory], ids=lambda story: story.__name__)
def test_the_change_is_to_blame_for_a_break_of_its_own(
    tmp_path: Path, first: Callable[[Builder], None]
) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        first(builder)
        builder.event("pressure_observed", after=10, cpu=1)
        bad = builder.changed("a.ini", b"bad\n")
        loops(builder)
    page = json.loads(asking("incident")(path, "a.ini", "--json").stdout)
    found = page["break"]
    assert (found["broken_by"]["seq"], found["last_good"]["seq"]) == (bad, 3)
    assert (found["deaths"], found["repairs"], found["until"]) == (3, [], None)
    assert "-good\n+bad\n" in asking("incident")(path, "a.ini").stdout
    assert f"3 deaths: broken by {bad}, last good 3" in asking("why")(path, "a.ini").stdout
    (vassal,) = json.loads(asking("report")(path, "--json").stdout)["vassals"]
    assert (vassal["outages"], vassal["down_now"]) == (2, 1)
    assert found["since"] == vassal["longest_at"]
    assert json.loads(asking("bisect")(path, "a.ini", "--json").stdout)["first_bad"]["seq"] == bad

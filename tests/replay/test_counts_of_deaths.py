"""``report``, ``why``, ``incident``, ``timeline`` and ``state`` count the same deaths."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from journal_builder import Builder, building
from support.replaying import asking

JOB = {"command": "job", "restart": "on-failure"}


def fails(b: Builder) -> None:
    b.up("a.ini")
    b.exited("a.ini", code=1)


def ends_well_at_once(b: Builder) -> None:
    """Within the first throttle, so it could end so once a second for ever."""
    b.added("a.ini")
    b.of_attempt("spawned", "a.ini", after=0, pid=1, start_time=1)
    b.exited("a.ini", after=0.1, code=0)


def ends_well_later(b: Builder) -> None:
    b.up("a.ini")
    b.exited("a.ini", after=9, code=0)


def is_loyal_and_ends_well(b: Builder) -> None:
    b.added("a.ini")
    b.of_attempt("spawned", "a.ini", after=0, pid=1, start_time=1)
    b.of_attempt("vassal_loyal", "a.ini", after=0)
    b.exited("a.ini", after=0.1, code=0)


def is_done_at_once(b: Builder) -> None:
    b.added("a.ini", settings=JOB)
    b.of_attempt("spawned", "a.ini", after=0, pid=1, start_time=1)
    b.exited("a.ini", after=0.1, code=0)


def dies_with_the_daemon(b: Builder) -> None:
    fails(b)
    b.at = b.fleet.vassals["a.ini"].deadline or b.at
    b.event("deadline_passed", "a.ini", after=0, deadline=b.at)
    b.spawned("a.ini")
    b.accepting("a.ini")
    b.start()
    b.of_attempt("exited", "a.ini", away=True)


def is_stopped(b: Builder) -> None:
    b.up("a.ini")
    b.operator("stop", "a.ini")
    b.exited("a.ini", signal=9)


def last_break(path: str) -> Any:
    return json.loads(asking("why")(path, "a.ini", "--json").stdout)["break"]


@pytest.mark.parametrize(
    ("story", "deaths"),
    [
        pytest.param(fails, 1, id="it fails"),
        pytest.param(ends_well_at_once, 1, id="it ends well within the throttle"),
        pytest.param(ends_well_later, 0, id="it ends well later"),
        pytest.param(is_loyal_and_ends_well, 0, id="it has served a request, and ends well"),
        pytest.param(is_done_at_once, 0, id="a job is done within the throttle"),
        pytest.param(dies_with_the_daemon, 1, id="it is found dead"),
        pytest.param(is_stopped, 0, id="it is stopped"),
    ],
)
def test_they_agree(tmp_path: Path, story: Callable[[Builder], None], deaths: int) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        story(builder)
        died = builder.fleet.vassals["a.ini"].died
    (vassal,) = json.loads(asking("report")(path, "--json").stdout)["vassals"]
    (lane,) = json.loads(asking("timeline")(path, "a.ini", "--json").stdout)["lanes"][1:]
    broken = last_break(path)
    counts = {
        "report": vassal["deaths"],
        "why": 0 if broken is None else broken["deaths"],
        "state": len(died),
        "timeline": sum(mark["sort"] == "death" for mark in lane["marks"]),
    }
    assert counts == dict.fromkeys(counts, deaths)

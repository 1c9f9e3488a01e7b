"""``simulate``: another policy decides about the recorded news."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from journal_builder import SECOND, Builder, building
from support.replaying import asking

Story = Callable[[Builder], object]
NAMES = ("a.ini", "b.ini", "c.ini")

run = asking("simulate")


def told(path: str, *arguments: str) -> dict[str, Any]:
    result = run(path, *arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def passes(b: Builder, name: str) -> None:
    """Its deadline passes, on time."""
    deadline = b.fleet.vassals[name].deadline
    assert deadline is not None
    b.at = deadline
    b.event("deadline_passed", name, after=0, deadline=deadline)


def crash_loop(b: Builder) -> None:
    """Five deaths, a second after each start, and a fix half a minute after the first start."""
    b.start(forgive=60.0)
    added = b.added("a.ini", b"bad\n")
    began = b.at
    for death in range(5):
        b.spawned("a.ini")
        b.exited("a.ini", after=0, code=1)
        if death < 4:
            passes(b, "a.ini")
    b.at = began + 29 * SECOND
    b.changed("a.ini", b"good\n")
    b.spawned("a.ini")
    b.accepting("a.ini")
    assert added == 3


def deaf_to_the_stop(b: Builder) -> None:
    """An operator stops it; it does not end before it is killed."""
    b.start()
    b.up("a.ini")
    b.operator("stop", "a.ini")
    b.event("pressure_observed", after=10, cpu=1)
    passes(b, "a.ini")
    b.exited("a.ini", after=0.1, signal=9)


def three_at_once(b: Builder) -> None:
    b.start()
    for name in ("a.ini", "b.ini", "c.ini"):
        b.event("pressure_observed", after=0.001, cpu=0)
        b.announce("vassal_added", name, b"[uwsgi]\n", "dir:///etc/vassals", None)
        b.at -= 999_000_000
    for name in ("a.ini", "b.ini", "c.ini"):
        b.spawned(name)
        b.accepting(name)


def lost_heartbeat(b: Builder) -> None:
    b.start()
    b.up("a.ini")
    b.of_attempt("heartbeat_started", "a.ini")
    b.of_attempt("heartbeat_lost", "a.ini", after=30, silent=30.0)
    b.exited("a.ini", after=0.1, signal=9)
    b.spawned("a.ini")
    b.accepting("a.ini")


def no_daemon_at_its_next_try(b: Builder) -> None:
    """It dies, and the daemon is killed before it is tried again."""
    b.start()
    b.up("a.ini")
    b.exited("a.ini", code=1)
    b.start(max_starting=100)
    passes_late(b)
    b.spawned("a.ini")
    b.accepting("a.ini")


def bad_change(b: Builder) -> None:
    """Three vassals die of their changes, and again with their next starts."""
    b.start()
    for name in NAMES:
        b.up(name)
        b.accepting(name)
    for name in NAMES:
        b.announce("vassal_changed", name, b"bad\n", "dir:///etc/vassals", None)
    for _ in range(3):
        for name in NAMES:
            b.exited(name, code=1)
        for name in NAMES:
            passes(b, name)


def checked_changes(b: Builder) -> None:
    """The preflights of three changes pass, the first one last."""
    b.start(freq=1.0)
    for name in NAMES:
        b.up(name)
        b.accepting(name)
    for name in NAMES:
        b.changed(name, b"new\n", settings={"preflight": "x"})
    for name in reversed(NAMES):
        b.event("preflight_passed", name, check=b.fleet.vassals[name].check)
    for name in NAMES:
        b.accepting(name)


def passes_late(b: Builder) -> None:
    deadline = b.fleet.vassals["a.ini"].deadline
    b.event("deadline_passed", "a.ini", after=0.001, deadline=deadline)


def made(tmp_path: Path, story: Story) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        story(builder)
        builder.event("pressure_observed", after=100, cpu=1)
    return path


STORIES = [
    bad_change,
    checked_changes,
    crash_loop,
    deaf_to_the_stop,
    three_at_once,
    lost_heartbeat,
    no_daemon_at_its_next_try,
]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_the_recorded_policy_decides_as_recorded(tmp_path: Path, story: Story) -> None:
    found = told(made(tmp_path, story), "--set", "record-budget=0")
    assert found["first_difference"] is None
    for word in ("starts", "reloads", "stops", "kills"):
        counts = found["totals"][word]
        assert counts["recorded"] == counts["modelled"] == counts["set"], word
    assert found["assumed"] == 0
    assert len(found["unknown"]) == 1


@pytest.mark.parametrize(
    ("story", "setting", "orders", "seconds"),
    [
        (crash_loop, "throttle=5000", ("spawn", "spawn"), 4),
        (crash_loop, "max-throttle=1500", ("spawn", "spawn"), -0.5),
        (deaf_to_the_stop, "mercy=5s", ("kill", "kill"), -25),
        (deaf_to_the_stop, "curse-tolerance=1m", ("kill", "kill"), 30),
        (three_at_once, "max-starting=1", ("spawn", "spawn"), None),
        (lost_heartbeat, "required-heartbeat=40", ("kill", "kill"), 10),
        (no_daemon_at_its_next_try, "throttle=3000", ("spawn", "spawn"), None),
    ],
)
def test_the_first_difference(
    tmp_path: Path, story: Story, setting: str, orders: tuple[str, str], seconds: float | None
) -> None:
    found = told(made(tmp_path, story), "--set", setting)
    first = found["first_difference"]
    assert (first["modelled"]["do"], first["set"]["do"]) == orders
    if seconds is not None:
        times = [float(first[key]["at"][17:-1]) for key in ("modelled", "set")]
        assert (times[1] - times[0] - seconds) % 60 == pytest.approx(0, abs=0.01)


def test_a_longer_throttle_saves_starts(tmp_path: Path) -> None:
    totals = told(made(tmp_path, crash_loop), "--set", "throttle=10s")["totals"]
    assert totals["starts"] == {"recorded": 6, "modelled": 6, "set": 3}
    assert totals["throttled_s"]["set"] > totals["throttled_s"]["modelled"]


def test_fewer_slots_delay_starts(tmp_path: Path) -> None:
    found = told(made(tmp_path, three_at_once), "--set", "max-starting=1")
    assert (found["starts_later"], found["starts_earlier"]) == (2, 0)
    assert found["totals"]["queued_s"]["set"] > 0


@pytest.mark.parametrize(
    ("story", "settings", "reloads", "starts"),
    [
        pytest.param(bad_change, ("rollout=1",), 1, 6, id="the rest is held back"),
        pytest.param(bad_change, ("rollout=67%",), 2, 9, id="per cent"),
        pytest.param(bad_change, ("rollout=1", "rollout-failures=2"), 2, 9, id="two failures"),
        pytest.param(bad_change, ("rollback=1",), 3, 6, id="each goes back at once"),
        pytest.param(bad_change, ("rollback=2",), 3, 9, id="each is tried twice"),
        pytest.param(bad_change, ("rollout=1", "rollback=1"), 1, 4, id="both"),
        pytest.param(checked_changes, ("rollout=1",), 3, 3, id="checked when their turn comes"),
    ],
)
def test_rollbacks_and_rollouts(
    tmp_path: Path, story: Story, settings: tuple[str, ...], reloads: int, starts: int
) -> None:
    """Options that a record without them can be tried with."""
    path = made(tmp_path, story)
    totals = told(path, *(word for each in settings for word in ("--set", each)))["totals"]
    assert totals["reloads"] == {"recorded": 3, "modelled": 3, "set": reloads}
    assert totals["starts"]["set"] == starts


def test_orders_beyond_the_record_are_counted(tmp_path: Path) -> None:
    found = told(made(tmp_path, deaf_to_the_stop), "--set", "mercy=5s", "--until", "@7")
    assert any("none like it" in text for text in found["unknown"])


def test_a_window_begins_with_what_was_under_way(tmp_path: Path) -> None:
    """The start before the window has its answers within it."""
    path = made(tmp_path, crash_loop)
    found = told(path, "--since", "@5", "--set", "throttle=1000")
    assert found["totals"]["starts"] == {"recorded": 5, "modelled": 5, "set": 5}


def test_the_text(tmp_path: Path) -> None:
    lines = run(made(tmp_path, crash_loop), "--set", "throttle=5s").stdout.splitlines()
    assert lines[:4] == [
        "first difference: a.ini",
        "  by the recorded policy: spawn at 2026-11-24 06:00:05.000 UTC",
        "  with these settings:    spawn at 2026-11-24 06:00:09.000 UTC, 4.00s later",
        "1 vassal gets other orders, or the same at other times",
    ]
    assert "This cannot be known for certain:" in lines


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (("trottle=1",), "did you mean throttle?"),
        (("nonsense=1",), "there are throttle, max-throttle"),
        (("tyrant=1",), "cannot be simulated"),
        (("throttle",), "write throttle=VALUE"),
        (("mercy=soon",), "mercy: 'soon' is not a duration"),
        (("max-starting=0",), "max-starting: 0 is out of range"),
        (("rollback=101",), "rollback: 101 is out of range"),
        (("rollout=0",), "rollout: '0' is no number of vassals"),
        ((), "Missing option '--set'"),
    ],
)
def test_wrong_settings(tmp_path: Path, settings: tuple[str, ...], says: str) -> None:
    path = made(tmp_path, three_at_once)
    result = run(path, *(word for each in settings for word in ("--set", each)))
    assert (result.exit_code, says in result.stderr) == (2, True), result.stderr

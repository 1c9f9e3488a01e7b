"""``report``: which time counts as up, what is an outage, and the measures of deploys."""

import csv
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from emperord.journal.events import Before
from emperord.replay.main import cli
from journal_builder import SECOND, Builder, building
from support.replaying import asking

Story = Callable[[Builder], object]


def told(builder: Builder, *arguments: str) -> dict[str, Any]:
    """The report about a journal."""
    builder.flush()
    result = CliRunner().invoke(cli, ["--journal", builder.journal.path, "report", *arguments])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


run = asking("report")


def dies(b: Builder) -> None:
    b.exited("a.ini", signal=9)


def retried(b: Builder) -> None:
    """Its throttle ends, and it comes up at once."""
    deadline = b.fleet.vassals["a.ini"].deadline
    assert deadline is not None
    b.at = deadline
    b.event("deadline_passed", "a.ini", after=0, deadline=deadline)
    b.spawned("a.ini")
    b.accepting("a.ini", after=0)


def dies_and_comes_back(b: Builder) -> None:
    b.of_attempt("vassal_loyal", "a.ini", after=99)
    dies(b)
    b.spawned("a.ini")
    b.accepting("a.ini", after=8)


def is_restarted(b: Builder) -> None:
    """Its user changes, so it is stopped and started: that was ordered."""
    b.changed("a.ini", uid=7)
    b.exited("a.ini", code=0, after=3)
    b.spawned("a.ini")
    b.accepting("a.ini")


def loses(b: Builder) -> None:
    """The daemon is killed; the next one finds that the process died meanwhile."""
    b.of_attempt("vassal_loyal", "a.ini", after=9)
    daemon_returns(b, after=50)
    b.of_attempt("exited", "a.ini", away=True)
    b.event("daemon_ready")
    b.spawned("a.ini")
    b.accepting("a.ini")


def loses_after_an_end_that_a_keeper_saw(b: Builder) -> None:
    """The daemon is killed 20 s after its last event, and 30 s before the next one starts."""
    daemon_returns(b, after=50, before=Before(how="killed", signal=9, away=30 * SECOND))
    b.of_attempt("exited", "a.ini", away=True)


def fails_after_loss(b: Builder) -> None:
    """It was found dead, and dies again when the next daemon has started it."""
    b.of_attempt("vassal_loyal", "a.ini", after=9)
    daemon_returns(b, after=50)
    b.of_attempt("exited", "a.ini", away=True)
    b.event("daemon_ready")
    b.spawned("a.ini")
    b.exited("a.ini", code=1)


def daemon_returns(b: Builder, after: float, before: Before | None = None) -> None:
    policy = b.fleet.policy
    b.event(
        "daemon_started", after=after, version="0", boot="b", pid=1, policy=policy,
        monitors=b.fleet.monitors, rules=2, before=before,
    )  # fmt: skip


def keeps(b: Builder) -> None:
    """The daemon is killed; the next one finds the process alive."""
    daemon_returns(b, after=50)
    b.of_attempt("adopted", "a.ini", pid=4000, start_time=40000, control=True)
    b.event("daemon_ready")


def stops_for_good(b: Builder) -> None:
    """The daemon is told to stop, and one starts a minute later."""
    b.event("daemon_stopping", reason="SIGTERM", after=10)
    b.exited("a.ini", code=0)
    b.event("daemon_stopped")
    daemon_returns(b, after=60)
    b.event("daemon_ready")
    b.spawned("a.ini")
    b.accepting("a.ini")


def loops_over_restarts(daemons: int) -> Story:
    """A crash loop goes on while daemons are told to stop, each for a minute."""

    def story(b: Builder) -> None:
        dies(b)
        for _ in range(daemons):
            b.event("daemon_stopping", reason="SIGTERM", after=5)
            b.event("daemon_stopped", after=0)
            daemon_returns(b, after=60)
            b.event("daemon_ready", after=0)
            deadline = b.fleet.vassals["a.ini"].deadline
            b.event("deadline_passed", "a.ini", after=1, deadline=deadline)
            b.spawned("a.ini")
            b.exited("a.ini", code=1)
        retried(b)

    return story


def stays_stopped(b: Builder) -> None:
    """It is down when the daemon is told to stop, and no other starts."""
    dies(b)
    b.event("daemon_stopping", reason="SIGTERM", after=5)
    b.event("daemon_stopped")
    b.event("pressure_observed", after=60, cpu=1)


def is_held(b: Builder) -> None:
    b.operator("stop", "a.ini")
    b.exited("a.ini", code=0)
    b.event("pressure_observed", after=30, cpu=1)
    b.operator("start", "a.ini")
    b.spawned("a.ini")
    b.accepting("a.ini")


def is_removed(b: Builder) -> None:
    b.removed("a.ini")
    b.exited("a.ini", code=0)
    b.event("pressure_observed", after=30, cpu=1)


def is_barred(b: Builder) -> None:
    b.changed("a.ini", bar="no such user")
    b.exited("a.ini", code=0)
    b.event("pressure_observed", after=30, cpu=1)


def dies_twice(after: float) -> Story:
    """It dies, comes up, and dies again so many seconds later."""

    def story(b: Builder) -> None:
        dies(b)
        retried(b)
        b.exited("a.ini", after=after, signal=9)
        retried(b)

    return story


def falls_silent(b: Builder) -> None:
    b.of_attempt("heartbeat_started", "a.ini")
    b.of_attempt("heartbeat_lost", "a.ini", after=30, silent=30.0)
    b.exited("a.ini", signal=9)
    b.spawned("a.ini")
    b.accepting("a.ini")


def is_unhealthy(action: str) -> Story:
    """Its checks fail. The second of them is not told again until one has passed."""

    def story(b: Builder) -> None:
        b.changed("a.ini", settings={"command": "x", "health": "tcp://:1", "health-action": action})
        b.exited("a.ini", code=0)
        b.spawned("a.ini")
        b.of_attempt("health_lost", "a.ini", after=30, failures=3)
        if action == "restart":
            b.exited("a.ini", code=0)
            deadline = b.fleet.vassals["a.ini"].deadline
            b.event("deadline_passed", "a.ini", after=5, deadline=deadline)
            b.spawned("a.ini")
        b.event("pressure_observed", after=10, cpu=1)

    return story


# Up from event 3 (6:00:05) on, where it is added at 6:00:03, spawned and accepts.
CASES: list[tuple[str, Story, dict[str, Any]]] = [
    (
        "its checks fail, and it is restarted",
        is_unhealthy("restart"),
        {"outages": 1, "deaths": 1},
    ),
    (
        "its checks fail, and that is recorded",
        is_unhealthy("record"),
        {"outages": 0, "deaths": 0},
    ),
    (
        "up without an end",
        lambda b: b.event("pressure_observed", after=10, cpu=1),
        {"up_s": 10, "down_s": 2, "availability": 0.833333, "outages": 0, "mttr_s": None},
    ),
    (
        "a loyal one dies and is started again",
        dies_and_comes_back,
        {"up_s": 100, "down_s": 11, "outages": 1, "mttr_s": 9, "longest_s": 9, "deaths": 1},
    ),
    (
        "two deaths, up for 10 s between them",
        dies_twice(10),
        {"up_s": 11, "down_s": 7, "outages": 2, "mttr_s": 2.5, "longest_s": 3, "deaths": 2},
    ),
    (
        "two deaths of one crash loop",
        dies_twice(9),
        {"up_s": 10, "down_s": 7, "outages": 1, "mttr_s": 14, "longest_s": 14, "deaths": 2},
    ),
    (
        "killed for a lost heartbeat",
        falls_silent,
        {"up_s": 31, "outages": 1, "mttr_s": 3, "deaths": 1},
    ),
    (
        "down when the record ends",
        dies,
        {"up_s": 1, "outages": 1, "down_now": 1, "mttr_s": None, "longest_s": 0, "deaths": 1},
    ),
    ("an ordered restart", is_restarted, {"up_s": 1, "down_s": 7, "outages": 0, "deaths": 0}),
    (
        "an operator holds it",
        is_held,
        {"up_s": 1, "off_s": 32, "down_s": 4, "outages": 0, "deaths": 0},
    ),
    ("removed", is_removed, {"up_s": 1, "off_s": 1, "down_s": 2, "outages": 0}),
    (
        "barred by its config",
        is_barred,
        {"up_s": 1, "down_s": 33, "outages": 1, "down_now": 1, "deaths": 0, "failed": 1},
    ),
    (
        "the daemon is killed, and it runs on",
        keeps,
        {"up_s": 52, "unknown_s": 0, "outages": 0},
    ),
    (
        "it dies while no daemon is there",
        loses,
        {"up_s": 9, "unknown_s": 51, "down_s": 5, "outages": 0, "mttr_s": None, "deaths": 0},
    ),
    (
        "it dies while no daemon is there, and a keeper saw that one's end",
        loses_after_an_end_that_a_keeper_saw,
        {"up_s": 20, "unknown_s": 31, "outages": 0, "deaths": 0},
    ),
    (
        "it dies while no daemon is there, and cannot be started again",
        fails_after_loss,
        {"unknown_s": 51, "outages": 1, "down_now": 1, "mttr_s": None, "deaths": 1},
    ),
    (
        "the daemon was told to stop",
        stops_for_good,
        {"up_s": 10, "off_s": 62, "down_s": 5, "outages": 0},
    ),
    (
        "a crash loop over two restarts of the daemon",
        loops_over_restarts(2),
        {"outages": 1, "off_s": 120, "mttr_s": 21, "longest_s": 21},
    ),
    (
        "a crash loop that a daemon was told to leave",
        stays_stopped,
        {"outages": 1, "down_now": 0, "longest_s": 5, "mttr_s": None},
    ),
]


@pytest.mark.parametrize(
    ("story", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_times(tmp_path: Path, story: Story, expected: dict[str, Any]) -> None:
    with building(str(tmp_path / "journal.db")) as builder:
        builder.start()
        builder.up("a.ini")
        story(builder)
        found = told(builder, "--json")
    (vassal,) = found["vassals"]
    assert {key: vassal[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("befores", "breaks", "seconds", "text"),
    [
        pytest.param([Before(how="told", away=SECOND)], 0, 0, None, id="told"),
        pytest.param([Before(how="replaced", away=SECOND)], 0, 0, None, id="replaced"),
        pytest.param([Before(how="replaced")], 0, 0, None, id="replaced, it is not known when"),
        pytest.param(
            [Before(how="killed", signal=9, away=SECOND), Before(how="replaced", away=SECOND)],
            1, 1, "once, and for 1.00s there was none;", id="killed and replaced",
        ),
        pytest.param(
            [Before(how="killed", signal=9, away=SECOND), Before(how="failed", away=2 * SECOND)],
            2, 3, "2 times, and for 3.00s there was none;", id="killed and failed",
        ),
        pytest.param(
            [Before(how="killed", signal=9, away=SECOND), Before(how="unknown")],
            2, 51, "2 times, and for 51s at most there was none;", id="the second end is unseen",
        ),
        pytest.param(
            [None], 1, 50, "once, and for 50s at most there was none;", id="not recorded"
        ),
    ],
)  # fmt: skip
def test_how_daemons_ended(
    tmp_path: Path, befores: list[Before | None], breaks: int, seconds: float, text: str | None
) -> None:
    with building(str(tmp_path / "journal.db")) as builder:
        builder.start()
        builder.up("a.ini")
        for before in befores:
            daemon_returns(builder, after=50, before=before)
        found = told(builder, "--json")
    assert (found["daemon_breaks"], found["no_daemon_s"]) == (breaks, seconds)
    line = run(str(tmp_path / "journal.db")).stdout.splitlines()[1]
    assert ("ended without a word" in line) == (text is not None), line
    assert (text or "") in line


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two vassals, one of which has a bad deploy that the next one repairs."""
    path = str(tmp_path_factory.mktemp("report") / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("app-a.ini", b"one\n")
        builder.up("b.ini", b"two\n")
        builder.changed("app-a.ini", b"bad\n")
        builder.exited("app-a.ini", code=1)
        builder.changed("app-a.ini", b"good\n")
        builder.spawned("app-a.ini")
        builder.accepting("app-a.ini")
        builder.event("pressure_observed", after=86_400 - 13, cpu=1)
        builder.removed("b.ini")
    return path


def test_the_four_measures(path: str) -> None:
    found = json.loads(run(path, "--json").stdout)
    assert found["since"] == "2026-11-24T06:00:01.000000000Z"
    assert found["events"] == 15
    fleet = found["fleet"]
    assert (fleet["deploys"], fleet["failed"]) == (4, 1)
    assert fleet["failed_share"] == 0.25
    assert fleet["deploys_per_day"] == 4
    assert fleet["lead_s"] == 2
    assert fleet["mttr_s"] == 3
    assert [vassal["vassal"] for vassal in found["vassals"]] == ["app-a.ini", "b.ini"]


def test_the_text(path: str) -> None:
    lines = run(path).stdout.splitlines()
    assert lines[0] == "2026-11-24 06:00:01 to 2026-11-25 06:00:01 UTC (1d0h), 15 events"
    assert lines[1] == (
        "deployment frequency 4 a day, lead time 2.00s, change failure rate 25.000%,"
        " time to restore 3.00s"
    )
    assert lines[2].split()[:4] == ["VASSAL", "UP", "OUTAGES", "MTTR"]
    assert [line.split()[0] for line in lines[3:]] == ["(all)", "app-a.ini", "b.ini"]


def test_csv_has_the_fleet_and_each_vassal(path: str) -> None:
    rows = list(csv.DictReader(run(path, "-o", "csv").stdout.splitlines()))
    assert [(row["scope"], row["vassal"]) for row in rows] == [
        ("fleet", ""),
        ("vassal", "app-a.ini"),
        ("vassal", "b.ini"),
    ]
    assert rows[1]["outages"] == "1"


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("app-*",), ["app-a.ini"]),
        (("b.ini",), ["b.ini"]),
        (("--since", "@13"), ["app-a.ini", "b.ini"]),
        (("--until", "@5"), ["app-a.ini"]),
        (("--since", "2026-11-24T12:00Z", "--until", "2026-11-24T18:00Z"), None),
    ],
)
def test_which(path: str, arguments: tuple[str, ...], names: list[str] | None) -> None:
    result = run(path, "--json", *arguments)
    if names is None:
        assert (result.exit_code, "no event is between these times" in result.stderr) == (1, True)
    else:
        assert [each["vassal"] for each in json.loads(result.stdout)["vassals"]] == names


def test_the_window_cuts_times(path: str) -> None:
    found = json.loads(run(path, "app-*", "--since", "2026-11-24T06:00:10Z", "--json").stdout)
    vassal = found["vassals"][0]
    assert (vassal["down_s"], vassal["outages"], vassal["deploys"]) == (3, 1, 1)


def test_less_than_a_day_has_no_deploys_a_day(path: str) -> None:
    arguments = ("--until", "2026-11-24T07:00Z")
    assert json.loads(run(path, "--json", *arguments).stdout)["fleet"]["deploys_per_day"] is None
    assert run(path, *arguments).stdout.splitlines()[1].startswith("deployment frequency 4, lead")


def test_an_unknown_name_is_not_found(path: str) -> None:
    result = run(path, "app-b.ini")
    assert (result.exit_code, "did you mean app-a.ini" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("order", "first"),
    [("name", "app-a.ini"), ("deaths", "app-a.ini"), ("up", "b.ini"), ("deploys", "app-a.ini")],
)
def test_the_worst_first(tmp_path: Path, order: str, first: str) -> None:
    """The second one never comes up; the first one dies once and has two deploys."""
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("app-a.ini")
        builder.changed("app-a.ini", b"two\n")
        builder.exited("app-a.ini", code=1)
        builder.added("b.ini", bar="no such user")
        builder.event("pressure_observed", after=9, cpu=1)
    found = json.loads(run(path, "--json", "--sort", order).stdout)
    assert found["vassals"][0]["vassal"] == first


def test_sources_have_short_names(path: str) -> None:
    assert run(path).stdout.splitlines()[-1].split()[-1] == "dir:vassals"


@pytest.mark.parametrize(
    "command",
    [("report",), ("simulate", "--set", "throttle=5s")],
    ids=["report", "simulate"],
)
def test_a_missing_event_is_named_and_nothing_told(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("a.ini")
        builder.exited("a.ini", code=1)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM event WHERE seq = 4")
    result = CliRunner().invoke(cli, ["--journal", path, *command])
    assert (result.exit_code, result.stdout) == (3, "")
    assert "event 4 is missing" in result.stderr


def test_a_bar_that_comes_with_a_turn_in_a_rollout(tmp_path: Path) -> None:
    """The event is about the vassal that had its turn before, and it orders nothing."""
    with building(str(tmp_path / "journal.db")) as builder:
        builder.start(rollout="1", max_starting=1)
        builder.up("a.ini")
        builder.added("slow.ini")
        builder.added("b.ini")  # waits for the slot
        builder.changed("a.ini", b"two\n")
        builder.changed("b.ini", b"two\n", bar="no")
        builder.spawned("slow.ini")
        builder.accepting("slow.ini")
        builder.accepting("a.ini")
        assert builder.fleet.vassals["b.ini"].phase == "barred"
        builder.event("pressure_observed", after=30, cpu=1)
        found = told(builder, "--json")
    (vassal,) = [each for each in found["vassals"] if each["vassal"] == "b.ini"]
    assert (vassal["outages"], vassal["down_now"], vassal["up_s"]) == (1, 1, 0)

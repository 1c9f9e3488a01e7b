"""A start that is not ready in time is a failure. So is one that is killed after failed checks."""

import json
from pathlib import Path
from typing import Any

import pytest
from journal_builder import Builder, building
from support.replaying import asking

ask = asking()
PLAIN: dict[str, str] = {"command": "serve"}
WAITS = {**PLAIN, "ready": "tcp://127.0.0.1:8000", "ready-timeout": "5s"}


def _overdue(b: Builder, cause: int | None = None) -> int:
    vassal = b.fleet.vassals["a.ini"]
    assert vassal.deadline is not None
    b.at = max(b.at, vassal.deadline)
    return b.event("deadline_passed", "a.ini", cause=cause or vassal.because, deadline=b.at)


def _killed(b: Builder, cause: int) -> int:
    return b.event("exited", "a.ini", cause=cause, attempt=b.attempt("a.ini"), signal=9)


def _is_late(b: Builder, times: int) -> None:
    for turn in range(times):
        if turn and b.fleet.vassals["a.ini"].phase == "throttled":
            _overdue(b)
        b.spawned("a.ini")
        _killed(b, _overdue(b))


def late(b: Builder) -> None:
    """The second deploy is never ready, in two starts; the third one is a plain program."""
    b.added("a.ini", b"good\n", settings=PLAIN)  # 3
    b.spawned("a.ini")
    b.at += 60 * 10**9
    b.changed("a.ini", b"bad\n", settings=WAITS)  # 5
    b.exited("a.ini", signal=1, reload=True)
    _is_late(b, 2)
    b.changed("a.ini", b"mended\n", settings=PLAIN)
    b.spawned("a.ini")


def sick(b: Builder) -> None:
    """Its checks fail, and it does not end when it is stopped for that."""
    b.added("a.ini", b"good\n", settings={**PLAIN, "health": "tcp://127.0.0.1:8000"})
    b.spawned("a.ini")
    b.at += 60 * 10**9
    b.of_attempt("health_lost", "a.ini", failures=3)
    _killed(b, _overdue(b))
    _overdue(b)
    b.spawned("a.ini")


@pytest.fixture(params=[late, sick], ids=["late", "sick"])
def story(request: pytest.FixtureRequest) -> Any:
    return request.param


def _path(tmp_path: Path, story: Any) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as b:
        b.start()
        story(b)
        b.event("daemon_stopping", reason="SIGTERM")
        b.exited("a.ini", signal=15)
        b.event("daemon_stopped")
    return path


def test_every_command_counts_the_same_failures(tmp_path: Path, story: Any) -> None:
    path = _path(tmp_path, story)
    deaths = 2 if story is late else 1
    fleet = json.loads(ask(path, "report", "--json").stdout)["fleet"]
    assert (fleet["outages"], fleet["deaths"]) == (1, deaths)
    told = json.loads(ask(path, "why", "a.ini", "--json").stdout)
    assert told["break"]["deaths"] == deaths
    assert told["state"]["restarts"] == deaths


def test_the_break_of_a_late_start(tmp_path: Path) -> None:
    path = _path(tmp_path, late)
    why = ask(path, "why", "a.ini").stdout
    assert "2 deaths, 1 deploy: broken by 5, last good 3, repairs 13 ✓" in why
    assert "it was not ready after 6.00s -> kill" in why
    assert "(SIGKILL), by emperord: it was not ready in time" in why
    page = ask(path, "incident", "a.ini").stdout
    assert "the first was not ready in time, so it was killed" in page
    assert "+bad" in page


def test_the_break_of_failed_checks(tmp_path: Path) -> None:
    said = json.loads(ask(_path(tmp_path, sick), "why", "a.ini", "--json").stdout)
    assert said["break"]["first_death"]["said"] == "failed checks in a row: 3, so it was stopped"


def test_a_loop_of_late_starts_is_an_incident_and_reloads_are_none(tmp_path: Path) -> None:
    """A reload that a program dies of is no death, nor is a stop."""
    path = str(tmp_path / "journal.db")
    with building(path) as b:
        b.start()
        for name in ("a.ini", "b.ini"):
            b.added(name, b"good\n", settings=PLAIN)
            b.spawned(name)
        for turn in range(3):
            b.changed("b.ini", b"turn %d\n" % turn, settings=PLAIN)
            b.exited("b.ini", signal=1, reload=True)
            b.spawned("b.ini")
        b.changed("a.ini", b"bad\n", settings=WAITS)
        b.exited("a.ini", signal=1, reload=True)
        _is_late(b, 3)
        b.event("daemon_stopping", reason="SIGTERM")
        for name in ("a.ini", "b.ini"):
            if b.fleet.vassals[name].attempt is not None:
                b.exited(name, signal=15)
        b.event("daemon_stopped")
    page = ask(path, "incident").stdout
    assert page.startswith("# a.ini is down since")
    assert "- 3 a.ini\n" in page
    assert "b.ini" not in page.partition("## Deaths by vassal")[2]


def _marks(path: str) -> list[tuple[str, str]]:
    told = json.loads(ask(path, "timeline", "--json").stdout)
    (lane,) = [lane for lane in told["lanes"] if lane["vassal"] == "a.ini"]
    return [(mark["sort"], mark["text"]) for mark in lane["marks"]]


def test_the_timeline_has_each_failure_once(tmp_path: Path, story: Any) -> None:
    deaths = [text for sort, text in _marks(_path(tmp_path, story)) if sort == "death"]
    late_, sick_ = ["was not ready in time"] * 2, ["health_lost failed checks in a row: 3"]
    assert deaths == (late_ if story is late else sick_)


def noted(b: Builder) -> None:
    """Its checks fail, and its settings want that noted, and no more."""
    checked = {"health": "tcp://127.0.0.1:8000", "health-action": "record"}
    b.added("a.ini", b"good\n", settings={**PLAIN, **checked})
    b.spawned("a.ini")
    b.of_attempt("health_lost", "a.ini", failures=3)
    b.of_attempt("health_regained", "a.ini")


def test_the_state_names_what_is_unhealthy(tmp_path: Path) -> None:
    path = _path(tmp_path, noted)
    assert (
        "\na.ini: unhealthy: 3 checks in a row have failed\n"
        in ask(path, "state", "--at", "@5").stdout
    )
    assert "a.ini: unhealthy" not in ask(path, "state", "--at", "@6").stdout


def test_health_that_is_noted_alone_is_no_death(tmp_path: Path) -> None:
    path = _path(tmp_path, noted)
    assert [sort for sort, _ in _marks(path)] == ["deploy"]
    assert json.loads(ask(path, "report", "--json").stdout)["fleet"]["deaths"] == 0
    assert json.loads(ask(path, "why", "a.ini", "--json").stdout)["break"] is None

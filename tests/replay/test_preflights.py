"""Refused changes, as each command of the replay tells them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from emperord.replay.main import cli
from journal_builder import building

CHECKED: dict[str, Any] = {"settings": {"preflight": "check"}}
REASON = "its preflight ended with exit code 1"


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A journal in which a change was refused, and the next one passed and was refused later."""
    path = str(tmp_path / "journal.db")
    with building(path) as b:
        b.start()
        b.added("a.ini", b"one\n")
        b.spawned("a.ini")
        b.accepting("a.ini")
        passed = b.changed("a.ini", b"two\n", **CHECKED)
        b.event("preflight_passed", "a.ini", cause=passed, check=passed)
        b.accepting("a.ini")
        refused = b.changed("a.ini", b"three\n", **CHECKED)
        b.event("deploy_refused", "a.ini", cause=refused, check=refused, reason=REASON, code=1)
        b.event("daemon_stopping", reason="SIGTERM")
        b.exited("a.ini", code=0)
        b.event("daemon_stopped")
    return path


def said(path: str, *words: str) -> str:
    run = CliRunner().invoke(cli, ["--journal", path, *words])
    assert run.exit_code == 0, run.output
    return run.stdout


def test_state_and_why(path: str) -> None:
    assert f"\na.ini: refused: {REASON}\n" in said(path, "state")
    assert f"its change was refused: {REASON} (event 10)" in said(path, "state")
    assert f"its change was refused: {REASON} (event 10)" in said(path, "why", "a.ini")
    (vassal,) = json.loads(said(path, "state", "--json"))["vassals"]
    assert (vassal["refused"]["seq"], vassal["refused"]["reason"]) == (10, REASON)
    assert vassal["target"] != vassal["config"]


def test_history_and_report(path: str) -> None:
    found = json.loads(said(path, "history", "--json"))
    told = [(each["seq"], each["outcome"], each["outcome_seq"]) for each in found]
    assert told == [(3, "accepting", 5), (6, "accepting", 8), (9, "refused", 10)]
    report = json.loads(said(path, "report", "--json"))
    assert report["fleet"]["deploys"] == 3


def test_verify_and_simulate(path: str) -> None:
    """Another policy changes nothing about a verdict: it comes when it came."""
    said(path, "verify")
    told = json.loads(said(path, "simulate", "--set", "mercy=5", "--json"))
    one = {"recorded": 1, "modelled": 1, "set": 1}
    assert (told["totals"]["starts"], told["totals"]["reloads"]) == (one, one)


REFUSED: dict[str, Any] = {"reason": REASON, "code": 1, "log": "no column email"}


@pytest.fixture
def barred(tmp_path: Path) -> str:
    """A first deploy that was refused, again after a retry, and then mended."""
    path = str(tmp_path / "barred.db")
    with building(path) as b:
        b.start()
        first = b.added("a.ini", b"bad\n", **CHECKED)  # 3
        b.event("deploy_refused", "a.ini", cause=first, check=first, **REFUSED)
        retry = b.operator("retry", "a.ini")  # 5
        b.event("deploy_refused", "a.ini", cause=retry, check=retry, **REFUSED)
        good = b.changed("a.ini", b"good\n", **CHECKED)  # 7
        b.event("preflight_passed", "a.ini", cause=good, check=good)
        b.spawned("a.ini")
        b.accepting("a.ini")
        b.of_attempt("vassal_loyal", "a.ini")
        b.event("daemon_stopping", reason="SIGTERM")
        b.exited("a.ini", code=0)
        b.event("daemon_stopped")
    return path


def test_a_refused_first_deploy_is_a_break(barred: str) -> None:
    """No process died, as none could run."""
    line = "barred 2 times, 1 deploy: broken by 3, none good before, repairs 5 ✗ 7 ✓"
    why = said(barred, "why", "a.ini")
    assert line in why
    assert "    | no column email" in why
    page = said(barred, "incident", "a.ini")
    assert "retry by uid 1000 via emperor-ctl (event 5): refused after 1.00s (event 6)" in page
    assert "## The last lines of its preflight (event 4)" in page


def test_a_refused_deploy_broke_nothing(tmp_path: Path) -> None:
    """The vassal dies with its former config, and is started with it again."""
    path = str(tmp_path / "loop.db")
    with building(path) as b:
        b.start()
        b.up("a.ini", b"one\n")  # 3
        refused = b.changed("a.ini", b"two\n", **CHECKED)  # 6
        b.event("deploy_refused", "a.ini", cause=refused, check=refused, **REFUSED)
        for _ in range(2):
            b.exited("a.ini", code=1)
            vassal = b.fleet.vassals["a.ini"]
            b.at = max(b.at, vassal.deadline or 0)
            b.event("deadline_passed", "a.ini", cause=vassal.because, deadline=b.at)
            b.spawned("a.ini")
            b.accepting("a.ini")
        b.event("daemon_stopping", reason="SIGTERM")
        b.exited("a.ini", code=0)
        b.event("daemon_stopped")
    told = json.loads(said(path, "why", "a.ini", "--json"))
    assert told["break"]["broken_by"]["seq"] == told["break"]["under"]["seq"] == 3
    assert told["facts"]["since deploy"].startswith("event 3,")
    facts = json.loads(said(path, "incident", "a.ini", "--at", "@15", "--json"))["facts"]
    runs, wanted = re.fullmatch(
        r"accepting, runs config (\w+), wants config (\w+)", facts["now"]
    ).groups()  # type: ignore[union-attr]
    assert runs != wanted
    assert facts["its change"] == f"was refused: {REASON} (event 7)"


def test_a_refused_deploy_is_not_bad_and_is_told(path: str) -> None:
    run = CliRunner().invoke(cli, ["--journal", path, "bisect", "a.ini"])
    told = "no deploy of a.ini is bad; it has 3, of them 2 good; 1 refused"
    assert told in run.output
    assert said(path, "show", "a.ini", "--last-good") == "two\n"
    (lane,) = json.loads(said(path, "timeline", "a.ini", "--json"))["lanes"][1:]
    assert ("deploy", 10) in [(mark["sort"], mark["seq"]) for mark in lane["marks"]]

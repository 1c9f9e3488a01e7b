"""Changes that were rolled back, as each command of the replay tells them."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from emperord.journal import chain
from journal_builder import Builder, building
from support.told_stories import Story, journal, said

TWICE: dict[str, Any] = {"settings": {"rollback": "2"}}
REASON = "2 failures in a row, the last one: exit code 1"
A = "a.ini"


def begin(b: Builder) -> None:
    """It accepts, and dies of its change once."""
    b.start()
    b.added(A, b"one\n")
    b.spawned(A)
    b.accepting(A)  # 5
    b.changed(A, b"two\n", **TWICE)  # 6
    b.exited(A, code=1)  # 7


def again(b: Builder) -> None:
    """Its throttle is over, and it dies once more."""
    b.event("deadline_passed", A, deadline=b.fleet.vassals[A].deadline)
    b.exited(A, code=1)


def rolled_back(b: Builder) -> None:
    begin(b)
    again(b)  # 9
    b.accepting(A)


def and_the_good_one_dies(b: Builder) -> None:
    rolled_back(b)
    b.exited(A, code=1)


def accepts_in_time(b: Builder) -> None:
    begin(b)
    b.event("deadline_passed", A, deadline=b.fleet.vassals[A].deadline)
    b.accepting(A)


def changes_in_time(b: Builder) -> None:
    begin(b)
    b.changed(A, b"three\n", **TWICE)  # 8
    b.accepting(A)  # 9


def changes_afterwards(b: Builder) -> None:
    rolled_back(b)  # 10
    b.changed(A, b"three\n", **TWICE)  # 11
    b.exited(A, code=0)  # 12: it was stopped
    b.accepting(A)  # 13


def accepts_and_dies(b: Builder) -> None:
    """Twice in a row, so accepting is not what became of it."""
    b.start()
    b.up(A, b"one\n")  # 3, 4, 5
    b.changed(A, b"two\n", **TWICE)  # 6
    b.accepting(A)
    b.exited(A, code=1)  # 8
    b.event("deadline_passed", A, deadline=b.fleet.vassals[A].deadline)
    b.accepting(A)
    b.exited(A, code=1)  # 11
    b.accepting(A)


def accepts_and_dies_once(b: Builder) -> None:
    """It runs for long enough then. Later deaths change nothing any more."""
    b.start()
    b.up(A, b"one\n")  # 3, 4, 5
    b.changed(A, b"two\n", **TWICE)  # 6
    b.accepting(A)  # 7
    b.exited(A, code=1)
    b.event("deadline_passed", A, deadline=b.fleet.vassals[A].deadline)
    b.accepting(A)
    b.event("exited", A, after=31, attempt=b.fleet.vassals[A].attempt, code=1)
    again(b)
    again(b)


def accepts_and_is_taken_back(b: Builder) -> None:
    """By hand, before it was good. The next failures are those of the former config."""
    by_hand(b)
    b.exited(A, code=1)
    again(b)


def after_a_restart(b: Builder) -> None:
    """The outcome is the next daemon's to conclude."""
    begin(b)
    b.start()  # 8, 9
    again(b)  # 11


def never_ready(b: Builder) -> None:
    b.start()
    settings = {"command": "x", "ready": "tcp://x", "rollback": "1"}
    b.added(A, b"one\n", settings=settings)
    b.accepting(A)  # 4
    b.changed(A, b"two\n", settings={**settings, "command": "y"})  # 5
    b.exited(A, code=0)  # 6
    b.event("deadline_passed", A, after=31, deadline=b.fleet.vassals[A].deadline)  # 7


def of_a_program(b: Builder) -> None:
    """One that cannot say that it accepts runs at first, then dies twice."""
    b.start()
    b.added(A, b"one\n", settings={"command": "x", "rollback": "2"})
    b.spawned(A)  # 4
    b.event("deadline_passed", "other.ini", after=31, deadline=1)  # 5
    b.changed(A, b"two\n", settings={"command": "y", "rollback": "2"})  # 6
    b.exited(A, code=0)  # 7
    b.spawned(A)  # 8
    b.exited(A, code=1)  # 9
    b.event("deadline_passed", A, deadline=b.fleet.vassals[A].deadline)
    b.spawned(A)
    b.exited(A, code=1)  # 12


def by_hand(b: Builder) -> None:
    """It accepts, and goes back by an operator's word. Then the word is taken back, and given."""
    b.start()
    b.up(A, b"one\n")  # 3, 4, 5
    b.changed(A, b"two\n", **TWICE)  # 6
    b.accepting(A)  # 7
    former = msgspec.structs.replace(b.fleet.vassals[A].spec, config=chain.digest(b"one\n"))
    asked: dict[str, Any] = {"request": "rollback", "back_to": former, "deploy": 3, "uid": 1000}
    b.event("operator_requested", A, **asked)  # 8
    b.exited(A, code=0)  # 9
    b.accepting(A)  # 10


def by_hand_and_cancelled(b: Builder) -> None:
    by_hand(b)
    b.event("operator_requested", A, request="cancel_rollback", uid=1000)  # 11
    b.exited(A, code=0)
    b.accepting(A)


def by_hand_while_it_fails(b: Builder) -> None:
    begin(b)
    former = msgspec.structs.replace(b.fleet.vassals[A].spec, config=chain.digest(b"one\n"))
    b.event("operator_requested", A, request="rollback", back_to=former, deploy=3, uid=1000)  # 8
    b.accepting(A)


Outcomes = list[tuple[int, str, int | None]]
STORIES: dict[Story, Outcomes] = {
    rolled_back: [(3, "accepting", 5), (6, "rolled_back", 9)],
    and_the_good_one_dies: [(3, "accepting", 5), (6, "rolled_back", 9)],
    accepts_in_time: [(3, "accepting", 5), (6, "died", 7)],
    changes_in_time: [(3, "accepting", 5), (6, "died", 7), (8, "accepting", 9)],
    changes_afterwards: [(3, "accepting", 5), (6, "rolled_back", 9), (11, "accepting", 13)],
    accepts_and_dies: [(3, "accepting", 5), (6, "rolled_back", 11)],
    accepts_and_dies_once: [(3, "accepting", 5), (6, "accepting", 7)],
    accepts_and_is_taken_back: [(3, "accepting", 5), (6, "rolled_back", 8)],
    after_a_restart: [(3, "accepting", 5), (6, "rolled_back", 11)],
    never_ready: [(3, "accepting", 4), (5, "rolled_back", 7)],
    by_hand: [(3, "accepting", 5), (6, "rolled_back", 8)],
    by_hand_and_cancelled: [(3, "accepting", 5), (6, "accepting", 7)],
    by_hand_while_it_fails: [(3, "accepting", 5), (6, "rolled_back", 8)],
    of_a_program: [(3, "running", 4), (6, "rolled_back", 12)],
}


@pytest.mark.parametrize(
    ("story", "outcomes"), STORIES.items(), ids=[story.__name__ for story in STORIES]
)
def test_outcomes(tmp_path: Path, story: Story, outcomes: Outcomes) -> None:
    """The daemon stores the same as a fold of all events finds."""
    path = journal(tmp_path, story)
    for full in ((), ("--full",)):
        found = json.loads(said(path, "history", *full, "--json"))
        assert [(e["seq"], e["outcome"], e["outcome_seq"]) for e in found] == outcomes
    with closing(sqlite3.connect(path)) as db:
        view = db.execute("SELECT seq, outcome, outcome_seq FROM deploys").fetchall()
    by_request = story in (by_hand, accepts_and_is_taken_back)  # the daemon does not store that
    assert view == ([*outcomes[:1], (6, "accepting", 7)] if by_request else outcomes)
    said(path, "verify")


def test_state_and_why(tmp_path: Path) -> None:
    path = journal(tmp_path, rolled_back)
    told = f"its change was rolled back: {REASON} (event 9)"
    assert told in said(path, "state")
    assert told in said(path, "why", A)
    (vassal,) = json.loads(said(path, "state", "--json"))["vassals"]
    assert (vassal["rolled_back"]["seq"], vassal["rolled_back"]["reason"]) == (9, REASON)
    assert vassal["refused"] is None
    assert vassal["target"] != vassal["config"]


def test_bisect_and_report(tmp_path: Path) -> None:
    path = journal(tmp_path, rolled_back)
    found = json.loads(said(path, "bisect", A, "--json"))
    assert (found["first_bad"]["seq"], found["last_good"]["seq"]) == (6, 3)
    report = json.loads(said(path, "report", "--json"))
    assert report["fleet"]["failed"] == 1


def test_simulate(tmp_path: Path) -> None:
    """The option can be tried on a record that has none."""
    path = str(tmp_path / "journal.db")
    with building(path) as b:
        b.start()
        b.up(A, b"one\n")
        b.changed(A, b"two\n")
        b.exited(A, code=1)
        b.event("daemon_stopping", reason="SIGTERM")
        b.event("daemon_stopped")
    told = json.loads(said(path, "simulate", "--set", "rollback=1", "--json"))
    assert told["totals"]["starts"] == {"recorded": 1, "modelled": 1, "set": 2}

"""Vassals that another journal knows: a copy lets them go, a lost one's are taken over."""

from typing import Any

import msgspec
import pytest
from emperord.daemon.core.fleet import Vassal
from emperord.journal.events import Spec

from .script import Script, play, spec

READY = "daemon started; daemon ready"
FORK = {"identity": "00", "path": "/j.db", "device": 1, "inode": 2}


def fork(text: str) -> Script:
    script = play(text)
    script.happen("journal_forked", None, None, FORK)
    return script


def vassal(script: Script) -> Vassal:
    return script.fleet.vassals["foo.ini"]


@pytest.mark.parametrize(
    "text",
    [
        "added foo.ini",
        "added foo.ini; spawned foo.ini; accepting foo.ini",
        "added foo.ini; spawned foo.ini; accepting foo.ini; changed foo.ini ts=2",
        "added foo.ini socket=:80; connection foo.ini; spawned foo.ini",
        "added foo.ini; spawned foo.ini; exited foo.ini signal=9; deadline foo.ini",
    ],
    ids=["starting", "accepting", "reloading", "on demand", "again"],
)
def test_a_copy_starts_anew_what_runs_for_its_original(text: str) -> None:
    script = fork(f"{READY}; {text}")
    assert vassal(script).phase == "queued"
    assert vassal(script).attempt is None
    assert script.fleet.starting == 0
    script.feed("daemon started")
    printed = script.feed("daemon ready")
    assert any("spawn" in line or "listen" in line for line in printed)


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        ("operator stop foo.ini", "held"),
        ("removed foo.ini", None),
    ],
)
def test_a_copy_does_not_start_what_was_being_stopped(text: str, phase: str | None) -> None:
    script = fork(f"{READY}; added foo.ini; spawned foo.ini; {text}")
    known = script.fleet.vassals.get("foo.ini")
    assert (None if known is None else known.phase) == phase


def taken_over(text: str, runs: Spec | None, control: bool = True) -> Script:
    script = play(f"{READY}; {text}")
    attempt = vassal(script).attempt
    body: dict[str, Any] = {"attempt": attempt, "pid": 7, "start_time": 8, "mark": "3.5.foo.ini"}
    body |= {"runs": msgspec.to_builtins(runs), "control": control}
    script.happen("spawned", "foo.ini", None, body)
    return script


SAME = spec("foo.ini", {})
CHANGED = msgspec.structs.replace(SAME, ts=0)
OTHER = msgspec.structs.replace(SAME, uid=99)
PROGRAM = spec("foo.ini", {"command": "sleep 9"})


@pytest.mark.parametrize(
    ("text", "runs", "phase", "due"),
    [
        ("added foo.ini", SAME, "starting", False),
        ("added foo.ini", None, "starting", False),
        ("added foo.ini", CHANGED, "starting", True),
        ("added foo.ini command='sleep 9'", PROGRAM, "ready", False),
        (
            "added foo.ini command='sleep 9'",
            msgspec.structs.replace(PROGRAM, ts=0),
            "reloading",
            False,
        ),
        ("added foo.ini command='sleep 8'", PROGRAM, "stopping", False),
    ],
    ids=["same", "unknown", "changed", "program", "changed program", "another program"],
)
def test_what_is_taken_over_is_made_what_is_wanted(
    text: str, runs: Spec | None, phase: str, due: bool
) -> None:
    script = taken_over(text, runs)
    found = vassal(script)
    assert (found.phase, found.due, found.pid, found.mark) == (phase, due, 7, "3.5.foo.ini")
    assert found.running == (runs or found.spec) or phase == "reloading"


def test_one_that_accepts_reloads_what_has_changed() -> None:
    script = taken_over("added foo.ini", CHANGED)
    script.feed("accepting foo.ini")
    assert vassal(script).phase == "reloading"
    script.feed("accepting foo.ini")
    assert (vassal(script).phase, vassal(script).running) == ("accepting", vassal(script).spec)


def test_one_of_another_user_restarts() -> None:
    script = taken_over("added foo.ini", OTHER)
    script.feed("accepting foo.ini")
    assert vassal(script).phase == "stopping"
    script.feed("exited foo.ini code=0")
    assert (vassal(script).phase, vassal(script).mark) == ("starting", None)


def test_nothing_waits_for_one_that_cannot_tell() -> None:
    script = taken_over("added foo.ini", SAME, control=False)
    assert (vassal(script).phase, script.fleet.starting) == ("ready", 0)

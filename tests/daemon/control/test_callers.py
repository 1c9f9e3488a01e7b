"""Requests in the record: their operator, why they came, and those that were refused."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from emperord.daemon.control.caller import Caller, caller, command_line
from emperord.daemon.control.refusals import LONGEST_REASON, Refusals, reason_of
from emperord.journal.events import RequestRefused
from support import warm
from support.kept import Emperor

ME = Caller(1000, 17, 1001, "emperor-ctl stop a.ini")


def replayed(emperor: Emperor, *words: str) -> str:
    replay = [sys.executable, "-P", "-m", "emperord.replay.main", "--journal", str(emperor.journal)]
    done = warm.run([*replay, *words], emperor.environ)
    done.check_returncode()
    return done.stdout


def test_a_request_tells_its_process_its_session_and_its_reason(running: Emperor) -> None:
    argv = [sys.executable, "-m", "emperord.daemon.ctl", "--control", str(running.control)]
    asked = subprocess.Popen([*argv, "stop", "a.ini", "--reason", "disk full"], env=running.environ)
    assert asked.wait(60) == 0
    body = running.event("operator_requested").body
    text = Path("/proc/self/loginuid").read_text()
    loginuid = None if int(text) == 0xFFFFFFFF else int(text)
    command = f"emperord.daemon.ctl --control {running.control} stop a.ini --reason disk full"
    assert body == {
        "request": "stop",
        "uid": os.getuid(),
        "via": "control",
        "pid": asked.pid,
        "command": command[:300],
        "reason": "disk full",
    } | ({} if loginuid is None else {"loginuid": loginuid})
    assert "disk full" in replayed(running, "events", "--kind", "operator_requested")
    running.stop()


@pytest.mark.parametrize(
    ("words", "vassal", "expected"),
    [
        (["reload", "a.ini"], "a.ini", {"request": "reload", "name": "a.ini"}),
        (["stop", "b.ini"], None, {"request": "stop", "name": "b.ini"}),
        (["restore", "/no.db"], None, {"request": "restore", "name": "/no.db"}),
        (["adopt"], None, {"request": "adopt"}),
    ],
    ids=["a vassal that is held", "no vassal", "nothing to restore", "nothing to adopt"],
)
def test_a_refused_request_is_recorded(
    running: Emperor, words: list[str], vassal: str | None, expected: dict[str, str]
) -> None:
    assert running.ctl("stop", "a.ini").returncode == 0
    done = running.ctl(*words, "--reason", "I must", "--no-wait")
    assert done.returncode == 1
    event = running.event("request_refused")
    assert event.vassal == vassal
    assert event.actions == []
    told = {key: event.body[key] for key in expected}
    assert (told, event.body["uid"], event.body["reason"]) == (expected, os.getuid(), "I must")
    assert event.body["error"] in done.stderr
    line = replayed(running, "events", "--kind", "request_refused")
    assert f"{' '.join(words)} by uid {os.getuid()}" in line
    assert "reason: I must" in line
    replayed(running, "verify")
    running.stop()


def test_questions_and_waits_that_fail_are_not_recorded(running: Emperor) -> None:
    assert running.ctl("show", "b.ini").returncode == 1
    assert running.ctl("explain", "b.ini").returncode == 1
    assert running.events("request_refused") == []
    running.stop()


def refusal(
    refusals: Refusals, caller: Caller, now: float, **request: Any
) -> RequestRefused | None:
    draft = refusals.draft({"do": "stop", **request}, caller, "no", None, now)
    if draft is None:
        return None
    assert isinstance(draft.body, RequestRefused)
    return draft.body


def test_one_user_cannot_fill_the_record() -> None:
    refusals = Refusals()
    recorded = [refusal(refusals, ME, 100.0, name=f"{n}.ini") for n in range(1000)]
    assert sum(each is not None for each in recorded) == 60
    assert refusal(refusals, Caller(5), 100.0) is not None  # another user is told of
    later = refusal(refusals, ME, 161.0)
    assert later is not None
    assert later.others == 940
    assert refusal(refusals, ME, 162.0) is None


@pytest.mark.parametrize(
    ("told", "recorded"),
    [
        (None, ""),
        ("", ""),
        (["x"], ""),
        ("x" * 5000, "x" * LONGEST_REASON),
        ("a\nb\u202ec", "a\\nb\\u202ec"),
    ],
    ids=["none", "empty", "no text", "long", "not printable"],
)
def test_a_reason_as_it_is_recorded(told: object, recorded: str) -> None:
    assert reason_of({"reason": told}) == recorded


def test_what_a_refused_request_names_is_cut_and_escaped() -> None:
    body = refusal(Refusals(), ME, 0.0, do="\x1b[2J", name="\x1b" * 5000)
    assert body is not None
    assert body.request == "\\x1b[2J"
    assert len(json.dumps(body.name)) < 400


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (["emperor-ctl", "stop", "a"], "emperor-ctl stop a"),
        (["/opt/bin/x", "a b", "\x1b[2J"], "x a b \\x1b[2J"),
        (["/usr/bin/python3.11", "-m", "emperord.daemon.ctl", "list"], "emperord.daemon.ctl list"),
        (["/usr/bin/python3", "/opt/bin/emperor-ctl", "list"], "emperor-ctl list"),
        ([""], ""),
    ],
    ids=["plain", "escaped", "a module", "a script", "empty"],
)
def test_the_command_line_of_a_client(argv: list[str], command: str) -> None:
    assert command_line("\0".join([*argv, ""]).encode()) == command


def test_a_process_that_has_gone_is_known_by_its_user() -> None:
    child = subprocess.Popen(["true"])
    child.wait(60)
    assert caller(5, child.pid) == Caller(5, child.pid)
    assert caller(5, 0) == Caller(5)

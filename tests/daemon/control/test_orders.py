"""Requests about many vassals: which are meant, a line for each as it is done, and the record."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import pytest
from emperord.daemon.control.choosing import choose
from emperord.daemon.control.server import Refused
from support.kept import Emperor
from support.vassals import DEAF, SLEEPER, shell

from ..conftest import MakeEmperor

KNOWN = ("app-1.ini", "app-2.ini", "hello.ini", "odd[1].ini", "/etc/vassals/shop.xml")

CHOSEN: dict[str, tuple[dict[str, Any], tuple[list[str], list[str]]]] = {
    "names": ({"names": ["hello.ini", "app-1.ini"]}, (["app-1.ini", "hello.ini"], [])),
    "twice": ({"names": ["hello.ini", "hello.ini"]}, (["hello.ini"], [])),
    "a pattern": ({"names": ["app-*"]}, ([], ["app-1.ini", "app-2.ini"])),
    "both": ({"names": ["app-*", "app-1.ini"]}, (["app-1.ini"], ["app-2.ini"])),
    "no pattern, but a name": ({"names": ["odd[1].ini"]}, (["odd[1].ini"], [])),
    "all": ({"all": True}, ([], sorted(KNOWN))),
}


@pytest.mark.parametrize(("request_", "expected"), CHOSEN.values(), ids=CHOSEN)
async def test_which_vassals_are_meant(
    request_: dict[str, Any], expected: tuple[list[str], list[str]]
) -> None:
    assert await choose(KNOWN, request_) == expected


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "without its ending": (
        {"names": ["hello"]},
        "there is no vassal hello; did you mean hello.ini?",
    ),
    "without its folder": (
        {"names": ["shop"]},
        "there is no vassal shop; did you mean /etc/vassals/shop.xml?",
    ),
    "mistyped": ({"names": ["helo.ini"]}, "there is no vassal helo.ini; did you mean hello.ini?"),
    "nothing near": ({"names": ["zzzz"]}, "there is no vassal zzzz"),
    "one of several": (
        {"names": ["app-1.ini", "zzzz"]},
        "there is no vassal zzzz",
    ),
    "a pattern": ({"names": ["web-*"]}, "no vassal fits web-*"),
    "escaped": ({"names": ["\x1b2J"]}, "there is no vassal \\x1b2J"),
    "no list": ({"names": "app-1.ini"}, "names: a list of texts is needed"),
    "numbers": ({"names": [1]}, "names: a list of texts is needed"),
    "no names": ({"names": []}, "names or all: one of them is needed"),
    "names and all": ({"names": ["app-1.ini"], "all": True}, "names or all: one of them is needed"),
    "all of what": ({"all": "yes"}, "all: true or false is needed"),
    "too many": ({"names": ["a"] * 10_001}, "names: 10000 at most"),
    "too many strangers": (
        {"names": [f"{n}" for n in range(101)]},
        "there is no vassal 0; 101 of the names are no vassal's",
    ),
}


@pytest.mark.parametrize(("request_", "error"), REFUSED.values(), ids=REFUSED)
async def test_a_request_is_refused_as_a_whole(request_: dict[str, Any], error: str) -> None:
    with pytest.raises(Refused) as refused:
        await choose(KNOWN, request_)
    assert str(refused.value) == error


# Whole emperors


@contextmanager
def talking(emperor: Emperor, **request: Any) -> Iterator[TextIO]:
    """The answers to a request, as they come."""
    emperor.catch_up()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(emperor.control))
        client.sendall(json.dumps(request).encode() + b"\n")
        yield client.makefile()


def answers(emperor: Emperor, **request: Any) -> list[dict[str, Any]]:
    """All lines of an answer."""
    lines: list[dict[str, Any]] = []
    with talking(emperor, **request) as stream:
        while not lines or lines[-1].get("more"):
            lines.append(json.loads(stream.readline()))
    return lines


def told(lines: list[dict[str, Any]]) -> dict[str, str]:
    """The phase of each vassal whose outcome is told."""
    return {line["name"]: line["phase"] for line in lines if "name" in line}


@pytest.fixture
def fleet(make_emperor: MakeEmperor) -> Emperor:
    """Three vassals that run, and one that does not."""
    emperor = make_emperor("--throttle", "60000", "--max-throttle", "60000", keeper=False)
    for name in ("app-1.ini", "app-2.ini", "web.ini"):
        (emperor.vassals / name).write_text(SLEEPER)
    (emperor.vassals / "down.ini").write_text(shell("echo no database; exit 3"))
    emperor.start()
    for name in ("app-1.ini", "app-2.ini", "web.ini"):
        emperor.phase(name, "ready")
    emperor.phase("down.ini", "throttled")
    return emperor


def test_each_vassal_has_a_line_and_an_event(fleet: Emperor) -> None:
    pids = {name: fleet.pid_of(name) for name in ("app-1.ini", "app-2.ini", "web.ini")}
    first, second, *lines, last = answers(
        fleet, do="restart", names=["app-*"], wait=True, reason="leaks"
    )
    assert first == {"ok": True, "more": True, "total": 2}
    assert second == {"ok": True, "more": True, "recorded": ["app-1.ini", "app-2.ini"]}
    assert told(lines) == {"app-1.ini": "ready", "app-2.ini": "ready"}
    assert last == {"ok": True, "done": 2, "failed": 0, "left": {}}
    requests = fleet.events("operator_requested")
    assert [(each.vassal, each.body["reason"]) for each in requests] == [
        ("app-1.ini", "leaks"),
        ("app-2.ini", "leaks"),
    ]
    changed = {name for name, pid in pids.items() if fleet.pid_of(name) != pid}
    assert changed == {"app-1.ini", "app-2.ini"}
    fleet.stop()


def test_a_failure_is_told_with_its_log_and_the_others_go_on(fleet: Emperor) -> None:
    lines = answers(fleet, do="restart", all=True, wait=True)
    assert told(lines)["down.ini"] == "throttled"
    (failed,) = [line for line in lines[:-1] if not line["ok"]]
    assert failed["error"] == "down.ini is throttled: exit code 3"
    assert failed["log"] == ["no database"] * 2
    error = "1 of 4 vassals failed"
    assert lines[-1] == {"ok": False, "error": error, "done": 3, "failed": 1, "left": {}}
    fleet.stop()


def test_what_only_a_pattern_names_is_left_as_it_is(fleet: Emperor) -> None:
    assert told(answers(fleet, do="stop", names=["web.ini"], wait=True)) == {"web.ini": "held"}
    lines = answers(fleet, do="reload", all=True, wait=True)
    assert lines[-1] == {"ok": True, "done": 2, "failed": 0, "left": {"held": 1, "throttled": 1}}
    assert fleet.events("request_refused") == []
    lines = answers(fleet, do="start", names=["app-*"])
    assert lines[-1] == {"ok": True, "done": 0, "failed": 0, "left": {"ready": 2}}
    fleet.stop()


def test_those_that_are_refused_are_one_event(fleet: Emperor) -> None:
    names = ["app-1.ini", "app-2.ini", "down.ini"]
    lines = answers(fleet, do="retry", names=names)
    assert [line["name"] for line in lines if line.get("more") and not line["ok"]] == names[:2]
    assert lines[-1]["failed"] == 2
    event = fleet.event("request_refused", "app-1.ini")
    error = "app-1.ini is ready, so there is nothing to retry; 1 other refused"
    assert (event.body["error"], event.body["name"]) == (error, " ".join(names))
    assert len(fleet.events("request_refused")) == 1
    answers(fleet, do="retry", names=["nothing-*"])
    event = fleet.event("request_refused", count=2)
    assert (event.vassal, event.body["name"]) == (None, "nothing-*")
    fleet.stop()


def test_work_that_is_over_is_not_begun_again_by_a_pattern(emperor: Emperor) -> None:
    (emperor.vassals / "job.ini").write_text(shell("exit 0") + "restart = no\n")
    emperor.start()
    emperor.phase("job.ini", "barred")
    assert answers(emperor, do="start", all=True)[-1]["left"] == {"barred": 1}
    emperor.stop()


# Waiting for a state


def test_a_client_waits_for_a_vassal_that_is_not_there_yet(emperor: Emperor) -> None:
    emperor.start()
    with talking(emperor, do="wait", names=["new.ini"], **{"for": "up"}) as stream:
        first = json.loads(stream.readline())
        assert (first["total"], first["unknown"]) == (1, ["there is no vassal new.ini"])
        (emperor.vassals / "new.ini").write_text(SLEEPER)
        line = json.loads(stream.readline())
    assert (line["name"], line["phase"]) == ("new.ini", "ready")
    late = answers(emperor, do="wait", names=["none.ini"], timeout=0.1, **{"for": "up"})
    assert late[1]["error"] == "there is no vassal none.ini, after 0.1 s"
    (emperor.vassals / "new.ini").unlink()
    gone = answers(emperor, do="wait", names=["new.ini", "none.ini"], **{"for": "gone"})
    assert told(gone) == {"new.ini": "forgotten", "none.ini": "forgotten"}
    emperor.stop()


def test_a_daemon_that_dies_tells_what_it_recorded(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor("--mercy", "300")
    for name in ("a.ini", "b.ini"):
        (emperor.vassals / name).write_text(DEAF)
    emperor.start()
    for name in ("a.ini", "b.ini"):
        emperor.phase(name, "ready")
    with talking(emperor, do="stop", all=True, wait=True) as stream:
        stream.readline()
        recorded = json.loads(stream.readline())["recorded"]
        emperor.kill_daemon(signal.SIGKILL)
        assert stream.readline() == ""
    for name in recorded:
        os.kill(emperor.pid_of(name), signal.SIGKILL)
    again = answers(emperor, do="wait", names=recorded, **{"for": "stop"})
    assert told(again) == {"a.ini": "held", "b.ini": "held"}
    emperor.stop()


def test_while_nothing_can_be_recorded_it_is_refused_at_once(fleet: Emperor) -> None:
    limit = ["prlimit", "--pid", str(fleet.daemon_pid())]
    subprocess.run([*limit, "--fsize=16384:"], check=True)
    lines = answers(fleet, do="restart", all=True, wait=True)
    refused = [line for line in lines if not line["ok"]]
    assert refused
    assert "nothing is done that cannot be recorded: " in refused[0]["error"]
    (again,) = answers(fleet, do="restart", all=True, wait=True)
    assert again["error"].startswith("nothing is done that cannot be recorded: ")
    subprocess.run([*limit, "--fsize=unlimited:"], check=True)
    fleet.until(lambda: answers(fleet, do="status")[0]["status"]["paused"] is None, "it goes on")
    fleet.stop()

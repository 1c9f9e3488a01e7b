"""``ready`` of a config: which conditions there are, and what is said of others."""

import pytest
from emperord.monitors import readiness, settings
from emperord.monitors.readiness import Condition

CONDITIONS = {
    "spawn": None,
    "notify": None,
    "listen": Condition(listens=True),
    "5s": Condition(seconds=5.0),
    "500ms": Condition(seconds=0.5),
    "3": Condition(seconds=3.0),
    "tcp://127.0.0.1:80": Condition(host="127.0.0.1", port=80),
    "tcp://[::1]:8000": Condition(host="::1", port=8000),
    "http://localhost": Condition(host="localhost", port=80, path="/"),
    "exec:bin/check --all 'a b'": Condition(command=("bin/check", "--all", "a b")),
    "http://[::1]:8000/up?x=1": Condition(host="::1", port=8000, path="/up?x=1"),
}


@pytest.mark.parametrize(("text", "condition"), CONDITIONS.items())
def test_conditions(text: str, condition: Condition | None) -> None:
    assert readiness.parsed(text) == condition
    told = settings.read("a.ini", f"[emperor]\ncommand = x\nready = {text}\n".encode())
    assert told == ({"command": "x", "ready": text}, None)


THERE_ARE = (
    "is none of spawn, notify, listen, 5s, tcp://HOST:PORT, http://HOST:PORT/PATH, exec:COMMAND"
)
FLAWS = {
    "another word": ("ready = soon", f"ready: soon {THERE_ARE}"),
    "another scheme": ("ready = https://x/", f"ready: https://x/ {THERE_ARE}"),
    "a blank": ("ready = http://x/a b", f"ready: http://x/a b {THERE_ARE}"),
    "a name and a password": ("ready = http://a:b@x/", f"ready: http://a:b@x/ {THERE_ARE}"),
    "no port": ("ready = tcp://x", "ready: tcp://x names no port from 1 to 65535"),
    "a port too large": (
        "ready = http://x:65536/",
        "ready: http://x:65536/ names no port from 1 to 65535",
    ),
    "a path": ("ready = tcp://x:1/y", "ready: tcp://x:1/y has a path, which only http:// can have"),
    "no command": ("ready = exec: ", "ready: exec: names no program"),
    "an open quote": (
        "ready = exec:a 'b",
        "ready: exec:a 'b cannot be split into words: No closing quotation",
    ),
    "no time": ("ready = 0", "ready: 0 is no time to wait; write a duration up to a day"),
    "a timeout that is none": (
        "ready = 5s\nready-timeout = never",
        "ready-timeout: never is no time for a start; write 500ms, 3s, 2m, 1h or 7d, at most a day",
    ),
    "a timeout alone": ("ready-timeout = 5s", "ready-timeout: needs ready as well"),
}


@pytest.mark.parametrize(("lines", "flaw"), FLAWS.values(), ids=FLAWS)
def test_flaws(lines: str, flaw: str) -> None:
    told = settings.read("a.ini", f"[emperor]\ncommand = x\n{lines}\n".encode())
    assert told == ({}, f"[emperor] {flaw}")


def test_uwsgi_says_it_by_itself() -> None:
    told = settings.read("a.ini", b"[emperor]\nready = 5s\n")
    flaw = "ready: is for a command; uWSGI says by itself when it accepts"
    assert told == ({}, f"[emperor] {flaw}")

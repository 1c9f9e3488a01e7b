"""``health`` of a config: which settings there are, and what is said of others."""

import pytest
from emperord.monitors import defaults, health, settings
from emperord.monitors.readiness import Condition

CHECKS = {
    "tcp://127.0.0.1:80": Condition(host="127.0.0.1", port=80),
    "http://[::1]:8000/up": Condition(host="::1", port=8000, path="/up"),
    "exec:bin/check -a": Condition(command=("bin/check", "-a")),
}


@pytest.mark.parametrize(("text", "check"), CHECKS.items())
def test_checks(text: str, check: Condition) -> None:
    assert health.parsed(text) == check
    told = settings.read("a.ini", f"[emperor]\nhealth = {text}\n".encode())
    assert told == ({"health": text}, None)


NONE = "is none of tcp://HOST:PORT, http://HOST:PORT/PATH, exec:COMMAND"
CHECK = "health = tcp://x:1\n"
FLAWS = {
    "a duration": ("health = 5s", f"health: 5s {NONE}"),
    "of a start": ("health = notify", f"health: notify {NONE}"),
    "no port": ("health = tcp://x", "health: tcp://x names no port from 1 to 65535"),
    "an interval too short": (
        f"{CHECK}health-interval = 100ms",
        "health-interval: 100ms is no such time; write 500ms, 3s, 2m, 1h or 7d, from 1s to a day",
    ),
    "a timeout that is none": (
        f"{CHECK}health-timeout = soon",
        "health-timeout: soon is no such time; write 500ms, 3s, 2m, 1h or 7d, from 0.1s to a day",
    ),
    "no failure": (
        f"{CHECK}health-failures = 0",
        "health-failures: 0 is no number of failures; write a whole number from 1 to 100",
    ),
    "another action": (
        f"{CHECK}health-action = page",
        "health-action: page is none of restart, record",
    ),
    "an interval alone": ("health-interval = 5s", "health-interval: needs health as well"),
}


@pytest.mark.parametrize(("lines", "flaw"), FLAWS.values(), ids=FLAWS)
def test_flaws(lines: str, flaw: str) -> None:
    told = settings.read("a.ini", f"[emperor]\n{lines}\n".encode())
    assert told == ({}, f"[emperor] {flaw}")


def test_an_interval_is_a_default_of_those_that_are_checked() -> None:
    given = {"health-interval": "1m"}
    own = {"health": "tcp://x:1"}
    assert defaults.merged(own, given) == {**own, **given}
    assert defaults.merged({}, given) == {}
    assert defaults.merged({}, {**own, **given}) == {**own, **given}

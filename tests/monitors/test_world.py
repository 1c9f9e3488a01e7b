"""Settings about the world of a program: which values they can have, and what is said of others."""

import pytest
from emperord.monitors import settings, world

COMMAND = "[emperor]\ncommand = run\n"

GOOD = {
    "all": (
        "directory = /srv/app\numask = 027\nstop-timeout = 1m30s\nenvironment-file = -/etc/app",
        {
            "directory": "/srv/app", "umask": "027", "stop-timeout": "1m30s",
            "environment-file": "-/etc/app",
        },
    ),
    "users and limits of a cgroup": (
        "user = www-data\ngroup = 33\nmemory-max = 1GiB\ncpu-weight = 50\ntasks-max = 100\n",
        {
            "user": "www-data", "group": "33", "memory-max": "1GiB", "cpu-weight": "50",
            "tasks-max": "100",
        },
    ),
    "the lines of an environment add up": (
        'environment = A=1 B="b c"\nenvironment = C=3\n',
        {"environment": 'A=1 B="b c" C=3'},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "found"), GOOD.values(), ids=GOOD)
def test_found(lines: str, found: dict[str, str]) -> None:
    told = settings.read("a.ini", (COMMAND + lines).encode())
    assert told == ({"command": "run"} | found, None)


def test_a_list_of_variables() -> None:
    found, flaw = settings.read("a.yml", b"emperor: {environment: [A=1, 'B=b c', 'C=$x']}")
    assert flaw is None
    assert world.variables(found["environment"]) == {"A": "1", "B": "b c", "C": "$x"}


FLAWS = {
    "a relative directory": (
        "directory = srv",
        "directory: srv is relative; write an absolute path",
    ),
    "a relative file": (
        "environment-file = -x.env",
        "environment-file: x.env is relative; write an absolute path",
    ),
    "no variable": ("environment = A=1 B", "environment: B is no variable; write NAME=VALUE"),
    "a name with a dot": (
        "environment = a.b=1",
        "environment: a.b=1 is no variable; write NAME=VALUE",
    ),
    "a variable of the daemon's": (
        "environment = EMPERORD_ATTEMPT=1",
        "environment: EMPERORD_ATTEMPT is set by the daemon; remove it",
    ),
    "a socket of the daemon's": (
        "environment = NOTIFY_SOCKET=/x",
        "environment: NOTIFY_SOCKET is set by the daemon; remove it",
    ),
    "an open quote": ("environment = A='1", "environment: No closing quotation"),
    "too many variables": (
        "environment = A=" + "x" * 3000 + "\nenvironment = B=" + "x" * 3000,
        "environment: has 6005 characters, 4096 are allowed",
    ),
    "a group alone": ("group = x", "group: needs user as well"),
    "no account": ("user = a b", "user: a b is no account; write a name or a number"),
    "no size": ("memory-max = all", "memory-max: all is no such limit; write 64K, 10M or 1GiB"),
    "no memory": ("memory-max = 0", "memory-max: 0 is no such limit; write 64K, 10M or 1GiB"),
    "too much weight": (
        "cpu-weight = 10001",
        "cpu-weight: 10001 is no such limit; write a whole number from 1 to 10000",
    ),
    "no tasks": (
        "tasks-max = 0",
        "tasks-max: 0 is no such limit; write a whole number from 1 to 4194304",
    ),
    "no mask": ("umask = 088", "umask: 088 is no mask; write it in octal, as 027"),
    "no time": (
        "stop-timeout = soon",
        "stop-timeout: soon is no time for a stop; write 500ms, 3s, 2m, 1h or 7d, at most a day",
    ),
    "no time at all": (
        "stop-timeout = 0",
        "stop-timeout: 0 is no time for a stop; write 500ms, 3s, 2m, 1h or 7d, at most a day",
    ),
    "more than a day": (
        "stop-timeout = 25h",
        "stop-timeout: 25h is no time for a stop; write 500ms, 3s, 2m, 1h or 7d, at most a day",
    ),
}


@pytest.mark.parametrize(("lines", "flaw"), FLAWS.values(), ids=FLAWS)
def test_flaws(lines: str, flaw: str) -> None:
    assert settings.read("a.ini", (COMMAND + lines).encode()) == ({}, f"[emperor] {flaw}")


def test_the_directory_of_uwsgi_is_its_own_to_change() -> None:
    told = settings.read("a.ini", b"[emperor]\ndirectory = /srv\n[uwsgi]\n")
    flaw = "directory: is for a command; write chdir in [uwsgi] for uWSGI"
    assert told == ({}, f"[emperor] {flaw}")

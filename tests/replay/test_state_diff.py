"""``state --diff``: what differs between two moments."""

import json
from pathlib import Path
from typing import Any

import pytest
from emperord.journal import chain
from journal_builder import MONITOR, building
from support.replaying import asking

ONE, TWO = chain.digest(b"one\n"), chain.digest(b"two\n")


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("a.ini", b"one\n", pid=41)  # 3, 4, 5
        builder.up("b.ini", b"one\n", pid=42)  # 6, 7, 8
        builder.up("c.ini", b"one\n", pid=43)  # 9, 10, 11
        builder.changed("a.ini", b"two\n")  # 12
        builder.accepting("a.ini")  # 13
        builder.exited("b.ini", code=1)  # 14
        builder.removed("c.ini")  # 15
        builder.exited("c.ini", code=0)  # 16
        builder.up("d.ini", b"one\n")  # 17, 18, 19
        builder.event("monitor_failed", None, MONITOR, reason="gone\x1b")  # 20
        builder.start((MONITOR,), throttle=5000)  # 21, 22
    return path


run = asking("state")


def diff(path: str, *arguments: str) -> dict[str, Any]:
    result = run(path, "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert isinstance(told, dict)
    return told


def test_each_kind_of_difference(path: str) -> None:
    told = diff(path, "--diff", "@11", "@20")
    assert told["from"] == {"seq": 11, "at": "2026-11-24T06:00:11.000000000Z"}
    assert told["to"] == {"seq": 20, "at": "2026-11-24T06:00:20.000000000Z"}
    for one in told["differences"]:
        if one["what"] == "last_exit":
            one["after"] = one["after"]["how"]
    found = [tuple(one.values()) for one in told["differences"]]
    assert found == [
        (None, f"outage of {MONITOR}", None, "gone\x1b"),
        ("a.ini", "config", ONE, TWO),
        ("a.ini", "running", ONE, TWO),
        ("b.ini", "phase", "accepting", "throttled"),
        ("b.ini", "pid", 42, None),
        ("b.ini", "running", ONE, None),
        ("b.ini", "due", None, "start"),
        ("b.ini", "deaths", 0, 1),
        ("b.ini", "last_exit", None, "exit code 1"),
        ("b.ini", "reason", None, "exit code 1"),
        ("c.ini", "removed", "accepting", None),
        ("d.ini", "added", None, "accepting"),
    ]


@pytest.mark.parametrize(
    ("arguments", "ends"),
    [
        pytest.param(("--diff", "@11"), (11, 22), id="to-the-present"),
        pytest.param(("--diff", "@11", "@13"), (11, 13), id="T2"),
        pytest.param(("--diff", "@11", "--seq", "13"), (11, 13), id="seq"),
        pytest.param(("--diff", "@11", "--at", "2026-11-24T06:00:13Z"), (11, 13), id="at"),
        pytest.param(("--diff", "@13", "@11"), (13, 11), id="backwards"),
        pytest.param(("--diff", "@0", "@3"), (0, 3), id="from-the-beginning"),
        pytest.param(("--diff", "@11", "@13", "a.ini"), (11, 13), id="T2-and-name"),
        pytest.param(("--diff", "@11", "a.ini"), (11, 22), id="name"),
    ],
)
def test_moments(path: str, arguments: tuple[str, ...], ends: tuple[int, int]) -> None:
    told = diff(path, *arguments)
    assert (told["from"]["seq"], told["to"]["seq"]) == ends


@pytest.mark.parametrize(
    ("words", "found"),
    [
        pytest.param(("a.ini",), {"a.ini"}, id="name"),
        pytest.param(("@20", "[ab].ini"), {"a.ini", "b.ini"}, id="pattern"),
        pytest.param(("@20", "d*", "c.ini"), {"c.ini", "d.ini"}, id="several"),
    ],
)
def test_some_vassals(path: str, words: tuple[str, ...], found: set[str]) -> None:
    told = diff(path, "--diff", "@11", *words)["differences"]
    assert {one["vassal"] for one in told} == found


def test_the_state_of_some_vassals(path: str) -> None:
    told = diff(path, "[ac].ini", "d.ini", "--seq", "11")["vassals"]
    assert [one["name"] for one in told] == ["a.ini", "c.ini"]
    lines = run(path, "[ac].ini", "--seq", "11").stdout.splitlines()
    assert "2 vassals" in lines[0]
    assert [line.split()[0] for line in lines[2:]] == ["a.ini", "c.ini"]


def test_the_policy(path: str) -> None:
    found = diff(path, "--diff", "@19")["differences"]
    assert {"vassal": None, "what": "policy throttle", "before": 1000, "after": 5000} in found


def test_for_people(path: str) -> None:
    assert run(path, "--diff", "@11", "@20").stdout.splitlines() == [
        (
            "from event 11, 2026-11-24 06:00:11.000 UTC,"
            " to event 20, 2026-11-24 06:00:20.000 UTC: 9.00s apart"
        ),
        "vassals: 1 added, 1 removed, 2 changed",
        rf"-      outage of {MONITOR} - -> gone\x1b",
        f"a.ini  config {ONE[:12]} -> {TWO[:12]}, running {ONE[:12]} -> {TWO[:12]}",
        (
            f"b.ini  phase accepting -> throttled, pid 42 -> -, running {ONE[:12]} -> -,"
            " due - -> start, deaths 0 -> 1,"
            " last_exit - -> exit code 1 (event 14), reason - -> exit code 1"
        ),
        "c.ini  removed (accepting)",
        "d.ini  added (accepting)",
    ]
    assert run(path, "--diff", "@5", "@5").stdout.splitlines()[1] == "no difference"


def test_as_a_table(path: str) -> None:
    head, *rows = run(path, "--diff", "@3", "@4", "-o", "csv").stdout.splitlines()
    assert (head, rows) == ("vassal,what,before,after", ["a.ini,pid,,41"])


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("@3",), 2, "a second moment is for --diff"),
        (("--diff", "@3", "@4", "--seq", "5"), 2, "give one of them"),
        (("--diff", "@3", "@99"), 1, "there is no event 99"),
        (("--diff", "@99"), 1, "there is no event 99"),
        (("--diff", "soon"), 2, "'soon' is not a time"),
    ],
)
def test_what_cannot_be_told(path: str, arguments: tuple[str, ...], code: int, says: str) -> None:
    result = run(path, *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr

"""``around``: everything that was recorded at a time."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from journal_builder import building
from support.replaying import asking


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()  # 1, 2: at 06:00:01 and 06:00:02
        builder.up("a.ini", b"one\n")  # 3, 4, 5
        builder.event(
            "monitor_failed", None, "dir:///etc/vassals", after=25.5, reason="gone"
        )  # 6: at 30.5 s
        builder.up("b.ini", b"one\n")  # 7, 8, 9: until 33.5 s
        builder.exited("a.ini", after=1.25, code=1)  # 10: at 34.75 s
    return path


run = asking("around")


def seqs(path: str, *arguments: str) -> list[int]:
    result = run(path, "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line)["seq"] for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        pytest.param(("6",), list(range(1, 11)), id="30s-unless-told"),
        pytest.param(("6", "±2s"), [6, 7, 8], id="signs"),
        pytest.param(("6", "+-2s"), [6, 7, 8], id="ascii-signs"),
        pytest.param(("6", "+/-2s"), [6, 7, 8], id="slash"),
        pytest.param(("6", "2"), [6, 7, 8], id="seconds"),
        pytest.param(("6", "2000ms"), [6, 7, 8], id="unit"),
        pytest.param(("6", "1999ms"), [6, 7], id="just-not"),
        pytest.param(("6", "+1m"), [6, 7, 8, 9, 10], id="after-only"),
        pytest.param(("6", "-1m"), [1, 2, 3, 4, 5, 6], id="before-only"),
        pytest.param(("@6", "1s"), [6, 7], id="at-sign"),
        pytest.param(("2026-11-24T06:00:04Z", "1s"), [3, 4, 5], id="time"),
        pytest.param(("6", "5m", "--kind", "exited", "--kind", "spawned"), [4, 8, 10], id="kind"),
        pytest.param(("6", "5m", "a.ini"), [3, 4, 5, 10], id="name"),
        pytest.param(("6", "b.*"), [7, 8, 9], id="pattern"),
        pytest.param(("6", "5m", "--monitor", "dir:vassals"), [3, 6, 7], id="source"),
        pytest.param(("6", "5m", "--until", "@5", "a.ini"), [3, 4, 5], id="until"),
        pytest.param(("6", "5m", "--since", "@9", "--boot", "0"), [9, 10], id="since-and-boot"),
        pytest.param(("6", "5m", "--by", "0"), [], id="user"),
    ],
)
def test_events(path: str, arguments: tuple[str, ...], found: list[int]) -> None:
    assert seqs(path, *arguments) == found


def test_for_people(path: str) -> None:
    lines = run(path, "9", "+-5s").stdout.splitlines()
    assert [line[:23].split() for line in lines] == [
        ["-3.000", "s", "6"],
        ["-2.000", "s", "7"],
        ["-1.000", "s", "8"],
        ["+0.000", "s", ">", "9"],
        ["+1.250", "s", "10"],
    ]
    assert lines[0].endswith("monitor_failed        dir:vassals  gone")
    assert lines[2].endswith("<- 7")  # the cause is a line of the same stream
    assert lines[4].endswith(
        "exited                a.ini  attempt 3, exit code 1  <- 3 vassal_added (-30.500 s)"
    )


def test_offsets_for_programs(path: str) -> None:
    (one,) = map(json.loads, run(path, "10", "0.5s", "--json").stdout.splitlines())
    assert one["offset_s"] == 0
    assert list(one) == [
        "offset_s", "seq", "at", "kind", "monitor", "vassal", "cause", "body", "actions", "hash",
        "altered",
    ]  # fmt: skip
    head, row = run(path, "2026-11-24T06:00:34Z", "1s", "-o", "csv").stdout.splitlines()[:2]
    assert (head.split(",")[:2], row.split(",")[:2]) == (["offset_s", "seq"], ["-0.5", "9"])


def test_an_event_that_was_altered_is_marked(path: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE event SET body = replace(body, '4000', '4001') WHERE seq = 8")
    result = run(path, "7", "1s")
    assert (result.exit_code, "event 8 is not what was written" in result.stderr) == (3, True)
    assert " !       8  " in result.stdout
    told = [json.loads(line) for line in run(path, "7", "1s", "--json").stdout.splitlines()]
    assert [one["seq"] for one in told if one["altered"]] == [8]


def test_a_damaged_event_is_marked(path: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE event SET body = '{' WHERE seq = 8")
    result = run(path, "7", "1s")
    assert result.exit_code == 3
    assert " !       8  " in result.stdout
    assert "event 8 cannot be read by this version" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("99",), 1, "there is no event 99; the last one is 10"),
        (("2026-11-24T06:00:20Z", "2s"), 1, "event 5 was 15s before it, event 6 was 10s after it"),
        (("soon",), 2, "'soon' is not a time"),
        (("6", "5x"), 2, "'5x' is not a duration"),
        (("6", "wide"), 1, "no vassal wide was ever known here"),
        (("6", "--monitor", "nonsuch"), 1, "there are dir:vassals"),
        (("6", "±"), 2, "is not a duration"),
        (("6", "--kind", "nonsuch"), 2, "there is no kind 'nonsuch'"),
        ((), 2, "SEQ|T"),
    ],
)
def test_what_cannot_be_told(path: str, arguments: tuple[str, ...], code: int, says: str) -> None:
    result = run(path, *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr

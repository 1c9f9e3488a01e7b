"""``events``: the raw record."""

import csv
import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from emperord.journal import chain
from journal_builder import MONITOR, building
from support.replaying import asking


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()  # 1, 2
        builder.up("bücher.ini", b"one\n", pid=41)  # 3, 4, 5
        builder.added("b.ini", b"two\n", socket="/run/b")  # 6
        builder.exited("bücher.ini", signal=9, log="the last\nwords")  # 7
        builder.operator("stop")  # 8
        builder.event("monitor_failed", monitor="pg://db;SELECT 1", reason="refused")  # 9
        builder.event("observation_rejected", monitor=MONITOR, name="\\x00.ini", reason="bad")
        builder.event("listing_doubted", monitor=MONITOR, missing=tuple("abcd"), known=7)
    return path


run = asking("events")


def test_every_key_of_every_event(path: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT * FROM event ORDER BY seq").fetchall()
    lines = run(path, "--json").stdout.splitlines()
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        event = json.loads(line)
        assert list(event) == [
            "seq", "at", "kind", "monitor", "vassal", "cause", "body", "actions", "hash"
        ]  # fmt: skip
        assert event["at"] == f"2026-11-24T06:00:{row[0]:02}.000000000Z"
        same = [event[key] for key in ("seq", "kind", "monitor", "vassal", "cause")]
        assert same == [row[0], *row[2:6]]
        assert chain.text(event["body"]) == row[6]
        assert chain.text(event["actions"]) == row[7]
        assert bytes.fromhex(event["hash"]) == row[8]


def test_as_a_table_for_programs(path: str) -> None:
    records = [json.loads(line) for line in run(path, "--json").stdout.splitlines()]
    assert json.loads(run(path, "-o", "json").stdout) == records
    rows = list(csv.DictReader(io.StringIO(run(path, "-o", "csv").stdout)))
    for row, record in zip(rows, records, strict=True):
        assert row["vassal"] == (record["vassal"] or "")
        assert json.loads(row["body"]) == record["body"]
        assert json.loads(row["actions"]) == record["actions"]
    assert "\r" not in run(path, "-o", "csv").stdout
    wide = run(path, "-o", "wide").stdout.splitlines()
    assert wide[0].split()[:3] == ["SEQ", "AT", "KIND"]
    assert len(wide) == len(records) + 1
    assert "the last\\nwords" in wide[7]  # on one line


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("nonsuch",), 1, "no vassal nonsuch was ever known here"),
        (
            ("--monitor", "nonsuch"),
            1,
            f"there are dir:vassals ({MONITOR}), pg:db (pg://db;SELECT 1)",
        ),
        (("--kind", "exitd"), 2, "did you mean exited"),
        (("--since", "1h", "--until", "2h"), 2, "--since is after --until"),
        (("--since", "@3", "--until", "@2"), 2, "--since is after --until"),
        (("--since", "@3", "--until", "2026-11-24T06:00:02.5Z"), 2, "--since is after --until"),
        (("--since", "2026-11-24T06:00:02.5Z", "--until", "@2"), 2, "--since is after --until"),
    ],
)
def test_a_filter_that_fits_nothing(
    path: str, arguments: tuple[str, ...], code: int, says: str
) -> None:
    result = run(path, *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr


@pytest.mark.parametrize("monitor", ["pg://db;SELECT 1", "pg:db"])
def test_one_monitor(path: str, monitor: str) -> None:
    lines = run(path, "--monitor", monitor).stdout.splitlines()
    assert [line.split()[3] for line in lines] == ["monitor_failed"]


def test_json_is_utf_8_and_values_are_values(path: str) -> None:
    line = run(path, "--json", "--kind", "exited").stdout_bytes.rstrip(b"\n")
    assert "bücher.ini".encode() in line
    event = json.loads(line)
    assert event["body"] == {"attempt": 3, "log": "the last\nwords", "signal": 9}
    assert event["actions"] == []
    assert event["cause"] == 3


def test_for_people(path: str) -> None:
    lines = run(path).stdout.splitlines()
    assert [line.split()[0] for line in lines] == [str(seq) for seq in range(1, 12)]
    said = [line.split("  ", 4)[-1].strip() for line in lines]
    one, two = chain.digest(b"one\n")[:12], chain.digest(b"two\n")[:12]
    for seq, text in {
        1: "version 0.1.0, pid 100",
        3: f"bücher.ini  config {one}  -> spawn",
        4: "bücher.ini  attempt 3, pid 41  <- 3",
        6: f"b.ini  config {two}, on demand at /run/b  -> listen",
        7: "bücher.ini  attempt 3, killed by signal 9 (SIGKILL), not by emperord  <- 3",
        8: "stop by uid 1000 via emperor-ctl  -> unlisten b.ini",
        9: "pg:db  refused",
        10: "\\x00.ini: bad",
        11: "4 of 7 are missing: a, b, c, ...",
    }.items():
        assert said[seq - 1].endswith(text), said[seq - 1]


@pytest.mark.parametrize(
    ("arguments", "seqs"),
    [
        (("b.ini",), [6]),
        (("--kind", "exited", "--kind", "spawned"), [4, 7]),
        (("--kind", "accepting"), [5]),
        (("--since", "2026-11-24T06:00:08Z"), [8, 9, 10, 11]),
        (("--until", "2026-11-24T06:00:02.5Z"), [1, 2]),
        (("b.ini", "--until", "2026-11-24T06:00:02Z"), []),
        (("--since", "-3s"), [9, 10, 11]),
        (("--since=-1m", "--until", "-4s"), list(range(1, 9))),
    ],
)
def test_filters(
    path: str, arguments: tuple[str, ...], seqs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emperord.journal.times.now", lambda: 1_795_500_012_000_000_000)
    result = run(path, "--json", *arguments)
    assert result.exit_code == 0, result.output
    assert [json.loads(line)["seq"] for line in result.stdout.splitlines()] == seqs


def test_a_bad_row_does_not_hide_the_others(path: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE event SET body = CAST(x'7bff' AS TEXT) WHERE seq = 4")
    for arguments in ((), ("--json",)):
        result = run(path, *arguments)
        assert result.exit_code == 3
        assert len(result.stdout.splitlines()) == 11
        assert "event 4 cannot be read by this version, or is not what was written" in result.stderr
    assert json.loads(run(path, "--json").stdout.splitlines()[3])["body"] == "{\\xff"


def test_a_kind_that_is_newer_is_still_shown(path: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE event SET kind = 'vassal_cloned', body = '{\"of\":\"x\"}' WHERE seq = 4")
    event = json.loads(run(path, "--json").stdout.splitlines()[3])
    assert (event["kind"], event["body"]) == ("vassal_cloned", {"of": "x"})
    result = run(path)
    assert result.exit_code == 3
    assert '{"of":"x"}' in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("c.ini",), 1, "no vassal c.ini was ever known here"),
        (("--kind", "spwned"), 2, "did you mean spawned"),
    ],
)
def test_what_cannot_be_told(path: str, arguments: tuple[str, ...], code: int, says: str) -> None:
    result = run(path, *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr

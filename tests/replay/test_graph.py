"""``graph NAME``: the causes as a tree."""

import json
import re
import sqlite3
import xml.etree.ElementTree as ET
from contextlib import closing
from pathlib import Path

import pytest
from emperord.journal.events import Before
from journal_builder import MONITOR, SECOND, Builder, building
from support.replaying import asking

SVG = "{http://www.w3.org/2000/svg}"

run = asking("graph")


def deadline(b: Builder, after: float) -> None:
    """A deadline of a.ini passes, with the cause that a daemon gives it."""
    vassal = b.fleet.vassals["a.ini"]
    b.event("deadline_passed", "a.ini", cause=vassal.because, after=after, deadline=vassal.deadline)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A vassal that a change breaks, and that then is removed with its source's outage."""
    path = str(tmp_path / "journal.db")
    with building(path) as b:
        b.start()
        b.up("a.ini")  # 3, 4, 5
        b.changed("a.ini", b"release = 2")  # 6
        order = b.fleet.vassals["a.ini"].order
        b.event("exited", "a.ini", cause=order, attempt=3, code=1, log="<&\"'>")  # 7
        deadline(b, 1)  # 8
        b.accepting("a.ini")  # 9
        b.event("monitor_failed", monitor=MONITOR, reason='no "such" \\ file')  # 10
        b.event("monitor_recovered", monitor=MONITOR)  # 11
        b.event("listing_doubted", monitor=MONITOR, missing=("a.ini",), known=1)  # 12
        b.removed("a.ini", reason="no longer listed")  # 13
        b.event("exited", "a.ini", cause=13, attempt=8, code=0)  # 14
    return path


def test_text(path: str) -> None:
    lines = run(path, "a.ini").stdout.splitlines()
    shape = [re.findall(r"^(.*?) *\d\d:\d\d:.*\(events? ([\d-]+)\)$", line)[0] for line in lines]
    assert shape == [
        ("", "3"),
        ("└─", "5"),
        ("", "6"),
        ("└─", "7"),
        ("   └─", "8"),
        ("      └─", "9"),
        ("", "10-11"),
        ("└╴", "12"),
        ("   └╴", "13"),
        ("      └─", "14"),
    ]


def test_json(path: str) -> None:
    told = json.loads(run(path, "a.ini", "--json").stdout)
    assert [node["seq"] for node in told["nodes"]] == [3, 5, 6, 7, 8, 9, 10, 12, 13, 14]
    edges = {(edge["from"], edge["to"]): edge["kind"] for edge in told["edges"]}
    assert edges == {
        **dict.fromkeys(((3, 5), (6, 7), (7, 8), (8, 9), (13, 14)), "cause"),
        **dict.fromkeys(((10, 12), (12, 13)), "state"),
    }
    assert run(path, "a.ini", "-o", "json").stdout == run(path, "a.ini", "--json").stdout


def test_dot(path: str) -> None:
    told = run(path, "a.ini", "-o", "dot").stdout.splitlines()
    assert (told[0], told[-1]) == ("digraph causes {", "}")
    assert {"  e6 -> e7;", "  e10 -> e12 [style=dashed];"} <= set(told)
    labels = [line for line in told if line.startswith("  e10 [label=")]
    assert len(labels) == 1
    assert 'no \\"such\\" \\\\ file' in labels[0]


def test_svg(path: str) -> None:
    root = ET.fromstring(run(path, "a.ini", "-o", "svg").stdout)
    assert len(root.findall(f"{SVG}circle")) == 10
    assert len(root.findall(f"{SVG}path")) == 7
    texts = [text.text or "" for text in root.findall(f"{SVG}text")]
    assert any('no "such" \\ file' in text for text in texts)


def test_at_a_time(path: str) -> None:
    told = run(path, "a.ini", "--at", "@7").stdout
    assert "(event 7)" in told
    assert "(event 8)" not in told


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        pytest.param(
            ("--since", "@12"),
            ["… after event 10, before the period", "└╴ 12", "   └╴ 13", "      └─ 14"],
            id="state-before",
        ),
        pytest.param(
            ("--since", "@8", "--until", "@9"),
            ["… caused by event 7, before the period", "└─ 8", "   └─ 9"],
            id="cause-before",
        ),
        pytest.param(
            ("--since", "@5", "--until", "2026-11-24T06:00:06Z"),
            ["… caused by event 3, before the period", "└─ 5", "6"],
            id="time",
        ),
        pytest.param(
            ("--since", "@11", "--at", "@13"),
            ["10-11", "└╴ 12", "   └╴ 13"],
            id="ends-in-the-period",
        ),
        pytest.param(("--until", "@5"), ["3", "└─ 5"], id="until-alone"),
        pytest.param(
            ("--since", "@14", "--until", "@999"),
            ["… caused by event 13, before the period", "└─ 14"],
            id="until-after-the-end",
        ),
    ],
)
def test_of_a_period(path: str, arguments: tuple[str, ...], lines: list[str]) -> None:
    told = run(path, "a.ini", *arguments).stdout.splitlines()
    assert [re.sub(r"\d\d:.*\(events? ([\d-]+)\)$", r"\1", line) for line in told] == lines


def test_what_stands_for_a_cause_before_the_period(path: str) -> None:
    told = json.loads(run(path, "a.ini", "--since", "@14", "--json").stdout)
    assert [(node["seq"], node["kind"]) for node in told["nodes"]] == [
        (13, "before"),
        (14, "exited"),
    ]
    assert told["edges"] == [{"from": 13, "to": 14, "kind": "cause"}]
    dot = run(path, "a.ini", "--since", "@14", "-o", "dot").stdout.splitlines()
    assert '  e13 [label="… caused by event 13, before the period"];' in dot
    root = ET.fromstring(run(path, "a.ini", "--since", "@14", "-o", "svg").stdout)
    assert [each.get("cx") for each in root.findall(f"{SVG}circle")] == ["22", "46"]  # indented


@pytest.mark.parametrize(("since", "code"), [("@6", 3), ("@7", 0)])
def test_an_altered_event_before_the_period_is_not_told(
    tmp_path: Path, since: str, code: int
) -> None:
    path = str(tmp_path / "journal.db")
    with building(path, snapshot_every=8) as b:  # so that what is altered need not be folded
        b.start()
        b.up("a.ini")  # 3, 4, 5
        b.changed("a.ini", b"release = 2")  # 6
        b.exited("a.ini", code=1)  # 7
        deadline(b, 1)  # 8
        b.accepting("a.ini")  # 9
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        assert db.execute("UPDATE event SET cause = 2 WHERE seq = 6").rowcount == 1
    result = run(path, "a.ini", "--since", since)
    assert (result.exit_code, "! vassal_changed" in result.stdout) == (code, code == 3)
    assert "(event 7)" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        pytest.param(("--since", "@15"), 1, "in which no event is", id="after-the-end"),
        pytest.param(
            ("--since", "@4", "--until", "@4"),
            1,
            "(events 4 to 4); the newest cause is event 3",
            id="nothing-inside",
        ),
        pytest.param(("--since", "@9", "--until", "@7"), 2, "--since is after --until", id="order"),
        pytest.param(("--since", "@9", "--at", "@7"), 2, "--since is after --at", id="order-of-at"),
        pytest.param(("--at", "@7", "--until", "@8"), 2, "--at and --until both", id="two-ends"),
    ],
)
def test_a_period_with_nothing_in_it(
    path: str, arguments: tuple[str, ...], code: int, says: str
) -> None:
    result = run(path, "a.ini", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("none.ini",), 1), (("a.ini", "-o", "png"), 2), (("a.ini", "-o", "dot", "--json"), 2)],
    ids=str,
)
def test_refused(path: str, arguments: tuple[str, ...], code: int) -> None:
    result = run(path, *arguments)
    assert (result.exit_code, result.stdout) == (code, "")


def test_a_long_loop_needs_no_deep_stack(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path, group=500) as b:
        b.start()
        b.added("a.ini")
        for _ in range(700):
            b.event("exited", "a.ini", cause=b.seq, attempt=b.attempt("a.ini"), code=b.seq % 20)
            deadline(b, 200)
    result = run(path, "a.ini")
    assert result.exit_code == 0, result.output
    assert "more deaths" in result.stdout


def test_a_cause_that_is_no_event_of_the_vassal_is_in_the_tree(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as b:
        b.start()
        b.up("a.ini")  # 3, 4, 5
        lost = b.event("keeper_lost", pid=7)  # 6
        b.of_attempt("exited", "a.ini", cause=lost, code=1)  # 7
        b.event("daemon_stopped")
    told = json.loads(run(path, "a.ini", "--json").stdout)
    assert {"from": 6, "to": 7, "kind": "cause"} in told["edges"]
    assert "keeper_lost: pid 7  (event 6)\n└─ " in run(path, "a.ini").stdout


def test_a_death_that_no_daemon_saw_has_the_start_that_found_it(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as b:
        b.start()
        b.up("a.ini")  # 3, 4, 5
        b.up("b.ini")  # 6, 7, 8
        b.start(before=Before("rebooted", silent=5 * SECOND))  # 9, 10
        b.of_attempt("exited", "a.ini", away=True)  # 11
        b.of_attempt("exited", "b.ini", away=True)  # 12
        b.event("daemon_stopped")
    text = run(path, "a.ini").stdout
    assert "daemon_started: version 0.1.0, pid 100; the one before ended when the machine" in text
    told = json.loads(run(path, "b.ini", "--json").stdout)
    assert [node["seq"] for node in told["nodes"]][-2:] == [9, 12]


def test_addresses_are_opened_because_of_the_change(tmp_path: Path) -> None:
    """The recorded cause is the order to the process that runs meanwhile."""
    path = str(tmp_path / "journal.db")
    settings = {"command": "serve", "listen": "127.0.0.1:80"}
    with building(path) as b:
        b.start()
        b.added("a.ini", b"one", settings=settings)  # 3
        b.spawned("a.ini")
        b.changed("a.ini", b"two", settings={**settings, "listen": "127.0.0.1:81"})  # 5
        attempt = b.attempt("a.ini")
        b.event("listen_refused", "a.ini", cause=attempt, change=5, reason="taken")  # 6
        b.operator("reload", "a.ini")  # 7
        b.event("listen_opened", "a.ini", cause=attempt, change=7)  # 8
    told = json.loads(run(path, "a.ini", "--json").stdout)
    parents = {edge["to"]: edge["from"] for edge in told["edges"]}
    assert (parents[6], parents[8]) == (5, 7)

"""``history``: deploys, and what became of them."""

import csv
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from emperord.journal import chain
from emperord.replay.main import cli
from journal_builder import MONITOR, Builder, building, busy_fleet

OTHER = "pg://db;SELECT 1"


def run(path: str, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--journal", path, "history", *arguments])


def history(path: str, *arguments: str) -> list[dict[str, Any]]:
    result = run(path, "--json", *arguments)
    assert result.exit_code == 0, result.output
    deploys = json.loads(result.stdout)
    assert isinstance(deploys, list)
    return deploys


Story = Callable[[Builder], object]
Outcomes = list[tuple[int, str, int | None]]


def accepts(b: Builder) -> None:
    b.added("a.ini")  # 3
    b.spawned("a.ini")
    b.accepting("a.ini")  # 5


def dies_later(b: Builder) -> None:
    accepts(b)
    b.exited("a.ini", code=1)


def waits(b: Builder) -> None:
    b.added("a.ini")
    b.spawned("a.ini")


def dies(b: Builder) -> None:
    waits(b)
    b.exited("a.ini", code=1)  # 5


def dies_and_recovers(b: Builder) -> None:
    dies(b)
    b.event("deadline_passed", "a.ini", deadline=b.fleet.vassals["a.ini"].deadline)
    b.accepting("a.ini")


def cannot_fork(b: Builder) -> None:
    b.added("a.ini")
    b.of_attempt("spawn_failed", "a.ini", reason="no memory", fault="resources")  # 4


def cannot_exec(b: Builder) -> None:
    b.added("a.ini")
    b.of_attempt("spawn_failed", "a.ini", reason="no such file", fault="exec")  # 4


def interrupted(b: Builder) -> None:
    b.added("a.ini")
    b.of_attempt("spawn_failed", "a.ini", reason="the daemon ended", fault="interrupted")
    b.accepting("a.ini")  # 5


def exiled(b: Builder) -> None:
    waits(b)
    b.exited("a.ini", code=26)  # 5


def barred_at_once(b: Builder) -> None:
    b.added("a.ini", bar="not yours")  # 3


def barred_when_changed(b: Builder) -> None:
    accepts(b)
    b.changed("a.ini", bar="not yours")  # 6
    b.exited("a.ini", code=0)  # 7


def reloads(b: Builder) -> None:
    accepts(b)
    b.changed("a.ini", b"new\n")  # 6
    b.accepting("a.ini")  # 7


def changes_while_starting(b: Builder) -> None:
    waits(b)  # 3, 4
    b.changed("a.ini", b"new\n")  # 5: the start before it must end first
    b.accepting("a.ini")  # 6: of the old config; orders the reload
    b.event("monitor_recovered", monitor=MONITOR)
    b.accepting("a.ini")  # 8: of the new one


def changes_while_starting_and_dies(b: Builder) -> None:
    waits(b)
    b.changed("a.ini", b"new\n")  # 5
    b.exited("a.ini", code=1)  # 6: the old config's death; the new one is spawned
    b.accepting("a.ini")  # 7


def reload_dies(b: Builder) -> None:
    accepts(b)
    b.changed("a.ini", b"new\n")  # 6
    b.exited("a.ini", code=1)  # 7


def restarts_for_another_uid(b: Builder) -> None:
    accepts(b)
    b.changed("a.ini", uid=33)  # 6
    b.exited("a.ini", code=0)  # 7: asked for
    b.accepting("a.ini")  # 8


def plain_program(b: Builder) -> None:
    b.added("a.ini", settings={"command": "sleep 9"})  # 3
    b.spawned("a.ini")  # 4
    b.changed("a.ini", b"new\n", settings={"command": "sleep 9"})  # 5


def plain_program_dies(b: Builder) -> None:
    b.added("a.ini", settings={"command": "false"})  # 3
    b.spawned("a.ini")  # 4
    b.exited("a.ini", code=1)  # 5


def plain_program_dies_late(b: Builder) -> None:
    b.added("a.ini", settings={"command": "sleep 31"})  # 3
    b.spawned("a.ini")  # 4
    b.exited("a.ini", after=31, code=1)


def plain_program_exiled(b: Builder) -> None:
    b.added("a.ini", settings={"command": "exit 26"})  # 3
    b.spawned("a.ini")  # 4
    b.exited("a.ini", code=26)  # 5


def plain_program_recovers(b: Builder) -> None:
    plain_program_dies(b)
    b.event("deadline_passed", "a.ini", deadline=b.fleet.vassals["a.ini"].deadline)
    b.spawned("a.ini")


def plain_program_dies_of_its_reload(b: Builder) -> None:
    plain_program(b)  # 3, 4, 5
    b.exited("a.ini", signal=1)  # 6


def plain_program_reloads_and_dies_late(b: Builder) -> None:
    plain_program(b)  # 3, 4, 5
    b.exited("a.ini", after=31, code=1)


def plain_program_stopped(b: Builder) -> None:
    b.added("a.ini", settings={"command": "sleep 9"})  # 3
    b.spawned("a.ini")  # 4
    b.operator("stop", "a.ini")
    b.exited("a.ini", code=0)


def plain_program_leaves_with_the_daemon(b: Builder) -> None:
    b.added("a.ini", settings={"command": "sleep 9"})  # 3
    b.spawned("a.ini")  # 4
    b.event("daemon_stopping", reason="SIGTERM")
    b.exited("a.ini", signal=15)


def slow_reload(b: Builder) -> None:
    accepts(b)
    b.changed("a.ini", b"new\n")  # 6
    b.event("deadline_passed", "a.ini", deadline=b.fleet.vassals["a.ini"].deadline)  # 7


def slow_reload_accepts(b: Builder) -> None:
    slow_reload(b)
    b.accepting("a.ini")  # 8


def slow_reload_dies(b: Builder) -> None:
    slow_reload(b)
    b.exited("a.ini", code=1)  # 8


def loyal_without_a_word(b: Builder) -> None:
    waits(b)
    b.of_attempt("vassal_loyal", "a.ini")  # 5


def heartbeat_stops(b: Builder) -> None:
    waits(b)
    b.of_attempt("heartbeat_started", "a.ini")
    b.of_attempt("heartbeat_lost", "a.ini", silent=30.0)  # 6


def removed(b: Builder) -> None:
    accepts(b)
    b.removed("a.ini")  # 6
    b.exited("a.ini", code=0)  # 7


def removal_waits(b: Builder) -> None:
    accepts(b)
    b.removed("a.ini")  # 6


def removed_without_a_process(b: Builder) -> None:
    dies(b)
    b.event("vassal_destroyed", "a.ini", MONITOR)  # 6


def removed_and_never_known(b: Builder) -> None:
    b.removed("a.ini")  # 3


def comes_back_while_stopping(b: Builder) -> None:
    removal_waits(b)
    b.added("a.ini", b"new\n")  # 7
    b.exited("a.ini", code=0)
    b.accepting("a.ini")  # 9


def operator_stops(b: Builder) -> None:
    waits(b)
    b.operator("stop", "a.ini")  # 5


def operator_stops_all(b: Builder) -> None:
    waits(b)
    b.operator("stop")  # 5


def changes_while_held(b: Builder) -> None:
    accepts(b)
    b.operator("stop", "a.ini")  # 6
    b.exited("a.ini", code=0)
    b.changed("a.ini", b"new\n")  # 8


def changes_while_held_and_is_started(b: Builder) -> None:
    changes_while_held(b)
    b.operator("start", "a.ini")  # 9
    b.accepting("a.ini")  # 10


def superseded(b: Builder) -> None:
    waits(b)  # 3, 4
    b.changed("a.ini", b"2\n")  # 5
    b.changed("a.ini", b"3\n")  # 6


def claimed_by_another(b: Builder) -> None:
    waits(b)
    b.added("a.ini", monitor=OTHER)  # 5


def claimed_by_an_earlier_source(b: Builder) -> None:
    b.start((MONITOR, OTHER))  # 3, 4
    b.added("a.ini", monitor=OTHER)  # 5
    b.changed("a.ini", b"theirs")  # 6
    b.accepting("a.ini")  # 7
    b.accepting("a.ini")  # 8


def removed_by_another(b: Builder) -> None:
    waits(b)
    b.removed("a.ini", OTHER)  # 5


def on_demand(b: Builder) -> None:
    b.added("a.ini", socket="/run/a")  # 3


def on_demand_and_wanted(b: Builder) -> None:
    on_demand(b)
    b.event("connection_waiting", "a.ini")
    b.accepting("a.ini")  # 5


def before_the_daemon_is_ready(b: Builder) -> None:
    b.event("daemon_stopped")
    b.added("a.ini")  # 4
    b.start()  # 5, 6
    b.accepting("a.ini")  # 7


def dies_while_nobody_is_there(b: Builder) -> None:
    waits(b)
    b.start()  # 5, 6
    b.exited("a.ini", away=True)  # 7
    b.accepting("a.ini")  # 8


def outlives_its_daemon(b: Builder) -> None:
    waits(b)
    b.start()  # 5, 6
    b.of_attempt("adopted", "a.ini", pid=4000, start_time=40000, control=False)  # 7


def daemon_stops_first(b: Builder) -> None:
    waits(b)
    b.event("daemon_stopping", reason="SIGTERM")  # 5
    b.exited("a.ini", code=0)  # 6: asked for
    b.event("daemon_stopped")


def waits_until_the_pressure_is_known(b: Builder) -> None:
    b.start(max_starting=1, max_starting_ceiling=8)  # 3, 4
    b.added("b.ini")  # 5
    b.added("a.ini")  # 6
    b.event("pressure_observed", cpu=2)  # 7
    b.accepting("a.ini")  # 8
    b.accepting("b.ini")  # 9


def waits_for_a_slot(b: Builder) -> None:
    b.start(max_starting=1)  # 3, 4
    b.added("a.ini")  # 5
    b.added("b.ini")  # 6
    b.accepting("a.ini")  # 7: the slot is free, b is spawned by an event about a
    b.accepting("b.ini")  # 8


STORIES: dict[Story, Outcomes] = {
    accepts: [(3, "accepting", 5)],
    dies_later: [(3, "accepting", 5)],
    waits: [(3, "pending", None)],
    dies: [(3, "died", 5)],
    dies_and_recovers: [(3, "died", 5)],
    cannot_fork: [(3, "died", 4)],
    cannot_exec: [(3, "barred", 4)],
    interrupted: [(3, "accepting", 5)],
    exiled: [(3, "barred", 5)],
    barred_at_once: [(3, "barred", 3)],
    barred_when_changed: [(3, "accepting", 5), (6, "barred", 7)],
    reloads: [(3, "accepting", 5), (6, "accepting", 7)],
    changes_while_starting: [(3, "superseded", 5), (5, "accepting", 8)],
    changes_while_starting_and_dies: [(3, "superseded", 5), (5, "accepting", 7)],
    reload_dies: [(3, "accepting", 5), (6, "died", 7)],
    restarts_for_another_uid: [(3, "accepting", 5), (6, "accepting", 8)],
    plain_program: [(3, "running", 4), (5, "running", 5)],
    plain_program_dies: [(3, "died", 5)],
    plain_program_dies_late: [(3, "running", 4)],
    plain_program_exiled: [(3, "barred", 5)],
    plain_program_recovers: [(3, "died", 5)],
    plain_program_dies_of_its_reload: [(3, "running", 4), (5, "died", 6)],
    plain_program_reloads_and_dies_late: [(3, "running", 4), (5, "running", 5)],
    plain_program_stopped: [(3, "running", 4)],
    plain_program_leaves_with_the_daemon: [(3, "running", 4)],
    slow_reload: [(3, "accepting", 5), (6, "running", 7)],
    slow_reload_accepts: [(3, "accepting", 5), (6, "accepting", 8)],
    slow_reload_dies: [(3, "accepting", 5), (6, "died", 8)],
    loyal_without_a_word: [(3, "running", 5)],
    heartbeat_stops: [(3, "died", 6)],
    removed: [(3, "accepting", 5), (6, "stopped", 7)],
    removal_waits: [(3, "accepting", 5), (6, "pending", None)],
    removed_without_a_process: [(3, "died", 5), (6, "stopped", 6)],
    removed_and_never_known: [(3, "stopped", 3)],
    comes_back_while_stopping: [
        (3, "accepting", 5),
        (6, "superseded", 7),
        (7, "accepting", 9),
    ],
    operator_stops: [(3, "stopped", 5)],
    operator_stops_all: [(3, "stopped", 5)],
    changes_while_held: [(3, "accepting", 5), (8, "pending", None)],
    changes_while_held_and_is_started: [(3, "accepting", 5), (8, "accepting", 10)],
    superseded: [(3, "superseded", 5), (5, "superseded", 6), (6, "pending", None)],
    claimed_by_another: [(3, "pending", None), (5, "superseded", 5)],
    claimed_by_an_earlier_source: [(5, "superseded", 6), (6, "accepting", 8)],
    removed_by_another: [(3, "pending", None), (5, "superseded", 5)],
    on_demand: [(3, "pending", None)],
    on_demand_and_wanted: [(3, "accepting", 5)],
    before_the_daemon_is_ready: [(4, "accepting", 7)],
    dies_while_nobody_is_there: [(3, "accepting", 8)],
    outlives_its_daemon: [(3, "running", 7)],
    daemon_stops_first: [(3, "pending", None)],
    waits_until_the_pressure_is_known: [(5, "accepting", 9), (6, "accepting", 8)],
    waits_for_a_slot: [(5, "accepting", 7), (6, "accepting", 8)],
}


@pytest.mark.parametrize(
    ("story", "outcomes"), STORIES.items(), ids=[story.__name__ for story in STORIES]
)
def test_what_became_of_it(tmp_path: Path, story: Story, outcomes: Outcomes) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start((MONITOR, OTHER))
        story(builder)
    deploys = history(path)
    found = [(deploy["seq"], deploy["outcome"], deploy["outcome_seq"]) for deploy in deploys]
    assert found == outcomes
    with closing(sqlite3.connect(path)) as db:
        view = db.execute("SELECT seq, outcome, outcome_seq FROM deploys").fetchall()
    assert view == outcomes
    verified = CliRunner().invoke(cli, ["--journal", path, "verify"])
    assert verified.exit_code == 0, verified.output


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start((MONITOR, OTHER))
        builder.up("a.ini", b"one\n")  # 3, 4, 5
        builder.added("b.ini", b"two\n", OTHER, path=None)  # 6
        builder.changed("a.ini", b"three\n")  # 7
        builder.accepting("a.ini", after=2.5)  # 8
        builder.removed("a.ini")  # 9
        builder.exited("a.ini", code=0)  # 10
        builder.up("a.ini", b"one\n")  # 11, 12, 13
    return path


def test_every_key(path: str) -> None:
    deploys = history(path, "a.ini")
    assert list(deploys[1].items()) == [
        ("seq", 7),
        ("at", "2026-11-24T06:00:07.000000000Z"),
        ("vassal", "a.ini"),
        ("monitor", MONITOR),
        ("kind", "vassal_changed"),
        ("config", chain.digest(b"three\n")),
        ("previous", chain.digest(b"one\n")),
        ("outcome", "accepting"),
        ("outcome_seq", 8),
        ("outcome_at", "2026-11-24T06:00:09.500000000Z"),
    ]
    one, three = chain.digest(b"one\n"), chain.digest(b"three\n")
    assert [(deploy["config"], deploy["previous"]) for deploy in deploys] == [
        (one, None),
        (three, one),
        (None, three),
        (one, None),
    ]


@pytest.mark.parametrize(
    ("arguments", "seqs"),
    [
        ((), [3, 6, 7, 9, 11]),
        (("a.ini",), [3, 7, 9, 11]),
        (("b.ini",), [6]),
        (("--monitor", OTHER), [6]),
        (("--monitor", MONITOR, "--kind", "destroyed"), []),
        (("--kind", "vassal_removed"), [9]),
        (("--kind", "added", "--kind", "changed"), [3, 6, 7, 11]),
        (("--since", "2026-11-24T06:00:07Z"), [7, 9, 11]),
        (("--since", "2026-11-24T06:00:07.000000001Z"), [9, 11]),
        (("--until", "2026-11-24T06:00:06Z"), [3, 6]),
        (("a.ini", "--since", "2026-11-24T06:00:04Z", "--until", "2026-11-24T06:00:08Z"), [7]),
        (("--since", "-10m"), []),
    ],
)
def test_filters(
    path: str, arguments: tuple[str, ...], seqs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # An hour later, by the clock of who reads.
    monkeypatch.setattr("emperord.journal.times.now", lambda: 1_795_503_600_000_000_000)
    found = history(path, *arguments)
    assert [deploy["seq"] for deploy in found] == seqs
    all_of_them = {deploy["seq"]: deploy for deploy in history(path)}
    for deploy in found:  # events that are left out change nothing about the others
        assert deploy == all_of_them[deploy["seq"]]


def test_what_became_of_it_may_lie_behind_the_period(path: str) -> None:
    (deploy,) = history(path, "--until", "2026-11-24T06:00:04Z")
    assert (deploy["outcome"], deploy["outcome_seq"]) == ("accepting", 5)


def test_from_snapshots_it_is_the_same(tmp_path: Path) -> None:
    paths = []
    for every in (20, 10_000):
        paths.append(str(tmp_path / f"{every}.db"))
        with building(paths[-1], snapshot_every=every) as builder:
            busy_fleet(builder, 200, 5)
    for since in ("2026-11-24T06:01:00Z", "2026-11-24T06:02:30Z"):
        with_snapshots, without = (history(path, "--since", since) for path in paths)
        assert with_snapshots == without
        assert with_snapshots
    assert history(paths[0], "app003.ini") == [
        deploy for deploy in history(paths[1]) if deploy["vassal"] == "app003.ini"
    ]


def test_for_people(path: str) -> None:
    lines = run(path, "a.ini").stdout.splitlines()
    assert lines[0].split()[:2] == ["SEQ", "AT"]
    assert len(lines) == 5
    assert lines[2].split() == [
        "7", "2026-11-24", "06:00:07.000", "changed",
        chain.digest(b"one\n")[:12], "->", chain.digest(b"three\n")[:12],
        "accepting", "after", "2.50s", "a.ini,", MONITOR,
    ]  # fmt: skip


def test_a_monitor_without_deploys_is_none_that_is_not_there(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start((MONITOR, OTHER))
    result = run(path, "--monitor", OTHER)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no deploys\n")
    assert "there are dir:///etc/vassals, pg" in run(path, "--monitor", "zoo://h/p").stderr


def test_as_a_table_for_programs(path: str) -> None:
    records = history(path)
    rows = list(csv.DictReader(run(path, "-o", "csv").stdout.splitlines()))
    assert rows == [{k: "" if v is None else str(v) for k, v in each.items()} for each in records]
    lines = run(path, "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == records
    assert json.loads(run(path, "-o", "json").stdout) == records
    head, *table = run(path, "-o", "wide").stdout.splitlines()
    assert head.split() == [key.upper() for key in records[0]]
    assert [line.split()[0] for line in table] == [str(each["seq"]) for each in records]
    nothing = run(path, "-o", "csv", "--since", "2099-01-01")
    assert nothing.stdout == ",".join(records[0]) + "\n"


def test_nothing_to_tell(path: str) -> None:
    result = run(path, "--since", "2099-01-01")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no deploys\n")
    assert run(path, "--json", "--since", "2099-01-01").stdout == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("c.ini",), 1, "no vassal c.ini was ever known here; did you mean b.ini or a.ini?"),
        (("--kind", "chnged"), 2, "did you mean vassal_changed"),
        (("--kind", "nonsuch"), 2, "there are vassal_added, vassal_changed, vassal_removed,"),
        (("--monitor", "nonsuch"), 1, f"there are {MONITOR}, {OTHER}"),
        (("--monitor", f"{MONITOR}s"), 1, f"did you mean {MONITOR}?"),
        (("--since", "@9", "--until", "@7"), 2, "--since is after --until"),
        (("--json", "-o", "csv"), 2, "--json is -o json; give one of them"),
        (("-o", "xml"), 2, "'xml' is not one of 'short', 'wide', 'json', 'jsonl', 'csv'"),
        (("--kind", "exited"), 2, "there is no kind 'exited'"),
        (("--since", "soon"), 2, "'soon' is not a time"),
    ],
)
def test_what_cannot_be_told(path: str, arguments: tuple[str, ...], code: int, says: str) -> None:
    result = run(path, *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr

"""``history``: what became of a deploy, one story a row."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from emperord.replay.main import cli
from journal_builder import MONITOR, Builder, building
from support.deploys import OTHER, history

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


CHECKED: dict[str, Any] = {"settings": {"preflight": "check"}}


def is_refused(b: Builder) -> None:
    accepts(b)
    b.changed("a.ini", b"two\n", **CHECKED)  # 6
    b.event("deploy_refused", "a.ini", check=6, reason="exit code 1")  # 7


def is_refused_and_what_ran_dies(b: Builder) -> None:
    is_refused(b)
    b.exited("a.ini", code=1)
    b.event("deadline_passed", "a.ini", deadline=b.fleet.vassals["a.ini"].deadline)
    b.accepting("a.ini")
    b.exited("a.ini", code=26)  # barred, with the config from before


def is_refused_and_passes_at_last(b: Builder) -> None:
    is_refused(b)
    b.event("operator_requested", "a.ini", request="retry")  # 8
    b.event("deploy_refused", "a.ini", check=8, reason="exit code 1")
    b.event("operator_requested", "a.ini", request="retry")  # 10
    b.event("preflight_passed", "a.ini", check=10)
    b.accepting("a.ini")  # 12


def first_one_is_refused(b: Builder) -> None:
    b.added("a.ini", **CHECKED)  # 3
    b.event("deploy_refused", "a.ini", check=3, reason="exit code 1")  # 4
    b.changed("a.ini", b"two\n")  # 5
    b.accepting("a.ini")  # 6


def is_checked(b: Builder) -> None:
    accepts(b)
    b.changed("a.ini", b"two\n", **CHECKED)  # 6
    b.exited("a.ini", code=1)


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


def changes_twice_while_held(b: Builder) -> None:
    changes_while_held(b)
    b.changed("a.ini", b"newer\n")  # 9


def changes_while_held_and_is_released(b: Builder) -> None:
    changes_while_held(b)
    b.operator("start", "a.ini")  # 9


def changes_while_it_stops(b: Builder) -> None:
    accepts(b)
    b.operator("stop", "a.ini")  # 6
    b.changed("a.ini", b"new\n")  # 7


def changes_while_held_and_is_removed(b: Builder) -> None:
    changes_while_held(b)
    b.removed("a.ini")  # 9


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
    is_refused: [(3, "accepting", 5), (6, "refused", 7)],
    is_refused_and_what_ran_dies: [(3, "accepting", 5), (6, "refused", 7)],
    is_refused_and_passes_at_last: [(3, "accepting", 5), (6, "accepting", 12)],
    first_one_is_refused: [(3, "refused", 4), (5, "accepting", 6)],
    is_checked: [(3, "accepting", 5), (6, "pending", None)],
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
    changes_while_held: [(3, "accepting", 5), (8, "held", 8)],
    changes_twice_while_held: [(3, "accepting", 5), (8, "held", 8), (9, "held", 9)],
    changes_while_held_and_is_released: [(3, "accepting", 5), (8, "pending", None)],
    changes_while_it_stops: [(3, "accepting", 5), (7, "held", 7)],
    changes_while_held_and_is_removed: [(3, "accepting", 5), (8, "held", 8), (9, "stopped", 9)],
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

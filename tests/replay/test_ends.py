"""Restarts and ends: how many in an hour, how the last one came, and whose kill it was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from journal_builder import MONITOR, Builder, building
from support.incidents import known, told


def killed(builder: Builder) -> None:
    builder.exited("a.ini", signal=9)


def terminated(builder: Builder) -> None:
    builder.exited("a.ini", signal=15)


def faulted(builder: Builder) -> None:
    builder.exited("a.ini", signal=11)


def failed(builder: Builder) -> None:
    builder.exited("a.ini", code=3)


def short_of_memory(builder: Builder) -> None:
    builder.exited("a.ini", signal=9, oom="memory.events: oom_kill 1")


def silent(builder: Builder) -> None:
    seq = builder.of_attempt("heartbeat_lost", "a.ini", silent=30.0)
    _ends(builder, seq, signal=9)


def unhealthy(builder: Builder) -> None:
    seq = builder.of_attempt("health_lost", "a.ini", failures=3)
    _ends(builder, seq, signal=15)


def ignored_the_stop(builder: Builder) -> None:
    stop = builder.operator("stop", "a.ini")
    _ends(builder, _overdue(builder, stop), signal=9)


def asked_twice(builder: Builder) -> None:
    stop = builder.event("daemon_stopping", reason="SIGTERM")
    vassal = builder.fleet.vassals["a.ini"]
    seq = builder.event("deadline_passed", "a.ini", cause=stop, deadline=vassal.deadline)
    _ends(builder, seq, signal=9)


def killed_while_it_stops(builder: Builder) -> None:
    _ends(builder, builder.operator("stop", "a.ini"), signal=9)


def stopped(builder: Builder) -> None:
    _ends(builder, builder.operator("stop", "a.ini"), signal=15)


def hung(builder: Builder) -> None:
    builder.exited("a.ini", code=3)
    builder.changed("a.ini")
    attempt = builder.attempt("a.ini")
    builder.spawned("a.ini")
    builder.changed("a.ini", b"[uwsgi]\nmended = true\n")
    _ends(builder, _overdue(builder, attempt), signal=9)


def reloaded_to_death(builder: Builder) -> None:
    builder.changed("a.ini", b"[uwsgi]\nother = true\n")
    builder.exited("a.ini", signal=1, reload=True)


def _overdue(builder: Builder, cause: int) -> int:
    deadline = builder.fleet.vassals["a.ini"].deadline
    assert deadline is not None
    builder.at = max(builder.at, deadline)
    return builder.event("deadline_passed", "a.ini", cause=cause, deadline=deadline)


def _ends(builder: Builder, cause: int, **how: Any) -> None:
    builder.event("exited", "a.ini", cause=cause, attempt=builder.attempt("a.ini"), **how)


# The end: how it is told, by whom, the order, the restarts within the hour.
CASES: Final[dict[Callable[[Builder], None], tuple[str, str | None, str | None, int]]] = {
    killed: ("SIGKILL", "not by emperord", None, 1),
    terminated: ("SIGTERM", "not by emperord", None, 1),
    faulted: ("signal 11", None, None, 1),
    failed: ("exit code 3", None, None, 1),
    short_of_memory: (
        "SIGKILL", "by the kernel: out of memory (memory.events: oom_kill 1)", None, 1,
    ),
    unhealthy: ("SIGTERM", "as ordered: unhealthy: 3 checks in a row have failed", "stop", 1),
    silent: ("SIGKILL", "by emperord: no heartbeat for 30 s", "kill", 1),
    ignored_the_stop: ("SIGKILL", "by emperord: it did not stop in time", "kill", 0),
    asked_twice: ("SIGKILL", "by emperord: a second request to stop", "kill", 0),
    killed_while_it_stops: ("SIGKILL", "not by emperord", "stop", 0),
    stopped: ("SIGTERM", "as ordered: stopped by an operator", "stop", 0),
    hung: ("SIGKILL", "by emperord: restarts, as its start hangs", "kill", 1),
    reloaded_to_death: ("SIGHUP", None, None, 0),
}  # fmt: skip
# The record alone, without the fold, has other words for these.
IN_RECORD: Final[dict[Callable[[Builder], None], str]] = {
    stopped: "as ordered: stop by an operator (event 6)",
    unhealthy: "as ordered: failed checks of its health: 3",
    hung: "by emperord: it was not ready in time",
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_how_it_ended_and_by_whom(tmp_path: Path, case: Callable[[Builder], None]) -> None:
    how, whose, order, restarts = CASES[case]
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("a.ini")
        case(builder)
    (vassal,) = known(path, "state")["vassals"]
    last = vassal["last_exit"]
    assert (last["how"], last["whose"], last["order"]) == (how, whose, order)
    assert vassal["restarts"] == restarts
    events = told(path, "events", "a.ini", "--kind", "exited").splitlines()[-1]
    facts = told(path, "why", "a.ini")
    if whose is None:
        assert "emperord" not in events
    else:
        text = f"), {IN_RECORD.get(case, whose)}"
        assert text in events
        assert f"{text}, 2026" in facts


def test_restarts_are_those_of_an_hour(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        deploy = builder.up("a.ini")
        for minutes in (1, 10, 40, 15):
            builder.at += minutes * 60 * 10**9
            builder.of_attempt("vassal_loyal", "a.ini")
            builder.exited("a.ini", signal=9)
            builder.spawned("a.ini")
            builder.accepting("a.ini")
    (vassal,) = known(path, "state")["vassals"]
    assert vassal["restarts"] == 3
    assert vassal["deaths"] == 0
    facts = told(path, "why", "a.ini")
    assert "restarts (1 h):  3, the first 2026-11-24 06:11:" in facts
    assert f"since deploy:    event {deploy}, 11m" in facts


def test_one_that_was_stopped_with_its_daemon_crashes_no_more(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("a.ini")
        for _ in range(4):
            builder.of_attempt("vassal_loyal", "a.ini")
            builder.exited("a.ini", signal=9)
            builder.spawned("a.ini")
            builder.accepting("a.ini")
        crashing = builder.fleet.seq
        builder.event("daemon_stopping", reason="SIGTERM")
        builder.exited("a.ini", signal=15)
        builder.event("daemon_stopped")
    assert "a.ini: crashing: restarts (1 h) 4" in told(path, "state", "--at", f"@{crashing}")
    assert "crashing" not in told(path, "state")


def test_a_journal_of_the_first_release_has_no_count_of_restarts(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.event(
            "daemon_started", version="0.1.0", boot="b", pid=1, policy=builder.fleet.policy,
            monitors=(MONITOR,), rules=1,
        )  # fmt: skip
        builder.event("daemon_ready")
        builder.up("a.ini")
        builder.exited("a.ini", signal=9)
    (vassal,) = known(path, "state")["vassals"]
    assert (vassal["restarts"], vassal["last_exit"]) == (None, None)
    assert "(SIGKILL), not by emperord" in told(path, "why", "a.ini")


def test_one_that_is_killed_again_and_again_is_seen_at_once(incident: Callable[[str], str]) -> None:
    journal = incident("killed")
    text = told(journal, "state")
    assert "shop.ini: crashing: restarts (1 h) 9, last SIGKILL " in text
    vassals = {vassal["name"]: vassal for vassal in known(journal, "state")["vassals"]}
    restarts = {name: vassal["restarts"] for name, vassal in vassals.items()}
    assert restarts.pop("mute.ini") >= 1
    assert restarts == {"calm.ini": 0, "deaf.ini": 0, "shop.ini": 9}
    assert {name: (vassal["last_exit"] or {}).get("whose") for name, vassal in vassals.items()} == {
        "calm.ini": None,
        "deaf.ini": "by emperord: it did not stop in time",
        "mute.ini": "by emperord: no heartbeat for 1 s",
        "shop.ini": "not by emperord",
    }
    deploy = next(v for v in known(journal, "history", "shop.ini") if v["kind"] != "vassal_added")
    assert f"since deploy:    event {deploy['seq']}, " in told(journal, "why", "shop.ini")

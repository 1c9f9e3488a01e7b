"""``why``: the story of how a vassal came to be as it is."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from emperord.journal import reading
from emperord.journal.events import Spec
from journal_builder import MONITOR, SECOND, Builder, building
from support.replaying import asking

SPEC = Spec(ts=1, path="/etc/vassals/a.ini")

run = asking("why")


Story = Callable[[Builder], object]


def throttled(b: Builder) -> None:
    b.added("a.ini")  # 3
    b.spawned("a.ini")
    b.exited("a.ini", code=1, log="Traceback (most recent call last):\nImportError: \x1b[31mapp")


def held(b: Builder) -> None:
    b.up("a.ini")  # 3, 4, 5
    b.operator("stop", "a.ini", uid=1017)  # 6
    b.exited("a.ini", signal=15)  # 7


def held_with_all(b: Builder) -> None:
    b.up("a.ini")
    b.operator("stop", uid=0)  # 6
    b.exited("a.ini", code=0)


def barred(b: Builder) -> None:
    b.added("a.ini", bar="owned by root")


def accepting_by_another(b: Builder) -> None:
    b.start(max_starting=1)  # 3, 4
    b.added("b.ini")  # 5
    b.added("a.ini")  # 6
    b.accepting("b.ini")  # 7: gives its slot to a.ini


def restarted(b: Builder) -> None:
    b.up("a.ini")
    b.of_attempt("heartbeat_started", "a.ini")
    b.of_attempt("heartbeat_lost", "a.ini", silent=30.0)  # 7
    b.exited("a.ini", signal=9)  # 8


def broken_by_a_change(b: Builder) -> None:
    b.up("a.ini")  # 3, 4, 5
    b.changed("a.ini", b"workers = two\n")  # 6
    b.exited("a.ini", code=1)  # 7


def reloaded(b: Builder) -> None:
    b.up("a.ini")
    b.operator("reload", "a.ini")  # 6
    b.accepting("a.ini")  # 7


def removed(b: Builder) -> None:
    b.up("a.ini")
    b.removed("a.ini", reason="the file is gone")  # 6
    b.exited("a.ini", code=0)  # 7


def away(b: Builder) -> None:
    b.up("a.ini")
    b.event("monitor_failed", monitor=MONITOR, reason="no such directory")


def started_again(b: Builder) -> None:
    b.up("a.ini")  # 3, 4, 5
    b.operator("stop", "a.ini")  # 6
    b.exited("a.ini", code=0)  # 7
    b.operator("start", "a.ini")  # 8
    b.spawned("a.ini")
    b.accepting("a.ini")  # 10


def started_again_with_all(b: Builder) -> None:
    b.up("a.ini")  # 3, 4, 5
    b.operator("stop")  # 6
    b.exited("a.ini", code=0)  # 7
    b.operator("start")  # 8
    b.spawned("a.ini")
    b.accepting("a.ini")  # 10


def killed_after_mercy(b: Builder) -> None:
    b.up("a.ini")  # 3, 4, 5
    b.operator("stop", "a.ini")  # 6
    _killed(b)


def removed_after_mercy(b: Builder) -> None:
    b.up("a.ini")  # 3, 4, 5
    b.removed("a.ini")  # 6
    _killed(b)


def _killed(b: Builder) -> None:
    vassal = b.fleet.vassals["a.ini"]
    b.event("deadline_passed", "a.ini", cause=vassal.because, after=30, deadline=vassal.deadline)
    b.event("exited", "a.ini", cause=vassal.order, attempt=vassal.attempt, signal=9)


def removed_with_many(b: Builder) -> None:
    names = ("a.ini", *(f"b{number}.ini" for number in range(6)))
    for name in names:  # 3 to 9
        b.event("vassal_added", name, MONITOR, after=0.001, spec=SPEC)
    for name in names:
        b.accepting(name)  # 10 to 16
    b.operator("reload", "b0.ini")  # 17
    b.event("monitor_failed", monitor=MONITOR, reason="Permission denied")  # 18
    b.event("monitor_recovered", monitor=MONITOR, after=60)
    b.event("listing_doubted", monitor=MONITOR, missing=names, known=7)  # 20
    for number, name in enumerate(names):
        after = 0.001 if number else 3
        b.event("vassal_removed", name, MONITOR, after=after, reason="no longer listed")
    b.exited("a.ini", code=0)


def waits_among_many(b: Builder) -> None:
    b.start(max_starting=2)
    for name in ("b.ini", "c.ini", "a.ini", "d.ini", "e.ini"):
        b.event("vassal_added", name, MONITOR, after=0.001, spec=SPEC)


def waited_for_its_reload(b: Builder) -> None:
    b.start(max_starting=1)  # 3, 4
    for name in ("a.ini", "b.ini"):
        b.added(name)  # 5, 7
        b.accepting(name)  # 6, 8
    b.changed("b.ini")  # 9
    b.changed("a.ini")  # 10
    b.at += SECOND
    b.accepting("b.ini")  # 11
    b.accepting("a.ini")  # 12


def crash_loop(b: Builder) -> None:
    b.up("a.ini", b"release = 1")  # 3, 4, 5
    b.changed("a.ini", b"release = 2")  # 6
    _dies(b, 4)  # 7 to 16
    for release in (3, 4):
        b.changed("a.ini", b"release = %d" % release)  # 17, 24
        b.spawned("a.ini")
        _dies(b, 2)
    b.changed("a.ini", b"release = 5")  # 29
    b.spawned("a.ini")
    b.accepting("a.ini")  # 31
    b.of_attempt("vassal_loyal", "a.ini")


def _dies(b: Builder, times: int) -> None:
    for turn in range(times):
        if turn:
            vassal = b.fleet.vassals["a.ini"]
            assert vassal.deadline is not None
            b.at = max(b.at, vassal.deadline)
            b.event("deadline_passed", "a.ini", cause=vassal.because, deadline=vassal.deadline)
            b.spawned("a.ini")
        b.exited("a.ini", code=1, log="Traceback")


def a_long_life(b: Builder) -> None:
    b.up("a.ini")  # 3, 4, 5
    for release in range(80):
        b.changed("a.ini", b"release = %d" % release)
        b.accepting("a.ini")


STORIES: dict[Story, list[str]] = {
    throttled: [
        "a.ini is throttled: exit code 1 (for 0.00s, as of event 5)",
        "06:00:03.000  vassal_added: config",
        "from dir:vassals -> spawn  (event 3)",
        "06:00:05.000  exited: exit code 1  (event 5)",
        "    | Traceback (most recent call last):",
        "    | ImportError: \\x1b[31mapp",
        "phase:           throttled since 2026-11-24 06:00:05.000 UTC",
        "deaths in a row: 1",
        "next try:        2026-11-24 06:00:06.000 UTC, 1.00s after this",
        "last deploy:     2026-11-24 06:00:03.000 UTC (event 3)",
        "last exit:       exit code 1, 2026-11-24 06:00:05.000 UTC (event 5)",
    ],
    held: [
        "a.ini is held: stopped by an operator",
        "operator_requested: stop by uid 1017 via emperor-ctl -> stop  (event 6)",
        "killed by signal 15 (SIGTERM), as ordered: stop by an operator (event 6)  (event 7)",
        "stopped by:      uid 1017 via emperor-ctl, 2026-11-24 06:00:06.000 UTC (event 6)",
    ],
    held_with_all: ["stopped by:      uid 0 via emperor-ctl", "(event 6)"],
    barred: [
        "a.ini is barred: owned by root",
        "may not run: owned by root",
        "next try:        when its config changes",
    ],
    accepting_by_another: [
        "a.ini is starting",
        "vassal_added: config",
        "waited 1.00s for the only slot -> spawn  (event 7)",
    ],
    started_again: [
        "a.ini is accepting",
        "operator_requested: stop by uid 1000 via emperor-ctl -> stop  (event 6)",
        "exited: exit code 0  (event 7)",
        "operator_requested: start by uid 1000 via emperor-ctl -> spawn  (event 8)",
        "vassal_accepting  (event 10)",
    ],
    started_again_with_all: [
        "a.ini is accepting",
        "operator_requested: stop by uid 1000 via emperor-ctl -> stop  (event 6)",
        "operator_requested: start by uid 1000 via emperor-ctl -> spawn  (event 8)",
        "vassal_accepting  (event 10)",
    ],
    killed_after_mercy: [
        "a.ini is held",
        "stop by uid 1000 via emperor-ctl -> stop  (event 6)",
        "its mercy of 30s ran out -> kill  (event 7)",
        "exited: killed by signal 9 (SIGKILL), by emperord: it did not stop in time  (event 8)",
    ],
    removed_after_mercy: [
        "a.ini is not there any more",
        "vassal_removed, from dir:vassals -> stop  (event 6)",
        "its mercy of 30s ran out -> kill  (event 7)",
        "exited: killed by signal 9 (SIGKILL), by emperord: it did not stop in time  (event 8)",
    ],
    removed_with_many: [
        "a.ini is not there any more",
        "vassal_added, from dir:vassals -> spawn  (event 3)",
        "one of 7 added together (events 3-9)",
        "its source could not be read for 1m00s: Permission denied  (events 18-19)",
        "listing_doubted: 7 of 7 are missing: a.ini, b0.ini, b1.ini, ...  (event 20)",
        "vassal_removed: no longer listed",
        "one of 7 removed by the same listing (events 21-27)",
    ],
    waits_among_many: [
        "a.ini is queued",
        "slot:            waits for one of 2 slots, 3 in line, since 2026-11-24 06:00:04",
    ],
    waited_for_its_reload: [
        "a.ini is accepting",
        "vassal_changed: config",
        "waited 2.00s for the only slot -> reload  (event 11)",
        "vassal_accepting  (event 12)",
    ],
    crash_loop: [
        "a.ini is accepting",
        "was down for 33s from 2026-11-24 06:00:07.000 UTC, 8 deaths, 3 deploys:",
        "broken by 6, last good 3, repairs 17 ✗ 23 ✗ 29 ✓",
        "vassal_added: config",
        "vassal_accepting  (event 5)",
        "vassal_changed: config",
        "-> reload  (event 6)",
        "exited: exit code 1  (event 7)",
        "    | Traceback",
        "... 3 more deaths: exit code 1  (events 8-16)",
        "vassal_changed: config",
        "-> spawn  (event 17)",
        "-> spawn  (event 23)",
        "-> spawn  (event 29)",
        "vassal_accepting  (event 31)",
        "phase:           accepting since",
    ],
    a_long_life: [
        "a.ini is accepting",
        "vassal_added: config",
        "06:00:04.000  ... 158 events of it  (events 4-161)",
        "vassal_changed: config",
        "-> reload  (event 164)",
        "vassal_accepting  (event 165)",
    ],
    restarted: [
        "a.ini is starting",
        "heartbeat_lost: silent for 30 s -> kill  (event 7)",
        "exited: killed by signal 9 (SIGKILL), by emperord: no heartbeat for 30 s -> spawn  (event",
        "last exit:       killed by signal 9 (SIGKILL), by emperord: no heartbeat for 30 s",
    ],
    broken_by_a_change: [
        "a.ini is throttled: exit code 1",
        "vassal_added: config",
        "vassal_changed: config",
        "-> reload  (event 6)",
        "exited: exit code 1  (event 7)",
    ],
    reloaded: ["a.ini is accepting", "reload by uid 1000", "vassal_accepting  (event 7)"],
    removed: [
        "a.ini is not there any more (as of event 7)",
        "vassal_removed: the file is gone, from dir:vassals -> stop  (event 6)",
        "exited: exit code 0  (event 7)",
        f"removed:         2026-11-24 06:00:06.000 UTC, by {MONITOR} (event 6)",
        "last exit:       exit code 0",
    ],
    away: [
        "a.ini is accepting",
        "process:         pid 4000",
        "its source:      cannot be read since 2026-11-24 06:00:06.000 UTC: no such directory",
    ],
}


@pytest.mark.parametrize(
    ("story", "says"), STORIES.items(), ids=[story.__name__ for story in STORIES]
)
def test_it_tells(tmp_path: Path, story: Story, says: list[str]) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        story(builder)
    result = run(path, "a.ini")
    assert result.exit_code == 0, result.output
    rest = result.stdout
    for part in says:  # in this order
        assert part in rest, result.stdout
        rest = rest[rest.index(part) :]
    assert "\x1b" not in result.stdout
    numbers = [int(seq) for seq in re.findall(r"  \(events? (\d+)", result.stdout)]
    assert numbers == sorted(numbers), "a story goes forward"


def test_at_a_time(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        held(builder)
        removed_at = builder.removed("a.ini")
    assert removed_at == 8
    assert "a.ini is accepting" in run(path, "a.ini", "--at", "2026-11-24T06:00:05Z").stdout
    assert "a.ini is stopping" in run(path, "a.ini", "--at", "2026-11-24T06:00:06Z").stdout
    assert "a.ini is held" in run(path, "a.ini", "--at", "2026-11-24T06:00:07Z").stdout
    assert "is not there any more" in run(path, "a.ini").stdout
    result = run(path, "a.ini", "--at", "2026-11-24T06:00:02Z")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "a.ini was not known then; event 3" in result.stderr


def test_a_name_that_was_never_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.added("webshop.ini")
        builder.event(
            "observation_rejected",
            monitor=MONITOR,
            name="café.ini\\x07",
            reason="control character",
        )
    result = run(path, "webhsop.ini")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "did you mean webshop.ini?" in result.stderr
    result = run(path, "zzzzzz")
    assert result.exit_code == 1
    assert "did you mean" not in result.stderr
    result = run(path, "café.ini\x07")
    assert result.exit_code == 1
    assert "event 4 refused it: control character" in result.stderr
    monkeypatch.setattr(reading, "_LATELY", 0)  # then it is too long ago
    assert "refused" not in run(path, "café.ini\x07").stderr


def test_a_loop_of_causes_ends(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.event("vassal_added", "a.ini", MONITOR, 4, spec=SPEC)
        builder.event("vassal_accepting", "a.ini", cause=3, attempt=3)
    assert run(path, "a.ini").stdout.count("(event 3)") >= 1


def test_a_cause_that_is_not_in_this_file_ends_the_story(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.event("vassal_added", "a.ini", MONITOR, 4000, spec=SPEC)
    assert run(path, "a.ini").exit_code == 0


def test_for_programs(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        crash_loop(builder)
    told = json.loads(run(path, "a.ini", "--json").stdout)
    assert {key: told[key] for key in ("vassal", "seq", "phase", "because", "wait")} == {
        "vassal": "a.ini",
        "seq": 32,
        "phase": "accepting",
        "because": 31,
        "wait": None,
    }
    broken = told["break"]
    assert [broken[key]["seq"] for key in ("first_death", "last_death")] == [7, 28]
    assert [broken[key]["seq"] for key in ("broken_by", "under", "last_good")] == [6, 6, 3]
    assert (broken["deaths"], broken["until_seq"], broken["over"]) == (8, 31, True)
    tried = [(each["seq"], each["outcome"], each["outcome_seq"]) for each in broken["repairs"]]
    assert tried == [(17, "died", 19), (23, "died", 25), (29, "accepting", 31)]
    events = {event["seq"]: event for event in told["events"]}
    assert (events[7]["cause"], events[7]["log"]) == (3, ["Traceback"])
    assert (events[8]["kind"], events[8]["last"]) == ("repeated", 16)
    assert events[20]["orders"] == ["spawn"]
    assert told["state"]["name"] == "a.ini"
    assert told["facts"]["process"] == "pid 4000, loyal"


def test_a_vassal_that_is_gone_for_programs(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        removed_with_many(builder)
    told = json.loads(run(path, "a.ini", "--json").stdout)
    assert (told["phase"], told["state"], told["break"]) == (None, None, None)
    removal = next(event for event in told["events"] if event["kind"] == "vassal_removed")
    assert removal["together"] == {
        "kind": "vassal_removed",
        "count": 7,
        "first": 21,
        "last": 27,
        "kinds": {"vassal_removed": 7},
    }

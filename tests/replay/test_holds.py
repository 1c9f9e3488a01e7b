"""An operator's stop that everybody forgot: who holds what, and what waits for it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from emperord.journal import chain
from emperord.replay import archiving
from journal_builder import MONITOR, OTHER, Builder, building
from support.archives import cut
from support.incidents import known, told

OLD, NEW, NEWER = (f"[uwsgi]\nsays = {word}\n".encode() for word in ("old", "new", "newer"))


def held(builder: Builder) -> None:
    builder.operator("stop", "a.ini")  # 6
    builder.exited("a.ini", signal=15)


def held_twice_changed(builder: Builder) -> None:
    held(builder)
    builder.changed("a.ini", NEW)  # 8
    builder.changed("a.ini", NEWER)  # 9


def held_and_refused(builder: Builder) -> None:
    held(builder)
    builder.event("request_refused", "a.ini", request="retry", error="is held", name="a.ini", uid=7)


def held_with_all(builder: Builder) -> None:
    builder.operator("stop")  # 6
    builder.exited("a.ini", signal=15)


def held_again(builder: Builder) -> None:
    started_again(builder)
    builder.spawned("a.ini")
    builder.operator("stop", "a.ini", uid=7)  # 10
    builder.exited("a.ini", signal=15)


def started_again(builder: Builder) -> None:
    held(builder)
    builder.at += 50 * 3600 * 10**9
    builder.operator("start", "a.ini", uid=0)  # 8


def reloaded_since(builder: Builder) -> None:
    started_again(builder)
    builder.accepting("a.ini")
    builder.operator("reload", "a.ini")


def removed_meanwhile(builder: Builder) -> None:
    """It comes back without the hold, so a later start ends none."""
    held(builder)
    builder.removed("a.ini")  # 8
    builder.at += 3600 * 10**9
    builder.up("a.ini", NEW)  # 9, 10, 11
    builder.exited("a.ini", code=1)
    builder.operator("start", "a.ini")


def removed_by_another_source(builder: Builder) -> None:
    held(builder)
    builder.removed("a.ini", OTHER)  # 8
    builder.operator("start", "a.ini", uid=0)  # 9


def all_stopped_while_it_was_away(builder: Builder) -> None:
    started_again(builder)
    builder.spawned("a.ini")
    builder.removed("a.ini")
    builder.exited("a.ini", signal=15)
    builder.operator("stop")
    builder.operator("start")
    builder.up("a.ini", NEW)


BY = "uid 1000 via emperor-ctl"
CASES: dict[Callable[[Builder], None], list[str]] = {
    held: [
        f"stopped by:      {BY}, 2026-11-24 06:00:06.000 UTC (event 6)\n",
        f"would start:     {chain.digest(OLD)[:12]}, as it ran before\n",
    ],
    held_twice_changed: [
        "waits for it:    2 changes (events 8, 9)\n",
        f"would start:     {chain.digest(NEWER)[:12]}; it ran {chain.digest(OLD)[:12]} before;",
    ],
    held_and_refused: ["refused since:   1 request: retry (event 8)\n"],
    held_with_all: [f"stopped by:      {BY}, 2026-11-24 06:00:06.000 UTC (event 6)\n"],
    held_again: ["stopped by:      uid 7 via emperor-ctl", "(event 10)\n"],
    started_again: [
        "was held:        for 2d2h until 2026-11-26 08:00:08.000 UTC: stopped by ",
        f"{BY} (event 6), started by uid 0 via emperor-ctl (event 8)\n",
    ],
    reloaded_since: ["was held:        for 2d2h until"],
    removed_meanwhile: [
        "was held:        for 2.00s until 2026-11-24 06:00:08.000 UTC: stopped by ",
        f"{BY} (event 6), removed by {MONITOR} (event 8)\n",
    ],
    removed_by_another_source: [
        "was held:        for 3.00s until",
        "(event 6), started by uid 0 via emperor-ctl (event 9)\n",
    ],
    all_stopped_while_it_was_away: ["was held:        for 2d2h until"],
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_why_tells_of_the_hold(tmp_path: Path, case: Callable[[Builder], None]) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start((MONITOR, OTHER))
        builder.up("a.ini", OLD)
        case(builder)
    text = told(path, "why", "a.ini")
    for part in CASES[case]:
        assert part in text


def test_state_tells_who_holds_what_since_when(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("a.ini", OLD)
        builder.up("b.ini", OLD)
        seq = builder.operator("stop", "a.ini")
        builder.exited("a.ini", signal=15)
        builder.operator("stop")
        builder.exited("b.ini", signal=15)
        builder.operator("start", "b.ini")
    first, second = known(path, "state")["vassals"]
    hold = {"seq": seq, "at": "2026-11-24T06:00:09.000000000Z", "uid": 1000, "loginuid": None}
    assert (first["hold"], second["hold"]) == (hold, None)
    by = f"by uid 1000 since 2026-11-24T06:00:09Z (event {seq})"
    lines = told(path, "state").splitlines()
    assert lines[1] == f"a.ini: held: {by}, for 4.00s"
    assert lines[3].endswith(f"stopped by an operator; held {by}")


def test_the_difference_that_a_start_would_make(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("a.ini", OLD)
        held_twice_changed(builder)
    lines = told(path, "diff", "a.ini", "--running").splitlines()
    assert lines[0] == f"--- a.ini\tran, {chain.digest(OLD)[:12]}"
    assert lines[1] == f"+++ a.ini\twanted, {chain.digest(NEWER)[:12]}"
    assert lines[-2:] == ["-says = old", "+says = newer"]
    assert told(path, "diff", "a.ini", "8", "--running", code=2) == ""


def test_a_stop_that_everybody_forgot(incident: Callable[[str], str]) -> None:
    """Each question of the incident is answered by one command."""
    journal = incident("held")
    vassals = {vassal["name"]: vassal for vassal in known(journal, "state")["vassals"]}
    assert [name for name, vassal in vassals.items() if vassal["hold"]] == ["cron.ini", "web.ini"]
    facts = told(journal, "why", "web.ini")
    assert "web.ini is held: stopped by an operator" in facts
    assert "stopped by:      uid " in facts
    assert "waits for it:    2 changes (events " in facts
    assert "refused since:   1 request: retry (event " in facts
    assert "was held:        for " in told(journal, "why", "mail.ini")
    deploys = known(journal, "history")
    assert [deploy["outcome"] for deploy in deploys if deploy["vassal"] == "web.ini"] == [
        "running", "held", "held",
    ]  # fmt: skip
    back = [deploy for deploy in deploys if deploy["vassal"] == "shop.ini"]
    assert (back[-1]["removed"], back[-1]["same_as"]) == (back[-2]["seq"], back[0]["seq"])
    assert "+command = sh -c ': release 3; " in told(journal, "diff", "web.ini", "--running")


def test_the_stop_that_holds_is_found_without_a_search(tmp_path: Path) -> None:
    """A stop of all, long ago: the phase leads to it."""
    path = str(tmp_path / "journal.db")
    with building(path, group=1000) as builder:
        builder.start()
        builder.up("a.ini")
        stop = builder.operator("stop", uid=7)
        builder.event("exited", "a.ini", cause=stop, attempt=3, code=0)
        for _ in range(20_500):
            builder.event("connection_waiting", "b.ini")
    page = told(path, "why", "a.ini")
    assert (
        f"stopped by:      uid 7 via emperor-ctl, 2026-11-24 06:00:06.000 UTC (event {stop})"
        in page
    )


def test_a_stop_of_all_holds_no_vassal_that_came_later(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("a.ini", OLD)
        builder.operator("stop")
        builder.exited("a.ini", signal=15)
        builder.up("new.ini", NEW)
        builder.at += 3600 * 10**9
        builder.operator("start")
        builder.spawned("a.ini")
    assert "was held:        for 1h00m until" in told(path, "why", "a.ini")
    assert "held:" not in told(path, "why", "new.ini")


def test_a_stop_of_all_holds_a_vassal_with_which_the_file_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "KEPT", 3)
    path = tmp_path / "journal.db"
    with building(str(path)) as builder:
        builder.start()
        builder.up("a.ini", OLD)
        cut_at = builder.seq
        builder.operator("stop")
        builder.exited("a.ini", signal=15)
        builder.operator("start")
        builder.spawned("a.ini")
    cut(path, cut_at, tmp_path / "old.db")
    assert "was held:        for 2.00s until" in told(str(path), "why", "a.ini")

"""``incident`` without a name: the last incident of the fleet."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from emperord.journal.events import Before, Spec
from journal_builder import MONITOR, SECOND, Builder, building
from support.incidents import known, told
from support.replaying import asking

SOURCE = "dir:vassals"  # its short name
NAMES = tuple(f"shop{number}.ini" for number in range(6))

run = asking("incident")


def six(b: Builder) -> None:
    for name in NAMES:
        b.up(name, b"release = 1")  # 3 to 20
    b.changed(NAMES[1], b"release = 2")  # 21
    b.accepting(NAMES[1])  # 22


def outage(b: Builder) -> None:
    six(b)
    b.event("monitor_failed", monitor=MONITOR, after=300, reason="Permission denied")  # 23


def back(b: Builder) -> None:
    outage(b)
    b.event("monitor_recovered", monitor=MONITOR, after=60)  # 24


def emptied(b: Builder) -> None:
    back(b)
    b.event("listing_doubted", monitor=MONITOR, after=0.001, missing=NAMES, known=6)  # 25
    for number, name in enumerate(NAMES):  # 26 to 31
        after = 0.001 if number else 3
        b.event("vassal_removed", name, MONITOR, after=after, reason="no longer listed")
    for name in NAMES:
        b.exited(name, code=0)  # 32 to 37
    b.added(NAMES[0], b"release = 1")  # 38
    b.added(NAMES[1], b"release = 1")
    b.added(NAMES[2], b"release = 3")  # 40


def back_soon(b: Builder) -> None:
    outage(b)
    b.event("monitor_recovered", monitor=MONITOR, after=3)  # 24


def loses_few(b: Builder) -> None:
    back_soon(b)
    for name in NAMES[:2]:  # 25, 26
        b.event("vassal_removed", name, MONITOR, after=0.001, reason="no longer listed")
    b.exited(NAMES[0], code=0)  # 27
    b.added(NAMES[0], b"release = 1")  # 28


def loses_few_with_pauses(b: Builder) -> None:
    """The removals of one listing, while the disk is slow."""
    back_soon(b)
    for name, after in zip(NAMES[:4], (0.001, 0.15, 0.4, 0.001), strict=True):  # 25 to 28
        b.event("vassal_removed", name, MONITOR, after=after, reason="no longer listed")


def loses_many_with_pauses(b: Builder) -> None:
    back_soon(b)
    for number, name in enumerate(NAMES):  # 25 to 30
        after = 0.5 if number == 5 else 0.001
        b.event("vassal_removed", name, MONITOR, after=after, reason="no longer listed")


def loses_few_after_a_doubt(b: Builder) -> None:
    back(b)
    b.event("listing_doubted", monitor=MONITOR, after=0.001, missing=NAMES, known=6)  # 25
    b.event("vassal_removed", NAMES[0], MONITOR, after=3, reason="no longer listed")  # 26


def loses_few_later(b: Builder) -> None:
    back_soon(b)
    b.event("vassal_removed", NAMES[0], MONITOR, after=2)  # 25
    b.removed(NAMES[1])  # 26


def loses_another_with_one_of_a_doubt(b: Builder) -> None:
    loses_few_after_a_doubt(b)
    b.event("vassal_removed", "other.ini", MONITOR, after=0.3)  # 27: never there


def loses_another_after_a_doubt(b: Builder) -> None:
    back(b)
    b.event("listing_doubted", monitor=MONITOR, after=0.001, missing=NAMES[1:], known=6)  # 25
    b.event("vassal_removed", NAMES[0], MONITOR, after=3)  # 26


def one_by_one(b: Builder) -> None:
    six(b)
    for name in NAMES:
        b.removed(name)


def crash_loop(b: Builder) -> None:
    emptied(b)
    for _ in range(4):
        b.exited(NAMES[0], code=1)
        deadline = b.fleet.vassals[NAMES[0]].deadline
        assert deadline is not None
        b.at = max(b.at, deadline)
        b.event("deadline_passed", NAMES[0], deadline=deadline)


def killed(b: Builder) -> None:
    b.up("a.ini", b"release = 1")  # 3, 4, 5
    b.event("vassal_added", "b.ini", MONITOR, spec=Spec(ts=1))  # 6
    b.accepting("b.ini")
    b.changed("a.ini", b"release = 2")  # 8
    before = Before(how="killed", version="0.1.0", signal=9, away=2 * SECOND, silent=3 * SECOND)
    b.at += 2 * SECOND
    b.start(before=before, throttle=5000, ready=False)  # 9
    b.of_attempt("exited", "b.ini", away=True)  # 10
    b.event("daemon_ready")  # 11


def killed_before_that_was_told(b: Builder) -> None:
    b.up("a.ini")
    b.start()  # 6


def stopped(b: Builder) -> None:
    b.up("a.ini")
    b.event("daemon_stopping", reason="SIGTERM")
    b.exited("a.ini", code=0)
    b.event("daemon_stopped")
    b.start(before=Before(how="told"))


def stopped_before_that_was_told(b: Builder) -> None:
    b.event("daemon_stopped")
    b.start()


def upgraded(b: Builder) -> None:
    b.operator("upgrade")
    b.start()


STORIES: dict[Callable[[Builder], None], list[str]] = {
    outage: [
        f"# {SOURCE} cannot be read\n",
        f"- **source:** {MONITOR}\n",
        "- **unreadable:** since 2026-11-24 06:05:22.000 UTC (event 23), 0.00s by event 23\n",
        "- **because:** Permission denied\n",
        "- **removed:** none\n",
        "- **before:** 6 vassals, 6 with a process: state --seq 22\n",
    ],
    back: [
        f"# {SOURCE} could not be read for 1m00s\n",
        "- **unreadable:** 2026-11-24 06:05:22.000 to 06:06:22.000 UTC, 1m00s (events 23-24)\n",
    ],
    loses_few: [
        f"# {SOURCE} could not be read for 3.00s, and lost 2 vassals\n",
        "- **unreadable:** 2026-11-24 06:05:22.000 to 06:05:25.000 UTC, 3.00s (events 23-24)\n",
        "- **doubted:** no: fewer than five vassals were missing, or half of them or more stayed\n",
        "- **removed:** 2 of 6 at once, 2026-11-24 06:05:25.001 UTC, within 0.00s (events 25-26)\n",
        "- **tied to the outage:** yes: the source could be read again 0.00s before\n",
        "## Came back\n\n- 1 with the same text: shop0.ini\n- 1 not back: shop1.ini\n",
        "## Also changed within a minute of it\n",
        "removed: shop0.ini, shop1.ini, from dir:vassals (events 25-26)\n",
    ],
    loses_few_with_pauses: [
        f"# {SOURCE} could not be read for 3.00s, and lost 4 vassals\n",
        "- **removed:** 4 of 6 at once, 2026-11-24 06:05:25.001 UTC, within 0.55s (events 25-28)\n",
        "- 4 not back: shop0.ini, shop1.ini, shop2.ini, shop3.ini\n",
    ],
    loses_many_with_pauses: [
        f"# {SOURCE} lost 6 of its 6 vassals\n",
        "- **removed:** 6 of 6 at once, 2026-11-24 06:05:25.001 UTC, within 0.50s (events 25-30)\n",
    ],
    loses_another_with_one_of_a_doubt: [
        f"# {SOURCE} could not be read for 1m00s, and lost 1 vassal\n",
        "- **removed:** 1 of 6 at once, 2026-11-24 06:06:25.001 UTC, within 0.00s (events 26-26)\n",
    ],
    loses_few_after_a_doubt: [
        f"# {SOURCE} could not be read for 1m00s, and lost 1 vassal\n",
        "- **doubted:** yes: 6 of 6 were missing (06:06:22.001, event 25)\n",
        "- **removed:** 1 of 6 at once, 2026-11-24 06:06:25.001 UTC, within 0.00s (events 26-26)\n",
    ],
    loses_few_later: [
        f"# {SOURCE} could not be read for 3.00s\n",
        "- **removed:** none\n",
        "removed: shop0.ini, shop1.ini, from dir:vassals (events 25-26)\n",
    ],
    loses_another_after_a_doubt: [
        f"# {SOURCE} could not be read for 1m00s\n",
        "- **removed:** none\n",
    ],
    emptied: [
        f"# {SOURCE} lost 6 of its 6 vassals\n",
        "- **unreadable:** 2026-11-24 06:05:22.000 to 06:06:22.000 UTC, 1m00s (events 23-24)\n",
        "- **because:** Permission denied\n",
        "- **doubted:** yes: 6 of 6 were missing (06:06:22.001, event 25)\n",
        "- **removed:** 6 of 6 at once, 2026-11-24 06:06:25.001 UTC, within 0.01s (events 26-31)\n",
        "- **tied to the outage:** yes: the source could be read again 3.00s before\n",
        "- **before:** 6 vassals, 6 with a process: state --seq 22\n",
        f"- **emptied by:** not known: {SOURCE} tells no author\n",
        "- **requests refused:** not known",
        "## Came back\n\n- 1 with the same text: shop0.ini\n- 1 with an older text: shop1.ini (",
        ", as in event 6)\n- 1 with another text: shop2.ini (",
        "- 3 not back: shop3.ini, shop4.ini, shop5.ini\n",
        "show NAME --seq 25\n",
    ],
    crash_loop: [
        "# shop0.ini is down since 2026-11-24",
        "## Deaths by vassal, in a day at most (events 1-48)\n\n- 4 shop0.ini\n",
        "## Before it\n\n",
        f"{SOURCE} lost 6 vassals (event 23)\n",
    ],
    killed: [
        "# the daemon was killed by signal 9, before 2026-11-24 06:00:11.000 UTC\n",
        "- **how it ended:** the daemon was killed by signal 9\n",
        "- **nobody in charge:** 2.00s from its end to the next start; 3.00s from its last event",
        "- **it decided by:** version 0.1.0 (event 1), rules 2; policy max-starting 100\n",
        "- **the next one:** rules 2; policy throttle 5000\n",
        "- **ran what was wanted then:** 1 of 2: 1 run an older config (event 8)\n",
        "- **run what is wanted now:** 1 of 2: 1 run an older config (event 11)\n",
        "## Vassals that died while no daemon was there\n\n- b.ini: ",
        "## Ran an older config when the daemon ended\n\n- 1 still, 5.00s after its change at",
    ],
    killed_before_that_was_told: [
        "# the daemon died, before",
        "- **how it ended:** nothing told it to stop; the machine ran on (its boot id)\n",
    ],
}


@pytest.mark.parametrize(
    ("story", "says"), STORIES.items(), ids=[story.__name__ for story in STORIES]
)
def test_the_page(tmp_path: Path, story: Callable[[Builder], None], says: list[str]) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        story(builder)
    result = run(path)
    assert result.exit_code == 0, result.output
    rest = result.stdout
    for part in says:
        assert part in rest, result.stdout
        rest = rest[rest.index(part) :]


@pytest.mark.parametrize(
    "story",
    [six, one_by_one, stopped, stopped_before_that_was_told, upgraded],
    ids=lambda story: story.__name__,
)
def test_no_incident(tmp_path: Path, story: Callable[[Builder], None]) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        story(builder)
    result = run(path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no incident is in this journal" in result.stderr


def test_the_last_one_as_of_then(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        crash_loop(builder)
    assert f"# {SOURCE} lost 6 of its 6 vassals" in run(path, "--at", "@40").stdout
    assert f"# {SOURCE} cannot be read" in run(path, "--at", "@23").stdout


@pytest.mark.parametrize("name", [(), ("a.ini",)], ids=["the fleet", "a vassal"])
def test_the_page_tells_of_no_later_changes(tmp_path: Path, name: tuple[str, ...]) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("a.ini")
        builder.start()  # 6
        builder.operator("stop", "a.ini")  # 8
        builder.exited("a.ini", code=0)
        builder.event("daemon_stopping", reason="SIGTERM")  # 10
    for at, names in {8: ("stop by",), 10: ("stop by", "daemon_stopping")}.items():
        page = run(path, *name, "--at", f"@{at}").stdout
        assert tuple(name for name in ("stop by", "daemon_stopping") if name in page) == names


def test_for_programs(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        emptied(builder)
    found = json.loads(run(path, "--json").stdout)
    assert {
        key: found[key] for key in ("kind", "seq", "about", "outage", "doubted", "removed")
    } == {
        "kind": "removal",
        "seq": 23,
        "about": MONITOR,
        "outage": [23, 24],
        "doubted": 25,
        "removed": [26, 27, 28, 29, 30, 31],
    }
    assert found["facts"]["because"] == "Permission denied"


def dies_with_its_daemon(b: Builder, **how: Any) -> None:
    """One of four vassals ends with its daemon. Later the next daemon is replaced."""
    names = [f"{letter}.ini" for letter in "abcd"]
    for name in names:
        b.up(name)  # 3 to 14
    b.start(before=Before(how="killed", signal=9, away=SECOND), ready=False)  # 15
    for name in names[1:]:
        b.of_attempt("adopted", name, pid=4000, start_time=40000)  # 16 to 18
    b.of_attempt("exited", names[0], **how)  # 19
    b.exited(names[1], signal=9)  # 20: the next daemon is there, and not ready yet
    b.event("daemon_ready")  # 21
    b.exited(names[2], signal=9)  # 22
    b.start(before=Before(how="replaced", away=SECOND), ready=False)  # 23
    b.of_attempt("adopted", names[3], pid=4000, start_time=40000)  # 24
    b.event("daemon_ready")  # 25


@pytest.mark.parametrize(
    ("how", "at", "lines"),
    [
        pytest.param(
            {"signal": 9}, 25,
            ["a.ini: killed by signal 9 (SIGKILL), not by emperord (event 19)"],
            id="a keeper saw it",
        ),
        pytest.param(
            {"away": True}, 25,
            ["a.ini: nobody knows how, while no daemon was there (event 19)"],
            id="nothing saw it",
        ),
        pytest.param({}, 15, ["Not known: at event 15 the next daemon starts."], id="not looked"),
        pytest.param({}, 18, ["Not known: at event 18 the next daemon starts."], id="looks"),
    ],
)  # fmt: skip
def test_deaths_without_a_daemon(
    tmp_path: Path, how: dict[str, Any], at: int, lines: list[str]
) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        dies_with_its_daemon(builder, **how)
    sections = known(path, "incident", "--at", f"@{at}")["sections"]
    assert sections["Vassals that died while no daemon was there"] == lines


def test_an_upgrade_finds_no_survivors_of_a_killed_daemon(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("a.ini")
        endings: tuple[Literal["killed", "replaced"], ...] = ("killed", "replaced")
        for how in endings:
            builder.start(before=Before(how=how, signal=9, away=SECOND), ready=False)
            builder.of_attempt("adopted", "a.ini", pid=4000, start_time=40000)
            builder.event("daemon_ready")
    sections = known(path, "incident")["sections"]
    found = ["None; the next daemon found 1 running."]
    assert sections["Vassals that died while no daemon was there"] == found


def test_a_real_outage(incident: Callable[[str], str], tmp_path: Path) -> None:
    journal = incident("outage")
    page = told(journal, "incident")
    found = known(journal, "incident")
    assert (found["kind"], len(found["removed"])) == ("removal", 11), page
    assert found["outage"][0] < found["outage"][1] < found["doubted"] < found["removed"][0]
    assert "No such file or directory" in found["facts"]["because"]
    came = found["sections"]["Came back"]
    assert [line.partition(":")[0] for line in came] == [
        "6 with the same text",
        "1 with an older text",
        "1 with another text",
        "3 not back",
    ]
    program, *words = found["sections"]["Texts from before"][0].split()
    assert (program, words[-1]) == ("emperor-replay", "DIR")
    told(journal, *words[:-1], str(tmp_path / "texts"))
    assert len(list((tmp_path / "texts").iterdir())) == 14


def test_a_real_daemon_that_was_killed(incident: Callable[[str], str]) -> None:
    journal = incident("rolling")
    found = known(journal, "incident")
    assert (found["kind"], found["title"][:35]) == ("daemon", "the daemon was killed by signal 9, ")
    assert found["facts"]["ran what was wanted then"].startswith("6 of 50: 44 run an older config")
    died = found["sections"]["Vassals that died while no daemon was there"]
    assert died == ["None; the next daemon found 50 running."]


def test_the_deaths_of_real_vassals(incident: Callable[[str], str]) -> None:
    sections = known(incident("killed"), "incident")["sections"]
    counted = next(lines for title, lines in sections.items() if title.startswith("Deaths by"))
    assert counted[0] == "9 shop.ini"
    assert {line.split()[1] for line in counted} == {"shop.ini", "mute.ini"}  # others were stopped


def test_the_page_says_that_the_next_daemon_is_gone_as_well(
    tmp_path: Path, incident: Callable[[str], str]
) -> None:
    page = tmp_path / "page.md"
    assert run(incident("rolling"), "-o", str(page)).exit_code == 0
    assert "**the record ends:** " in page.read_text()
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        killed(builder)
        builder.event("daemon_stopped")
    assert "the record ends" not in run(path).stdout


def test_only_an_incident_of_a_period(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        outage(builder)
        begin = builder.fleet.seq
        builder.event("daemon_stopped")
    last = json.loads(run(path, "--json").stdout)
    assert last["seq"] <= begin
    since = run(path, "--since", f"@{last['seq']}", "--json")
    assert json.loads(since.stdout)["seq"] == last["seq"]
    after = run(path, "--since", f"@{begin + 1}")
    assert (after.exit_code, "no incident is in this period" in after.stderr) == (1, True)
    before = run(path, "--until", f"@{last['seq'] - 1}")
    assert (before.exit_code, "no incident is in this journal" in before.stderr) == (1, True)
    for wrong in (("--at", "@3", "--until", "@4"), ("a.ini", "--since", "@3")):
        assert run(path, *wrong).exit_code == 2

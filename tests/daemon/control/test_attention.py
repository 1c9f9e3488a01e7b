"""Findings that want attention: by histories folded, by a whole emperor, and as the page says."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from emperord.daemon.client.format import as_text
from emperord.daemon.client.status import brief
from emperord.daemon.control.attention import KINDS, Recent, attention
from emperord.daemon.core.actions import Action
from emperord.daemon.core.fleet import Fleet, Vassal
from fold.script import Script
from support.kept import Emperor
from support.vassals import SLEEPER, program, shell

from ..conftest import MakeEmperor

PAGE = Path(__file__).resolve().parents[3] / "docs" / "control.md"


@dataclass
class Daemon:
    """A daemon after a history."""

    fleet: Fleet
    recent: Recent
    paused: str | None = None
    unrecorded: int = 0
    doubted: Mapping[str, set[str]] = field(default_factory=dict)
    altered: frozenset[str] = frozenset()
    renamed: dict[str, str] = field(default_factory=dict)

    deferred: dict[str, int] = field(default_factory=dict)
    uncounted: dict[str, int] = field(default_factory=dict)
    flooding: dict[str, str] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)
    left: list[tuple[str, int]] = field(default_factory=list)

    clock: tuple[int, str] | None = None
    journal_troubles: dict[str, str] = field(default_factory=dict)

    def clock_trouble(self) -> tuple[int, str] | None:
        return self.clock

    def renamed_logs(self) -> dict[str, str]:
        return self.renamed

    def log_troubles(self) -> dict[str, str]:
        return self.troubles

    rejections: dict[str, tuple[int, str]] = field(default_factory=dict)

    def rejected(self) -> dict[str, tuple[int, str]]:
        return self.rejections

    def floods(self) -> dict[str, str]:
        return self.flooding

    def unjournaled(self) -> list[tuple[str, int]]:
        return self.left

    strayed: list[str] = field(default_factory=list)
    trouble: str | None = None

    statuses: dict[str, str] = field(default_factory=dict)

    def status_of(self, vassal: str) -> str | None:
        return self.statuses.get(vassal)

    def is_cheap(self, _: Vassal) -> bool:
        return False

    def strays(self) -> list[str]:
        return self.strayed

    def cgroup_troubles(self) -> dict[str, str]:
        return {} if self.trouble is None else {"no cgroup": self.trouble, "no limits": "x"}

    unwitnessed: tuple[int | None, str] | None = None

    def witness_trouble(self) -> tuple[int | None, str] | None:
        return self.unwitnessed

    unarchived: tuple[int | None, str] | None = None

    def archive_trouble(self) -> tuple[int | None, str] | None:
        return self.unarchived

    services: dict[str, tuple[int | None, str]] = field(default_factory=dict)

    def service_troubles(self) -> dict[str, tuple[int | None, str]]:
        return self.services


class Watched(Script):
    """A script whose daemon remembers what happened, and what caused it."""

    def __init__(self) -> None:
        super().__init__()
        self.recent = Recent()

    def happen(
        self, kind: str, vassal: str | None, monitor: str | None, body: dict[str, Any]
    ) -> list[Action]:
        known = self.fleet.vassals.get(vassal or "")
        cause = None if known is None else known.order
        actions = super().happen(kind, vassal, monitor, body)
        self.recent.note(msgspec.structs.replace(self.events[-1], cause=cause))
        return actions


UP = ["daemon started", "daemon ready", "added a.ini", "spawned a.ini", "accepting a.ini"]
DIES = ["exited a.ini code=1", "deadline a.ini", "spawned a.ini"]
SERVES = ["loyal a.ini", "at +2s"]
KILLED = ["exited a.ini signal=9", "spawned a.ini", "accepting a.ini", "at +2s"]
LOYAL = [*SERVES, *KILLED]

# A history, and of each thing that wants attention: what, vassal or monitor, reason.
WANTING: dict[str, tuple[list[str], list[tuple[str, str, str | None]]]] = {
    "all is well": (UP, []),
    "barred": (
        [*UP[:2], "added a.ini bar='no such user'"],
        [("barred", "a.ini", "no such user")],
    ),
    "its work is done": (
        [*UP[:2], "added a.ini command=job restart=no", "spawned a.ini", "exited a.ini code=0"],
        [],
    ),
    "its work failed": (
        [*UP[:2], "added a.ini command=job restart=no", "spawned a.ini", "exited a.ini code=1"],
        [("barred", "a.ini", "exit code 1, and restart = no")],
    ),
    "died once": (
        [*UP, "exited a.ini code=1"],
        [("throttled", "a.ini", "death 1 in a row: exit code 1")],
    ),
    "died once and is up again": ([*UP, *DIES], []),
    "died often and is up again": (
        [*UP, *DIES, *DIES, *DIES],
        [("crashing", "a.ini", "restarts (1 h) 3, last exit code 1, 4 s ago")],
    ),
    "died more often and is up again": (
        [*UP, *DIES, *DIES, *DIES, *DIES, *DIES],
        [("crashing", "a.ini", "restarts (1 h) 5, last exit code 1, 16 s ago")],
    ),
    "died often and was changed": (
        [*UP, *DIES, *DIES, *DIES, "removed a.ini", "exited a.ini code=0", "added a.ini"],
        [],
    ),
    "loyal ones die often": (
        [*UP, *LOYAL, *LOYAL, *LOYAL],
        [("crashing", "a.ini", "restarts (1 h) 3, last SIGKILL 2 s ago, not by emperord")],
    ),
    "dies every ten minutes": (
        [*UP, *["at +10m", *LOYAL] * 5],
        [("crashing", "a.ini", "restarts (1 h) 5, last SIGKILL 2 s ago, not by emperord")],
    ),
    "dies every half an hour": ([*UP, *["at +30m", *LOYAL] * 5], []),
    "its heartbeat is lost often": (
        [*UP, *["heartbeat a.ini", "silent a.ini", *KILLED] * 3],
        [
            (
                "crashing",
                "a.ini",
                "restarts (1 h) 3, last SIGKILL 2 s ago, by emperord: no heartbeat for 30 s",
            )
        ],
    ),
    "died often, but long ago": ([*UP, *DIES, *DIES, *DIES, "at +11m"], []),
    "ended well, often": ([*UP, *[line.replace("signal=9", "code=0") for line in LOYAL] * 3], []),
    "was reloaded often": ([*UP, *["operator reload a.ini", "accepting a.ini"] * 4], []),
    "was stopped and started often": (
        [*UP, *["operator stop a.ini", "exited a.ini code=1", "operator start a.ini"] * 4],
        [],
    ),
    "a start hangs": (
        [*UP[:3], "spawned a.ini", "deadline a.ini"],
        [("hanging", "a.ini", "slow to start")],
    ),
    "a reload hangs": (
        [*UP, "operator reload a.ini", "deadline a.ini"],
        [("hanging", "a.ini", "has not said that it accepts")],
    ),
    "refused, and down": (
        [*UP, "changed a.ini preflight=x", "refused a.ini reason=bad", "exited a.ini code=1"],
        [
            ("refused", "a.ini", "bad"),
            ("throttled", "a.ini", "death 1 in a row: exit code 1"),
        ],
    ),
    "held": ([*UP, "operator stop a.ini", "exited a.ini code=0"], []),
}


def test_the_status_of_a_program_is_told_while_its_start_hangs() -> None:
    script = Watched()
    for line in (*UP[:3], "spawned a.ini", "deadline a.ini"):
        script.feed(line)
    daemon = Daemon(script.fleet, script.recent)
    daemon.statuses["a.ini"] = "loads its index"
    (told,) = attention(daemon, script.now)
    assert told["reason"] == "slow to start; its STATUS: loads its index"


@pytest.mark.parametrize(("history", "wanting"), WANTING.values(), ids=WANTING)
def test_what_wants_attention(
    history: list[str], wanting: list[tuple[str, str, str | None]]
) -> None:
    script = Watched()
    for line in history:
        script.feed(line)
    found = attention(Daemon(script.fleet, script.recent), script.now)
    assert [(each["what"], each["vassal"], each["reason"]) for each in found] == wanting
    for each in found:
        assert each["monitor"] is None
        assert re.fullmatch(r"2023-11-14T.*Z", each["since"])


def test_an_address_of_a_change_that_cannot_be_had_wants_attention() -> None:
    """The vassal is up, so only this tells that its deploy did not happen. It has no time."""
    script = Watched()
    for line in (*UP, "changed a.ini listen=:81", "unopened a.ini reason=taken"):
        script.feed(line)
    (found,) = attention(Daemon(script.fleet, script.recent), script.now)
    assert found == {
        "what": "refused",
        "vassal": "a.ini",
        "monitor": None,
        "since": None,
        "reason": "its change waits: taken",
    }


def test_what_is_about_the_daemon_and_its_sources() -> None:
    script = Watched()
    script.feed("daemon started")
    script.happen("monitor_failed", None, "a", {"reason": "refused"})
    script.happen("monitor_failed", None, "no longer configured", {"reason": "gone"})
    script.happen("listing_doubted", None, "a", {"missing": ("b.ini",), "known": 1})
    script.recent.paused = script.recent.keeper_died = script.now
    daemon = Daemon(script.fleet, script.recent, "full", 3, {"a": {"b.ini"}})
    found = attention(daemon, script.now)
    assert [(each["what"], each["monitor"]) for each in found] == [
        ("paused", None), ("keeper died", None), ("unreachable", "a"), ("doubted", "a"),
    ]  # fmt: skip
    assert found[0]["reason"] == "full; 3 events wait to be recorded"
    one = attention(Daemon(script.fleet, script.recent, "full", 1, {}), script.now)
    assert one[0]["reason"] == "full; 1 event waits to be recorded"
    assert all(each["since"] for each in found)


@pytest.mark.parametrize(
    ("waiting", "more"),
    [({}, ""), ({"a.ini": 1}, "; changes that wait for that: 1")],
    ids=["texts are left out", "changes wait"],
)
def test_an_account_above_its_budget_wants_attention(waiting: dict[str, int], more: str) -> None:
    script = Watched()
    script.feed("policy record_budget=100000")
    for line in UP:
        script.feed(line)
    body = {"spec": {"ts": 2, "path": "/v/a.ini"}, "cost": 200_000}
    script.happen("vassal_changed", "a.ini", "a", body)
    daemon = Daemon(script.fleet, script.recent, deferred=waiting)
    (found,) = attention(daemon, script.now)
    reason = f"a.ini: 195 KiB are recorded of it, over --record-budget{more}"
    assert (found["what"], found["vassal"], found["reason"]) == ("over budget", "a.ini", reason)


def test_rejections_that_are_not_recorded_want_attention() -> None:
    script = Watched()
    script.feed("daemon started")
    daemon = Daemon(script.fleet, script.recent, uncounted={"a": 7})
    (found,) = attention(daemon, script.now)
    assert (found["what"], found["monitor"]) == ("over budget", "a")
    assert found["reason"].startswith("7 rejections are not recorded")


@pytest.mark.parametrize(
    ("paused", "told"),
    [
        pytest.param(None, ["logs shared", "logs full"], id="records"),
        pytest.param("No space left on device", ["paused", "logs shared"], id="paused"),
    ],
)
def test_logs_without_room_want_attention(paused: str | None, told: list[str]) -> None:
    script = Watched()
    script.feed("daemon started")
    troubles = {"logs full": "it is full", "logs shared": "there are two"}
    daemon = Daemon(script.fleet, script.recent, paused, troubles=troubles)
    assert [each["what"] for each in attention(daemon, script.now)] == told


def test_a_change_that_is_rejected_wants_attention() -> None:
    script = Watched()
    for line in UP:
        script.feed(line)
    why = "it cannot be read: Permission denied"
    daemon = Daemon(script.fleet, script.recent, rejections={"a.ini": (10**9, why)})
    (found,) = attention(daemon, script.now)
    assert found == {
        "what": "rejected",
        "vassal": "a.ini",
        "monitor": None,
        "since": "1970-01-01T00:00:01.000000000Z",
        "reason": why,
    }


def test_a_renamed_log_wants_attention() -> None:
    script = Watched()
    for line in UP:
        script.feed(line)
    daemon = Daemon(script.fleet, script.recent, renamed={"a.ini": "/logs/a.ini.log.2"})
    (found,) = attention(daemon, script.now)
    assert found == {
        "what": "log renamed",
        "vassal": "a.ini",
        "monitor": None,
        "since": None,
        "reason": (
            "it writes to /logs/a.ini.log.2, which is not cut at --log-size, until it is started"
            " again"
        ),
    }


@pytest.mark.parametrize(
    ("name", "lines", "why"),
    [
        pytest.param("b.ini", UP, "and no source names it", id="of no source"),
        pytest.param(
            "a.ini",
            [*UP, "exited a.ini code=26"],
            "and is taken over when a.ini starts, which is barred",
            id="of a vassal that does not start",
        ),
        pytest.param(
            "a.ini",
            UP,
            "beside process 10, and the journal knows that one only",
            id="a second one",
        ),
    ],
)
def test_an_unknown_process_wants_attention(name: str, lines: list[str], why: str) -> None:
    script = Watched()
    for line in lines:
        script.feed(line)
    found = attention(Daemon(script.fleet, script.recent, left=[(name, 7)]), script.now)[-1]
    assert (found["what"], found["vassal"], found["since"]) == ("unknown process", name, None)
    assert found["reason"] == f"process 7 runs {why}; end it if it is not wanted"


def test_processes_that_are_left_missing_cgroups_and_the_clock_want_attention() -> None:
    script = Watched()
    script.feed("daemon started")
    daemon = Daemon(script.fleet, script.recent, strayed=["process 7"], trouble="/x: full")
    daemon.clock = (script.now, "ahead")
    daemon.unwitnessed = (script.now, "it hangs")
    daemon.services = {"--stats x": (None, "it cannot listen")}
    daemon.journal_troubles = {"linked": "two names", "lost log": "lost"}
    found = attention(daemon, script.now)
    assert [(each["what"], each["vassal"], each["reason"]) for each in found] == [
        ("linked", None, "two names"),
        ("lost log", None, "lost"),
        ("no witness", None, "it hangs"),
        ("no service", None, "--stats x: it cannot listen"),
        ("clock", None, "ahead"),
        ("left process", None, "process 7; end it if it is not wanted"),
        ("no cgroup", None, "/x: full"),
        ("no limits", None, "x"),
    ]


def test_status_of_an_emperor_with_troubles(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    emperor = make_emperor("--throttle", "60000", "--max-throttle", "60000", keeper=False)
    away = tmp_path / "away"
    away.mkdir()
    emperor.monitors.append(away)
    (emperor.vassals / "barred.ini").write_text(program("/nowhere/program"))
    (emperor.vassals / "dies.ini").write_text(shell("exit 3"))
    (emperor.vassals / "held.ini").write_text(SLEEPER)
    emperor.start()
    emperor.phase("held.ini", "ready")
    away.rmdir()
    emperor.event("monitor_failed")
    emperor.phase("barred.ini", "barred")
    emperor.phase("dies.ini", "throttled")
    assert emperor.ctl("stop", "held.ini").returncode == 0
    emperor.phase("held.ini", "held")

    done = emperor.ctl("status", "--json")
    assert (done.returncode, done.stderr) == (3, "")
    status = json.loads(done.stdout)
    assert status["held"] == ["held.ini"]
    found = status["attention"]
    assert [each["what"] for each in found] == ["unreachable", "barred", "throttled"]
    assert [each["vassal"] or each["monitor"] for each in found] == [
        f"dir://{away}", "barred.ini", "dies.ini",
    ]  # fmt: skip
    done = emperor.ctl("status")
    assert (done.returncode, done.stderr) == (3, "")
    title, *lines = done.stdout.partition("attention:")[2].splitlines()
    assert title == ""
    assert [re.sub("since [^ ]+:", "since T:", line) for line in lines] == [
        f"  {each['vassal'] or each['monitor']}: {each['what']} since T: {each['reason']}"
        for each in found
    ]

    # All of it mended, all is well.
    away.mkdir()
    (emperor.vassals / "barred.ini").unlink()
    (emperor.vassals / "dies.ini").unlink()
    emperor.event("monitor_recovered")
    emperor.gone("barred.ini")
    emperor.gone("dies.ini")
    done = emperor.ctl("status")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "attention:       none")
    assert "held:            held.ini" in done.stdout
    emperor.stop()


def test_many_of_one_kind_do_not_bury_the_others() -> None:
    def entry(what: str, number: int) -> dict[str, Any]:
        return {"what": what, "vassal": f"{number}", "monitor": None, "since": None, "reason": None}

    wanting = [entry("barred", n) for n in range(20_000)]
    wanting += [entry("throttled", n) for n in range(10)]
    wanting += [entry("flooding", n) for n in range(11)]
    lines = list(brief(wanting))
    assert lines[9:12] == [
        "9: barred", "and 19,990 others: barred; emperor-ctl list has all", "0: throttled",
    ]  # fmt: skip
    assert lines[21:] == [
        *(f"{n}: flooding" for n in range(10)),
        "and 1 other: flooding; emperor-ctl status --json has all",
    ]
    assert as_text(["a", "b", "c"], 2) == "a, b and 1 other; emperor-ctl status --json has all"
    assert as_text(["a", "b"], 2) == "a, b"


def test_the_page_has_all_that_status_says(emperor: Emperor) -> None:
    emperor.start()
    status = json.loads(emperor.ctl("status", "--json").stdout)
    emperor.stop()
    page = PAGE.read_text()
    of_status = page.partition("- `status` has")[2].partition("\n- ")[0]
    assert [key for key in status if f"`{key}`" not in of_status] == []
    table = page.partition("## What wants attention")[2]
    assert re.findall(r"^\| `([a-z ]+)` \| (?:the|a) ", table, re.MULTILINE) == list(KINDS)
    example = json.loads(page.partition("```json\n")[2].partition("```")[0])
    assert list(example) == ["what", "vassal", "monitor", "since", "reason"]

"""Every source under a whole daemon: outages, restarts, silence, floods, secrets, bad input."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from emperord.journal.chain import digest
from support.daemon import Daemon
from support.effort import examples
from support.others import most_memory
from support.services import Order
from support.vassals import SLEEPER

from .conftest import MakeDaemon
from .row import Row
from .table import OWN_TS, ROWS, SERVED, over, over_all_but

BARRED = "[emperor]\nnonsense = {}\n"  # is known, and never runs
MORE = SLEEPER + "# more\n"


@over_all_but("dir")
def test_check_reads_it(daemon: Daemon, row: Row) -> None:
    row.put("a.ini", SLEEPER)
    daemon.launch("--check")
    assert daemon.wait() == 0
    assert daemon.log().splitlines()[1:] == [row.checked]


# The record


@over_all_but("dir")
def test_each_bad_one_is_rejected_once_and_a_known_one_stays(daemon: Daemon, row: Row) -> None:
    row.put("good.ini", SLEEPER)
    bad = row.put_bad()
    daemon.start()
    before = daemon.phase("good.ini", "ready")
    for count in range(3):  # readings, by what each of them finds
        row.put(f"other{count}.ini", SLEEPER)
        daemon.event("vassal_added", f"other{count}.ini")
    rejected = daemon.events("observation_rejected")
    assert sorted(each.body["name"] for each in rejected) == sorted(bad)
    assert all(bad[each.body["name"]] in each.body["reason"] for each in rejected)
    assert daemon.vassal("good.ini") == before
    row.spoil("good.ini")
    daemon.event("observation_rejected", name="good.ini")
    row.put("last.ini", SLEEPER)
    daemon.phase("last.ini", "ready")
    assert daemon.vassal("good.ini") == before
    row.put("good.ini", MORE)
    changed = daemon.event("vassal_changed", "good.ini")
    assert daemon.config_text(changed.body["spec"]["config"]) == MORE.encode()
    daemon.stop()


@over(*OWN_TS)
def test_a_text_without_a_new_ts_is_rejected_once(daemon: Daemon, row: Row) -> None:
    row.put("a.ini", SLEEPER)
    daemon.start()
    before = daemon.phase("a.ini", "ready")
    row.change_behind("a.ini", MORE)
    rejected = daemon.event("observation_rejected", "a.ini")
    assert "its ts did not" in rejected.body["reason"]
    for count in range(3):
        row.put(f"other{count}.ini", SLEEPER)
        daemon.event("vassal_added", f"other{count}.ini")
    assert len(daemon.events("observation_rejected")) == 1
    assert daemon.vassal("a.ini") == before
    row.touch("a.ini")
    changed = daemon.event("vassal_changed", "a.ini")
    assert daemon.config_text(changed.body["spec"]["config"]) == MORE.encode()
    daemon.stop()


@over_all_but("dir")
def test_secrets_are_shown_nowhere(make_daemon: MakeDaemon, row: Row) -> None:
    row.put("a.ini", SLEEPER)
    guarded = row.guarded()
    row.put("b.ini", SLEEPER)
    daemon = make_daemon(monitors=guarded.monitors).start()
    daemon.phase("b.ini", "ready")

    def failed() -> dict[str | None, str]:
        return {each.monitor: each.body["reason"] for each in daemon.events("monitor_failed")}

    daemon.until(lambda: any(guarded.reason in reason for reason in failed().values()), "one fails")
    guarded.provoke(daemon)
    daemon.until(lambda: len(failed()) == guarded.failing, "they have failed")
    # Those that were executed: before, a child has the daemon's own command line.
    children = [each.body["pid"] for each in daemon.events("spawned")]
    assert children
    shown = {
        f"{what} of {pid}": Path(f"/proc/{pid}/{what}").read_bytes()
        for pid in children
        for what in ("cmdline", "environ")
    }
    daemon.stop()
    files = (*daemon.state.rglob("*"), daemon.folder / "daemon.log")
    shown |= {str(path): path.read_bytes() for path in files if path.is_file()}
    assert [key for key, text in shown.items() if any(s in text for s in guarded.secrets)] == []


# Outages and restarts


@pytest.mark.few("stop-pg", "stop-mongodb", "stop-ldap", "kill-ldap", "stop-zoo", "stop-amqp")
@over(*SERVED)
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_the_server_restarts_in_between(daemon: Daemon, row: Row, end: Order) -> None:
    row.put("a.ini", SLEEPER)
    row.put("b.ini", SLEEPER)
    if end == "kill":
        row.make_durable()
    daemon.start()
    pid = daemon.phase("a.ini", "ready").pid
    daemon.phase("b.ini", "ready")
    row.server(end)
    daemon.event("monitor_failed")
    row.server("start")
    daemon.event("monitor_recovered")
    row.again()
    row.remove("b.ini")
    daemon.gone("b.ini")
    row.put("a.ini", MORE)
    daemon.event("vassal_changed", "a.ini")
    assert daemon.events("spawned", "a.ini")[0].body["pid"] == pid
    assert len(daemon.events("monitor_failed")) == 1
    assert sorted(str(e.vassal) for e in daemon.events("vassal_added")) == ["a.ini", "b.ini"]
    daemon.stop()


# A message that a killed daemon had not acknowledged comes again.
@pytest.mark.few(*(f"stop-{name}" for name in ROWS), "kill-amqp")
@over_all_but()
@pytest.mark.parametrize(
    "end", [pytest.param(Daemon.stop, id="stop"), pytest.param(Daemon.kill, id="kill")]
)
def test_the_daemon_restarts_in_between(
    daemon: Daemon, row: Row, end: Callable[[Daemon], None]
) -> None:
    for name in ("same", "changed", "gone"):
        row.put(f"{name}.ini", SLEEPER)
    daemon.start()
    before = {n: daemon.phase(f"{n}.ini", "ready").spec for n in ("same", "changed", "gone")}
    end(daemon)
    seq = daemon.last_seq()
    row.again()
    row.put("changed.ini", MORE)
    row.put("new.ini", SLEEPER)
    row.remove("gone.ini")
    daemon.start()
    for name in ("same", "changed", "new"):
        daemon.phase(f"{name}.ini", "ready")
    daemon.gone("gone.ini")
    told = {e.vassal: e.kind for e in daemon.events("vassal%ed", after=seq) if e.monitor}
    assert told == {
        "changed.ini": "vassal_changed",
        "new.ini": "vassal_added",
        "gone.ini": row.removal,
    }
    same = daemon.vassal("same.ini")
    assert same is not None
    assert same.spec == before["same"]
    daemon.stop()


@over(*SERVED)
def test_a_silent_server_holds_up_nobody(make_daemon: MakeDaemon, row: Row, tmp_path: Path) -> None:
    row.put("a.ini", SLEEPER)
    daemon = make_daemon(monitors=[tmp_path / "vassals", row.url]).start()
    daemon.phase("a.ini", "ready")
    row.server("freeze")
    for count in range(3):
        (daemon.vassals / f"v{count}.ini").write_text(SLEEPER)
        daemon.phase(f"v{count}.ini", "ready", patience=5)
    began = time.monotonic()
    daemon.stop()
    assert time.monotonic() - began < 8
    # And one that is silent from the start: the daemon is ready all the same.
    daemon.start()
    daemon.phase("v0.ini", "ready", patience=8)
    row.server("thaw")
    daemon.phase("a.ini", "ready")
    row.put("b.ini", SLEEPER)
    daemon.phase("b.ini", "ready")
    daemon.stop()


# A flood

NAMES, PART = 250, 500
CHANGES = min(5000, examples(4000))


@pytest.mark.search
@over_all_but("dir")
def test_a_flood_of_changes(make_daemon: MakeDaemon, row: Row, tmp_path: Path) -> None:
    def text(number: int) -> str:
        return BARRED.format(f"{number}{'x' * row.padding}")

    row.fill((f"v{number}.ini", text(number)) for number in range(NAMES))
    daemon = make_daemon(monitors=[tmp_path / "vassals", row.url]).start()
    daemon.event("vassal_added", "v%", count=NAMES)
    before = most_memory(daemon)
    changes = [(f"v{c % NAMES}.ini", text(c)) for c in range(NAMES, NAMES + CHANGES)]
    for start in range(0, CHANGES, PART):
        row.change(changes[start : start + PART])
        (daemon.vassals / f"d{start}.ini").write_text(BARRED.format(start))
    for start in range(0, CHANGES, PART):
        daemon.event("vassal_added", f"d{start}.ini", patience=5)
    expected = {name: digest(config.encode()) for name, config in changes}

    def is_as_the_source() -> bool:
        fleet = daemon.fleet().vassals
        return all(fleet[name].spec.config == config for name, config in expected.items())

    # A daemon whose lines are counted (tools/test coverage) takes several times as long.
    daemon.until(is_as_the_source, "the fleet is as the source", patience=60)
    assert most_memory(daemon) - before < row.most_memory
    assert not daemon.events("monitor_failed")
    assert not daemon.events("observation_rejected")
    if row.tells_all:
        assert len(daemon.events("vassal_changed", "v%")) == CHANGES
    daemon.stop()

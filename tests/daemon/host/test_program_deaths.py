"""A program that dies: when the daemon starts it again, and how long it waits."""

import os
import signal

import pytest
from support.daemon import Daemon
from support.vassals import SLEEPER, shell

from ..conftest import MakeDaemon


def test_exit_code_26_bars_until_a_change(daemon: Daemon) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(shell("exit 26"))
    daemon.start()
    daemon.phase("a.ini", "barred")
    daemon.send(signal.SIGURG)  # an operator's retry forgives
    daemon.event("exited", "a.ini", count=2)
    daemon.phase("a.ini", "barred")
    config.write_text(SLEEPER)
    daemon.phase("a.ini", "ready")
    daemon.stop()


def test_a_death_tells_its_code_and_last_words(daemon: Daemon) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(shell("echo out; echo err >&2; exit 7"))
    daemon.start()
    first = daemon.event("exited", "a.ini")
    assert (first.body["code"], first.body["log"]) == (7, "out\nerr")
    assert first.body.get("signal") is None
    config.write_text(shell("kill -SEGV $$"))
    death = daemon.event("exited", "a.ini", signal=int(signal.SIGSEGV))
    assert "log" not in death.body  # another attempt's lines are not this one's
    daemon.stop()


def test_pauses_double_up_to_the_most(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--throttle", "50", "--max-throttle", "200")
    (daemon.vassals / "a.ini").write_text(shell("exit 1"))
    daemon.start()
    daemon.event("exited", "a.ini", count=6)
    deaths, spawned = daemon.events("exited", "a.ini"), daemon.events("spawned", "a.ini")
    waited = [(b.at - a.at) / 1e6 for a, b in zip(deaths, spawned[1:], strict=False)][:5]
    for pause, least in zip(waited, (50, 100, 200, 200, 200), strict=True):
        assert pause >= least
    daemon.stop()


def test_an_operators_signal_ends_pauses(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--throttle", "1000000", "--max-throttle", "1000000")
    for name in ("a.ini", "b.ini"):
        (daemon.vassals / name).write_text(shell("exit 1"))
    daemon.start()
    for count in (1, 2, 3):
        daemon.event("exited", "a.ini", count=count)
        daemon.event("exited", "b.ini", count=count)
        daemon.phase("a.ini", "throttled")
        daemon.send(signal.SIGURG)
    daemon.event("exited", "a.ini", count=4)
    assert daemon.phase("a.ini", "throttled").deaths == 1
    daemon.stop()


def test_a_program_that_dies_of_its_reload_is_restarted_and_not_punished(daemon: Daemon) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(SLEEPER)
    daemon.start()
    daemon.phase("a.ini", "ready")
    os.utime(config, ns=(0, 1))
    ended = daemon.event("exited", "a.ini")
    assert (ended.body["signal"], ended.body["reload"]) == (signal.SIGHUP, True)
    assert [action["do"] for action in ended.actions] == ["spawn"]
    daemon.event("spawned", "a.ini", count=2)
    # From now on it is known: a reload is a restart.
    os.utime(config, ns=(0, 2))
    change = daemon.event("vassal_changed", "a.ini", count=2)
    assert [action["do"] for action in change.actions] == ["stop"]
    daemon.event("spawned", "a.ini", count=3)
    vassal = daemon.phase("a.ini", "ready")
    assert vassal.deaths == 0
    daemon.stop()


def test_deaths_are_forgotten_after_a_quiet_time(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--forgive", "0.3")
    config = daemon.vassals / "a.ini"
    config.write_text(shell("test -e died || { touch died; exit 1; }; exec sleep 1000"))
    daemon.start()
    assert daemon.event("exited", "a.ini").actions == []  # it waits for its throttle
    daemon.event("deadline_passed", "a.ini", count=2)
    assert daemon.phase("a.ini", "ready").deaths == 0
    daemon.stop()


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("restart", "code", "phase"),
    [
        pytest.param("no", 0, "barred", id="no, success"),
        pytest.param("no", 1, "barred", id="no, failure"),
        pytest.param("on-failure", 0, "barred", id="on-failure, success"),
        pytest.param("on-failure", 1, "throttled", id="on-failure, failure"),
        pytest.param("always", 1, "throttled", id="always, failure"),
    ],
)
def test_restart(make_daemon: MakeDaemon, restart: str, code: int, phase: str) -> None:
    daemon = make_daemon("--throttle", "60000")
    config = daemon.vassals / "a.ini"
    config.write_text(shell(f"exit {code}", restart=restart))
    daemon.start()
    vassal = daemon.phase("a.ini", phase)
    if phase == "barred":
        assert vassal.reason == f"exit code {code}, and restart = {restart}"
        config.write_text(shell("exec sleep 1000", restart=restart))
        daemon.phase("a.ini", "ready")  # a change starts it again
    daemon.stop()


def test_a_worker_that_ends_well_is_started_again_at_once(daemon: Daemon) -> None:
    (daemon.vassals / "a.ini").write_text(shell("sleep 0.3"))
    daemon.start()
    ended = daemon.event("exited", "a.ini", count=2)
    assert [action["do"] for action in ended.actions] == ["spawn"]
    vassal = daemon.vassal("a.ini")
    assert vassal is not None
    assert vassal.deaths == 0
    daemon.stop()

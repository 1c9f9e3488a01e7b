"""``ready = notify`` under a real daemon: programs that say by sd_notify(3) when they are up."""

import json
import os
import signal
import subprocess
import time

import pytest
from support import processes
from support.daemon import Daemon
from support.kept import Emperor
from support.notifier import Notifier
from support.vassals import shell

from ..conftest import MakeDaemon, MakeEmperor


@pytest.fixture
def notifier(daemon: Daemon) -> Notifier:
    return Notifier(daemon)


def test_it_starts_until_it_says_that_it_is_ready(daemon: Daemon, notifier: Notifier) -> None:
    notifier.put()
    daemon.start()
    daemon.event("spawned", "a.ini")
    assert daemon.phase("a.ini", "starting").slot
    notifier.say("STATUS=loading")
    notifier.say("READY=1", "STATUS=up")
    daemon.phase("a.ini", "accepting")
    daemon.stop()


def test_a_daemon_that_dies_loses_no_message(make_emperor: MakeEmperor) -> None:
    """Nor one that has just been started: the keeper has the socket."""
    emperor = make_emperor()
    notifier = Notifier(emperor)
    notifier.put()
    emperor.start()
    pid = emperor.pid_of("a.ini")
    os.kill(emperor.daemon_pid(), signal.SIGSTOP)
    notifier.say("STATUS=on its way")
    notifier.say("READY=1")
    emperor.restart()
    assert emperor.phase("a.ini", "accepting").pid == pid
    seq = emperor.last_seq()
    emperor.ctl("upgrade")
    emperor.next_ready(seq)
    assert len(emperor.events("vassal_accepting", "a.ini")) == 1
    assert len(list((emperor.folder / "run" / "notify").iterdir())) == 1
    emperor.stop()
    assert list((emperor.folder / "run" / "notify").iterdir()) == []


def test_one_that_says_nothing_is_killed_and_throttled(
    make_daemon: MakeDaemon,
) -> None:
    daemon = make_daemon("--throttle", "1000000", "--max-throttle", "1000000")
    notifier = Notifier(daemon)
    notifier.put(ready_timeout="500ms")
    daemon.start()
    assert daemon.phase("a.ini", "throttled").reason == "was not ready within 500ms"
    daemon.stop()


def test_systemd_notify(daemon: Daemon) -> None:
    """It is a child that ends when its message was read."""
    (daemon.vassals / "a.ini").write_text(
        shell("systemd-notify --ready; exec sleep 1000", ready="notify")
    )
    daemon.start()
    daemon.phase("a.ini", "accepting")
    daemon.stop()


def test_without_a_keeper_nothing_waits_for_a_message(daemon: Daemon, notifier: Notifier) -> None:
    """Its socket died with the daemon, so it counts as up."""
    notifier.put()
    daemon.start()
    notifier.say("STATUS=it has its socket")
    pid = daemon.pid_of("a.ini")
    daemon.kill()
    daemon.start()
    assert daemon.phase("a.ini", "ready").pid == pid
    daemon.stop()


def test_the_last_status_is_shown_and_outlives_the_daemon(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor()
    notifier = Notifier(emperor)
    notifier.put()
    emperor.start()

    def status() -> str | None:
        text: str | None = json.loads(emperor.ctl("show", "a.ini", "--json").stdout)["status"]
        return text

    for number in range(20):
        notifier.say(f"STATUS={number} of 20")
    notifier.say("READY=1", "STATUS=all \x1b[31m of 20")
    emperor.until(lambda: status() == "all \x1b[31m of 20", "the last one is shown")
    assert r"all \x1b[31m of 20" in emperor.ctl("show", "a.ini").stdout
    assert "all" in emperor.ctl("list", "-o", "wide").stdout
    emperor.restart()
    assert "of 20" in str(status())
    emperor.stop()
    assert "of 20" not in emperor.log()


def test_heartbeats(daemon: Daemon, notifier: Notifier) -> None:
    daemon.options += ["--required-heartbeat", "1"]
    notifier.put()
    daemon.start()
    notifier.say("READY=1")
    notifier.say("WATCHDOG=1")
    daemon.event("heartbeat_started", "a.ini")
    environment = processes.environment_of(daemon.pid_of("a.ini"))
    assert environment["WATCHDOG_USEC"] == "1000000"
    lost = daemon.event("heartbeat_lost", "a.ini")
    assert lost.at - daemon.event("heartbeat_started", "a.ini").at > 900_000_000
    daemon.event("spawned", "a.ini", count=2)
    daemon.stop()


def monotonic() -> str:
    return f"MONOTONIC_USEC={time.monotonic_ns() // 1000}"


def test_a_reload_is_over_when_it_is_ready_again(daemon: Daemon, notifier: Notifier) -> None:
    notifier.put()
    daemon.start()
    notifier.say("READY=1")
    daemon.phase("a.ini", "accepting")
    before = monotonic()
    os.utime(notifier.config)
    notifier.until_reloaded()
    notifier.say("RELOADING=1", before)  # of an earlier reload
    notifier.say("RELOADING=1", monotonic())
    daemon.event("vassal_reloading", "a.ini")
    daemon.phase("a.ini", "reloading")
    notifier.say("READY=1")
    daemon.event("vassal_accepting", "a.ini", count=2)
    notifier.say("RELOADING=1", monotonic())  # of its own
    notifier.say("READY=1")
    daemon.event("vassal_accepting", "a.ini", count=3)
    assert len(daemon.events("vassal_reloading", "a.ini")) == 2
    assert len(daemon.events("spawned", "a.ini")) == 1
    daemon.stop()


def test_a_reload_of_its_own_goes_on_under_the_next_daemon(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor()
    notifier = Notifier(emperor)
    notifier.put()
    emperor.start()
    notifier.say("READY=1")
    pid = emperor.phase("a.ini", "accepting").pid
    notifier.say("RELOADING=1", monotonic())
    emperor.phase("a.ini", "reloading")
    emperor.restart()
    notifier.say("READY=1")
    assert emperor.phase("a.ini", "accepting").pid == pid
    assert not notifier.is_reloaded()
    emperor.stop()


def test_notices_are_recorded(daemon: Daemon, notifier: Notifier) -> None:
    notifier.put(ready_timeout="1s")
    daemon.start()
    notifier.say("EXTEND_TIMEOUT_USEC=600000000")
    assert daemon.event("timeout_extended", "a.ini").body["seconds"] == 600.0
    notifier.say("READY=1")
    notifier.say("STOPPING=1")
    notifier.say("STOPPING=1")
    attempt = daemon.event("vassal_stopping", "a.ini").body["attempt"]
    assert daemon.phase("a.ini", "accepting").reason == "says that it stops"
    notifier.say("WATCHDOG=trigger")
    assert daemon.event("heartbeat_lost", "a.ini").body["asked"] is True
    assert daemon.event("exited", "a.ini").body["signal"] == 9
    said = daemon.events("vassal_stopping", "a.ini")  # the next attempt may say it again
    assert [event.body["attempt"] for event in said].count(attempt) == 1
    daemon.stop()


def test_its_main_process_gets_the_signals(make_emperor: MakeEmperor) -> None:
    """The shell that leads would end by each of them."""
    emperor = make_emperor()
    notifier = Notifier(emperor)
    notifier.put(below_shell=True)
    emperor.start()
    notifier.say("STATUS=it runs")
    notifier.say(f"MAINPID={notifier.pid()}")
    with subprocess.Popen(["sleep", "1000"]) as other:
        notifier.say("READY=1", f"MAINPID={other.pid}")  # which is not in the tree
        reloads_and_stops(emperor, notifier)
        assert other.poll() is None
        other.kill()
    emperor.stop()


def reloads_and_stops(emperor: Emperor, notifier: Notifier) -> None:
    pid = emperor.phase("a.ini", "accepting").pid
    assert pid != notifier.pid()
    emperor.restart()
    os.utime(notifier.config)
    notifier.until_reloaded()
    assert emperor.phase("a.ini", "ready").pid == pid
    notifier.config.unlink()
    assert emperor.event("exited", "a.ini").body.get("signal") is None  # the shell has waited

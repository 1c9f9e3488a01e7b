"""Vassals that are any program: which signals reload and stop them."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest
from support import processes
from support.daemon import Daemon
from support.programs import lines
from support.vassals import SLEEPER, program, shell

from ..conftest import MakeDaemon

# Notes each signal it gets in "got", says that it is up in "up", and stops at INT.
TALKER = (
    "trap 'echo USR1 >>got' USR1; trap 'echo HUP >>got' HUP; trap 'echo INT >>got; exit 0' INT;"
    " echo $$ >>up; while :; do sleep 1000 & wait; done"
)
# Cannot be asked to stop, nor can its child, which stays in its process group.
DEAF = "trap '' TERM HUP INT QUIT; sleep 1000 & echo $! >>up; while :; do wait; done"


def told(path: Path, expected: list[str]) -> bool:
    return lines(path) == expected


def up(daemon: Daemon, count: int = 1) -> None:
    path = daemon.vassals / "up"
    daemon.until(lambda: len(lines(path)) == count, "it is up")


def test_signals_of_its_own(daemon: Daemon) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(shell(TALKER, reload_signal="USR1", stop_signal="int"))
    got = daemon.vassals / "got"
    daemon.start()
    up(daemon)
    for expected in (["USR1"], ["USR1", "USR1"]):
        os.utime(config, ns=(0, len(expected)))
        daemon.until(partial(told, got, expected), "it is told to reload")
    config.unlink()
    death = daemon.event("exited", "a.ini")
    assert lines(got) == ["USR1", "USR1", "INT"]
    assert death.body["code"] == 0
    assert daemon.running() == []  # its sleeping children, too
    daemon.stop()


def test_signals_by_default(daemon: Daemon) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(shell(TALKER))
    daemon.start()
    up(daemon)
    os.utime(config, ns=(0, 1))
    daemon.until(lambda: lines(daemon.vassals / "got") == ["HUP"], "it is told to reload")
    config.unlink()
    assert daemon.event("exited", "a.ini").body["signal"] == signal.SIGTERM
    daemon.stop()


def test_a_real_time_signal(daemon: Daemon) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(program("sleep", "1000", stop_signal="40"))
    daemon.start()
    daemon.phase("a.ini", "ready")
    config.unlink()
    assert daemon.event("exited", "a.ini").body["signal"] == 40
    daemon.stop()


def test_new_signals_count_from_the_edit_on(daemon: Daemon) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(shell(TALKER, reload_signal="USR1"))
    daemon.start()
    up(daemon)
    config.write_text(shell(TALKER, reload_signal="HUP", stop_signal="INT"))
    daemon.event("vassal_changed", "a.ini")
    daemon.until(lambda: lines(daemon.vassals / "got"), "it is told to reload")
    config.unlink()
    assert daemon.event("exited", "a.ini").body["code"] == 0
    assert lines(daemon.vassals / "got")[-1] == "INT"
    daemon.stop()


def test_another_command_is_another_process(daemon: Daemon) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(SLEEPER)
    daemon.start()
    first = daemon.phase("a.ini", "ready").pid
    config.write_text(program("sleep", "2000"))
    daemon.event("spawned", "a.ini", count=2)
    second = daemon.phase("a.ini", "ready").pid
    assert second is not None
    assert second != first
    pid = second
    daemon.until(lambda: processes.argv_of(pid) == ["sleep", "2000"], "the program is executed")
    assert daemon.running() == [second]
    daemon.stop()


def test_who_is_deaf_is_killed_after_mercy_with_its_group(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--mercy", "0.3")
    config = daemon.vassals / "a.ini"
    config.write_text(shell(DEAF))
    daemon.start()
    up(daemon)
    assert len(daemon.running_for("a.ini")) == 2
    config.unlink()
    stop = daemon.event("vassal_removed", "a.ini")
    mercy = daemon.event("deadline_passed", "a.ini")
    death = daemon.event("exited", "a.ini")
    assert mercy.at - stop.at >= 300_000_000
    assert [action["do"] for action in mercy.actions] == ["kill"]
    assert death.body["signal"] == signal.SIGKILL
    assert daemon.running() == []
    daemon.stop()


@pytest.mark.few(1)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_stops_on(daemon: Daemon, number: signal.Signals) -> None:
    for name in ("a.ini", "b.ini", "c.ini"):
        (daemon.vassals / name).write_text(SLEEPER)
    daemon.start()
    daemon.until(lambda: len(daemon.events("spawned")) == 3, "all are up")
    daemon.stop(number)
    assert daemon.kinds()[-1] == "daemon_stopped"
    assert daemon.events("daemon_stopping")[0].body["reason"] == number.name


def test_asked_twice_it_waits_for_nobody(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--mercy", "1000")
    for name in ("a.ini", "b.ini"):
        (daemon.vassals / name).write_text(shell(DEAF))
    daemon.start()
    up(daemon, 2)
    sent = time.time_ns()
    daemon.send(signal.SIGTERM)
    daemon.event("daemon_stopping")

    # A second signal at once is the same request: timeout(1) asks a process, and then its group.
    assert daemon.insist() == 0, daemon.account()
    assert daemon.running() == []
    kills = [(e.at, a["vassal"]) for e in daemon.events() for a in e.actions if a["do"] == "kill"]
    assert {vassal for _, vassal in kills} == {"a.ini", "b.ini"}
    assert all(at - sent > 900_000_000 for at, _ in kills), (sent, daemon.events()[-16:])


def test_asked_again_and_again(daemon: Daemon) -> None:
    for number in range(8):
        (daemon.vassals / f"{number}.ini").write_text(SLEEPER)
    daemon.start()
    daemon.until(lambda: len(daemon.events("spawned")) == 8, "all are up")
    for _ in range(50):
        processes.kill(daemon.pid, signal.SIGTERM)
    assert daemon.wait() == 0, daemon.account()
    assert daemon.running() == []
    assert daemon.kinds().count("daemon_stopping") == 1

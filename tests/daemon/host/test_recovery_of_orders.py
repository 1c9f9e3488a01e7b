"""A daemon that comes back gives again the orders that may not have been carried out."""

import os
import signal

import pytest
from support.crafted import Crafted, running, started, verified
from support.daemon import Daemon
from support.vassals import SLEEPER, shell
from support.waiting import PATIENCE

from ..conftest import MakeDaemon

HEALTHY = "say 1 5 17\n"


def test_a_process_that_was_never_recorded_is_found(daemon: Daemon) -> None:
    crafted = Crafted(daemon)
    with started(**crafted.environ) as child:
        daemon.start()
        adopted = daemon.event("adopted", "a.ini")
        assert adopted.body["pid"] == child.pid
        assert adopted.cause == crafted.order
        assert daemon.running() == [child.pid]
        assert "spawned" not in daemon.kinds()
        daemon.stop()
        assert child.wait(PATIENCE) == -signal.SIGTERM
    verified(daemon)


def test_an_order_that_was_never_carried_out_is(daemon: Daemon) -> None:
    crafted = Crafted(daemon)
    daemon.start()
    failed = daemon.event("spawn_failed", "a.ini")
    assert (failed.body["fault"], failed.body["attempt"]) == ("interrupted", crafted.attempt)
    daemon.event("spawned", "a.ini")
    daemon.phase("a.ini", "ready")
    assert len(daemon.running()) == 1
    daemon.stop()
    verified(daemon)


# Orders that may not have arrived


def test_a_stop_that_may_not_have_arrived_is_given_again(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--mercy", "0.5")
    deaf = daemon.vassals / "a.ini"
    deaf.write_text(shell("trap '' TERM; echo >up; while :; do sleep 1000; done"))
    daemon.start()
    daemon.until((daemon.vassals / "up").exists, "it is up")
    deaf.unlink()
    daemon.phase("a.ini", "stopping")
    daemon.kill()
    daemon.start()
    adopted = daemon.event("adopted", "a.ini")
    assert [action["do"] for action in adopted.actions] == ["stop"]
    daemon.gone("a.ini")
    assert daemon.running() == []
    daemon.stop()
    verified(daemon)


def test_a_reload_that_was_never_carried_out_is(daemon: Daemon) -> None:
    """Also to a program, which never says that it has reloaded."""
    crafted = Crafted(daemon)
    with started(**crafted.environ) as child:
        seq = crafted.change(child.pid)
        daemon.start()
        adopted = daemon.event("adopted", "a.ini")
        assert [action["do"] for action in adopted.actions] == ["reload"]
        assert adopted.cause == seq
        # It knows no reload, and dies of it.
        assert child.wait(PATIENCE) == -signal.SIGHUP
        daemon.event("spawned", "a.ini", after=adopted.seq)
        daemon.stop()
    verified(daemon)


def test_a_reload_that_was_carried_out_is_not_given_again(daemon: Daemon) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(SLEEPER + "reload-signal = CONT\n")
    daemon.start()
    daemon.phase("a.ini", "ready")
    os.utime(config, ns=(0, 1))
    daemon.event("deadline_passed", "a.ini")
    daemon.kill()
    daemon.start()
    assert daemon.event("adopted", "a.ini").actions == []
    daemon.stop()
    verified(daemon)


@pytest.mark.few("2")
@pytest.mark.parametrize("count", range(5))
def test_killed_while_it_starts_vassals(make_daemon: MakeDaemon, count: int) -> None:
    """After ``count`` of twenty spawns were recorded: in the end each runs, once."""
    daemon = make_daemon("--max-starting", "20", speakers=True)
    names = [f"{number:02}.ini" for number in range(20)]
    for name in names:
        (daemon.vassals / name).write_text(SLEEPER if int(name[:2]) % 2 else HEALTHY)
    daemon.launch()
    daemon.until(lambda: daemon.kinds().count("spawned") >= count * 4, "some are up")
    daemon.kill()
    daemon.start()
    for name in names:
        daemon.phase(name, "ready" if int(name[:2]) % 2 else "accepting")
    daemon.until(lambda: len(daemon.running()) == 20, "each runs once")
    assert {name: daemon.running_for(name) for name in names} == {
        name: [daemon.pid_of(name)] for name in names
    }
    daemon.stop()
    verified(daemon)


# Starting and stopping at the same time


@pytest.mark.few("daemon_started-15", "vassal_added-2", "daemon_ready-3", "spawned-15")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
@pytest.mark.parametrize("moment", ["daemon_started", "vassal_added", "daemon_ready", "spawned"])
def test_told_to_stop_while_it_starts(
    make_daemon: MakeDaemon, moment: str, number: signal.Signals
) -> None:
    daemon = make_daemon("--max-starting", "2")
    for index in range(10):
        (daemon.vassals / f"{index}.ini").write_text(SLEEPER)
    daemon.launch()
    daemon.event(moment)
    daemon.stop(number)
    assert daemon.kinds()[-1] == "daemon_stopped"
    assert "daemon_stopping" in daemon.kinds()


def test_told_to_stop_while_it_recovers(daemon: Daemon) -> None:
    """Vassals that a former daemon left are stopped, too."""
    for index in range(5):
        (daemon.vassals / f"{index}.ini").write_text(SLEEPER)
    daemon.start()
    running(daemon, *(f"{index}.ini" for index in range(5)))
    daemon.kill()
    seq = daemon.last_seq()
    daemon.launch()
    daemon.event("daemon_started", after=seq)
    daemon.stop()

"""A daemon that comes back adopts the vassals that live, and records those that died."""

import os
import signal
import sys
from pathlib import Path

import pytest
from support import processes
from support.crafted import running, verified
from support.daemon import Daemon
from support.vassals import SLEEPER, Application, program, shell

from ..conftest import MakeDaemon


def test_programs_are_adopted(daemon: Daemon) -> None:
    names = ("a.ini", "b.ini", "c.ini")
    for name in names:
        (daemon.vassals / name).write_text(SLEEPER)
    daemon.start()
    pids = running(daemon, *names)
    for _ in range(3):
        daemon.kill()
        assert set(daemon.running()) == set(pids.values())
        daemon.start()
        assert {e.vassal: e.body["pid"] for e in daemon.events("adopted")[-3:]} == pids
    assert set(daemon.running()) == set(pids.values())
    assert daemon.kinds().count("spawned") == 3
    # They are in its hands: told, stopped and missed like any other.
    os.kill(pids["a.ini"], signal.SIGKILL)
    daemon.event("exited", "a.ini")
    daemon.event("spawned", "a.ini", count=2)
    (daemon.vassals / "b.ini").unlink()
    daemon.gone("b.ini")
    assert not processes.alive(pids["b.ini"])
    daemon.stop()
    verified(daemon)


def test_an_adopted_one_hears_its_signals(daemon: Daemon) -> None:
    talker = "trap 'echo USR1 >>got' USR1; echo $$ >>up; while :; do sleep 1000 & wait; done"
    config = daemon.vassals / "a.ini"
    config.write_text(shell(talker, reload_signal="USR1", stop_signal="INT"))
    daemon.start()
    daemon.until((daemon.vassals / "up").exists, "it is up")
    daemon.kill()
    daemon.start()
    os.utime(config, ns=(0, 1))
    daemon.until((daemon.vassals / "got").exists, "it is told to reload")
    config.unlink()
    daemon.event("exited", "a.ini")
    assert daemon.running() == []
    daemon.stop()


def test_an_adopted_tree_ends_as_a_whole(daemon: Daemon) -> None:
    """Its orphans were never children of this daemon, and one has left its session."""
    config = daemon.vassals / "a.ini"
    config.write_text(shell("sleep 1000 & setsid sleep 2000 & echo >up; wait"))
    daemon.start()
    daemon.until((daemon.vassals / "up").exists, "it is up")
    daemon.until(lambda: len(daemon.running_for("a.ini")) == 3, "its tree is up")
    daemon.kill()
    daemon.start()
    daemon.event("adopted", "a.ini")
    config.unlink()
    daemon.event("exited", "a.ini")
    assert daemon.running() == []
    daemon.stop()


@pytest.mark.slow
def test_uwsgi_is_started_again(daemon: Daemon, tmp_path: Path) -> None:
    """It does not survive its Emperor: when the socket closes it goes, with its workers."""
    app = Application(tmp_path)
    (daemon.vassals / "app.ini").write_text(app.config("hello", processes="2"))
    daemon.start()
    daemon.until(app.answers, "it serves")
    for _ in range(3):
        before = daemon.running()
        seq = daemon.last_seq()
        daemon.kill()
        daemon.start()
        daemon.event("vassal_accepting", "app.ini", after=seq)
        daemon.until(app.answers, "it serves again")
        assert not set(before) & set(daemon.running())
        spawned = daemon.events("spawned", "app.ini", after=seq)
        assert len(spawned) == 1
    vassal = daemon.vassal("app.ini")
    assert vassal is not None
    assert vassal.deaths == 0  # not its fault
    daemon.stop()
    verified(daemon)


def test_what_died_while_the_daemon_was_away(daemon: Daemon) -> None:
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    daemon.start()
    pid = running(daemon, "a.ini")["a.ini"]
    daemon.kill()
    processes.kill(pid)
    daemon.until(lambda: not processes.alive(pid), "it has died")
    daemon.start()
    death = daemon.event("exited", "a.ini")
    assert death.body == {"attempt": death.body["attempt"], "away": True}
    daemon.event("spawned", "a.ini", count=2)
    assert len(daemon.running()) == 1
    daemon.stop()


def test_an_adopted_one_is_not_missed_for_heartbeats_that_nobody_hears(
    make_daemon: MakeDaemon,
) -> None:
    """Its end of the control socket is still open; the other end died with the daemon."""
    daemon = make_daemon("--required-heartbeat", "0.5")
    beats = (
        "import os, select, signal; signal.signal(signal.SIGPIPE, signal.SIG_IGN)\n"
        "while True:\n"
        "    try: os.write(int(os.environ['UWSGI_EMPEROR_FD']), bytes([26]))\n"
        "    except OSError: pass\n"
        "    select.select((), (), (), 0.05)\n"
    )
    script = daemon.folder / "beats.py"
    script.write_text(beats)
    (daemon.vassals / "a.ini").write_text(program(sys.executable, "-S", str(script)))
    daemon.start()
    daemon.event("heartbeat_started", "a.ini")
    pid = daemon.pid_of("a.ini")
    daemon.kill()
    daemon.start()
    # The daemon looks once a second. Another that is silent shows that it has looked.
    script = daemon.folder / "once.py"
    script.write_text(
        "import os; os.write(int(os.environ['UWSGI_EMPEROR_FD']), bytes([26]))\n"
        "os.execvp('sleep', ['sleep', '1000'])\n"
    )
    missed = program(sys.executable, "-S", str(script))
    (daemon.vassals / "b.ini").write_text(missed)
    daemon.event("heartbeat_lost", "b.ini", count=2)
    assert "heartbeat_lost" not in daemon.kinds("a.ini")
    assert daemon.pid_of("a.ini") == pid
    assert processes.alive(pid)
    daemon.stop()


# Files that changed meanwhile


@pytest.mark.few(1)
@pytest.mark.parametrize("alive", [True, False], ids=["it lives", "it died"])
def test_a_config_that_changed_while_the_daemon_was_away(daemon: Daemon, alive: bool) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(SLEEPER)
    daemon.start()
    pid = running(daemon, "a.ini")["a.ini"]
    daemon.kill()
    if not alive:
        processes.kill(pid)
        daemon.until(lambda: not processes.alive(pid), "it has died")
    seq = daemon.last_seq()
    config.write_text(program("sleep", "2000"))
    daemon.start()
    spawned = daemon.event("spawned", "a.ini", after=seq)
    daemon.phase("a.ini", "ready")
    assert daemon.until(
        lambda: processes.argv_of(spawned.body["pid"]) == ["sleep", "2000"], "the new one runs"
    )
    assert daemon.running() == [spawned.body["pid"]]
    daemon.stop()
    assert daemon.kinds(after=seq).count("spawned") == 1
    verified(daemon)


@pytest.mark.parametrize("alive", [True, False], ids=["it lives", "it died"])
def test_a_config_that_vanished_while_the_daemon_was_away(daemon: Daemon, alive: bool) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(SLEEPER)
    daemon.start()
    pid = running(daemon, "a.ini")["a.ini"]
    daemon.kill()
    if not alive:
        processes.kill(pid)
    config.unlink()
    seq = daemon.last_seq()
    daemon.start()
    daemon.gone("a.ini")
    assert daemon.running() == []
    assert "spawned" not in daemon.kinds(after=seq)
    daemon.stop()


@pytest.mark.slow
def test_a_stopped_daemon_starts_with_what_there_is_now(daemon: Daemon) -> None:
    for name in ("kept.ini", "changed.ini", "gone.ini"):
        (daemon.vassals / name).write_text(SLEEPER)
    daemon.start()
    running(daemon, "kept.ini", "changed.ini", "gone.ini")
    daemon.stop()
    (daemon.vassals / "changed.ini").write_text(program("sleep", "2000"))
    (daemon.vassals / "gone.ini").unlink()
    (daemon.vassals / "new.ini").write_text(SLEEPER)
    seq = daemon.last_seq()
    daemon.start()
    running(daemon, "kept.ini", "changed.ini", "new.ini")
    assert sorted(e.vassal or "" for e in daemon.events("spawned", after=seq)) == [
        "changed.ini",
        "kept.ini",
        "new.ini",
    ]
    assert daemon.kinds("gone.ini", after=seq) == ["vassal_removed"]
    daemon.stop()


def test_a_source_that_is_no_longer_named(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    daemon = make_daemon(monitors=[tmp_path / "vassals", other])
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    (other / "b.ini").write_text(SLEEPER)
    daemon.start()
    pids = running(daemon, "a.ini", "b.ini")
    daemon.kill()
    daemon.monitors = [daemon.vassals]
    daemon.start()
    daemon.gone("b.ini")
    assert daemon.running() == [pids["a.ini"]]
    daemon.stop()


def test_a_source_that_is_away_at_the_start_ends_nobody(daemon: Daemon) -> None:
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    daemon.start()
    pid = running(daemon, "a.ini")["a.ini"]
    daemon.kill()
    away = daemon.vassals.rename(daemon.folder / "away")
    daemon.start()
    daemon.event("monitor_failed")
    assert daemon.running() == [pid]
    away.rename(daemon.vassals)
    daemon.event("monitor_recovered")
    assert daemon.running() == [pid]
    daemon.stop()


def test_a_pause_goes_on_where_it_was(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--throttle", "1500", "--max-throttle", "1500")
    (daemon.vassals / "a.ini").write_text(shell("exit 1"))
    daemon.start()
    death = daemon.event("exited", "a.ini")
    daemon.kill()
    daemon.start()
    again = daemon.event("spawned", "a.ini", count=2)
    assert again.at - death.at >= 1_500_000_000
    daemon.stop()


def test_a_directory_that_comes_late_bars_nothing(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    """As on a disk that is mounted after the emperor has started."""
    daemon = make_daemon()
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    daemon.start()
    pid = running(daemon, "a.ini")["a.ini"]
    daemon.kill()
    processes.kill(pid)
    away = daemon.vassals.rename(tmp_path / "away")
    daemon.start()
    failed = daemon.event("spawn_failed", "a.ini")
    assert failed.body["reason"].startswith("cannot start it now: ")
    away.rename(daemon.vassals)
    daemon.phase("a.ini", "ready")
    daemon.stop()

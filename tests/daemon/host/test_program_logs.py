"""Logs: of a program, of the daemon, and SIGUSR1 that logs the fleet."""

import signal
from pathlib import Path

import pytest
from support.daemon import Daemon
from support.programs import lines
from support.vassals import SLEEPER, program, shell
from support.waiting import NeverHappened

from ..conftest import MakeDaemon

# Where it writes


def test_its_own_log(daemon: Daemon) -> None:
    (daemon.vassals / "a.ini").write_text(shell("echo to stdout; echo to stderr >&2; exec sleep 9"))
    daemon.start()
    daemon.until(lambda: daemon.vassal_log("a.ini") == "to stdout\nto stderr\n", "it has written")
    assert "to stdout" not in daemon.log()
    daemon.stop()


def test_a_log_directory(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    daemon = make_daemon("--log-directory", str(tmp_path / "elsewhere"))
    (daemon.vassals / "a.ini").write_text(shell("echo hello; exec sleep 1000"))
    daemon.start()
    log = tmp_path / "elsewhere" / "a.ini.log"
    daemon.until(lambda: lines(log) == ["hello"], "it has written")
    daemon.stop()


def test_the_daemons_own_log(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--log", "inherit")
    (daemon.vassals / "a.ini").write_text(shell("echo hello; exec sleep 1000"))
    daemon.start()
    daemon.until(lambda: "\nhello\n" in daemon.log(), "it has written")
    assert not daemon.logs.exists()
    daemon.stop()


def test_a_log_is_cut(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--log-size", "4K", "--log-keep", "2")
    flood = "while :; do echo 0123456789012345678901234567890123456789; sleep 0.001; done"
    (daemon.vassals / "a.ini").write_text(shell(flood))
    daemon.start()
    log = daemon.logs / "a.ini.log"
    older = daemon.logs / "a.ini.log.1"
    daemon.until(older.exists, "the log is cut")
    daemon.until(lambda: 0 < log.stat().st_size < older.stat().st_size, "it goes on being written")
    assert older.stat().st_size > 4096
    daemon.until((daemon.logs / "a.ini.log.2").exists, "it is cut again")
    daemon.stop()


# Seen from outside


def test_usr1_logs_the_fleet(daemon: Daemon) -> None:
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    (daemon.vassals / "b.ini").write_text(program("/nowhere/program"))
    daemon.start()
    pid = daemon.phase("a.ini", "ready").pid
    daemon.phase("b.ini", "barred")
    before = len(daemon.log())
    daemon.send(signal.SIGUSR1)
    daemon.until(lambda: "b.ini: barred" in daemon.log()[before:], "the fleet is logged")
    said = daemon.log()[before:]
    assert "2 vassals: 1 barred, 1 ready" in said
    assert f"a.ini: ready, pid {pid}" in said
    assert "/nowhere/program" in said
    assert daemon.kinds()[-1] != "operator_requested"
    daemon.stop()


def test_an_idle_daemon_writes_nothing(make_daemon: MakeDaemon) -> None:
    """However often it looks: what is known costs no event."""
    daemon = make_daemon("--freq", "0.02")
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    (daemon.vassals / "bad\x01.ini").write_text("")
    daemon.start()
    daemon.phase("a.ini", "ready")
    daemon.event("observation_rejected")
    seq = daemon.last_seq()
    with pytest.raises(NeverHappened):
        daemon.until(lambda: daemon.last_seq() > seq, "something is journaled", patience=1.5)
    daemon.stop()


@pytest.mark.slow
def test_no_name_upsets_the_log(daemon: Daemon) -> None:
    """A name may hold what turns a line around or breaks it; the log shows it escaped."""
    names = ("a\u202eini.ini", "b\u2028c.ini", "d\u200b.ini")
    for name in names:
        (daemon.vassals / name).write_text(SLEEPER)
    daemon.start()
    for name in names:
        daemon.phase(name, "ready")
    daemon.send(signal.SIGUSR1)
    daemon.until(lambda: "3 vassals: 3 ready" in daemon.log(), "it logs the fleet")
    daemon.stop()
    log = daemon.log()
    for shown in ("a\\u202eini.ini: added", "b\\u2028c.ini: ready, pid", "d\\u200b.ini: exited"):
        assert shown in log
    assert log.replace("\n", "").isprintable()

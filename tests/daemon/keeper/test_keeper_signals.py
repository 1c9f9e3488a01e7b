"""The keeper hands signals on to its daemon, each one once."""

import contextlib
import os
import pty
import signal
import sys
from pathlib import Path

import pytest
from support.daemon import STAMP
from support.kept import Emperor
from support.vassals import SLEEPER, shell

from ..conftest import MakeEmperor

pytestmark = pytest.mark.usefixtures("cold")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_stop_reaches_the_daemon_once(emperor: Emperor, number: int) -> None:
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    emperor.stop(number)
    assert emperor.kinds().count("daemon_stopping") == 1
    assert "again" not in emperor.log()
    assert not emperor.control.exists()


def test_other_signals_are_handed_on(emperor: Emperor) -> None:
    emperor.start()
    emperor.send(signal.SIGHUP)
    emperor.event("operator_requested", request="reload", via="SIGHUP")
    emperor.send(signal.SIGURG)
    emperor.event("operator_requested", request="retry", via="SIGURG")
    emperor.send(signal.SIGUSR1)
    emperor.until(lambda: emperor.log().count("0 vassals") == 2, "it says how it is")
    emperor.stop()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGURG])
def test_a_signal_that_comes_while_the_daemon_leaves_is_for_the_next(
    emperor: Emperor, number: int
) -> None:
    emperor.start()
    seq = emperor.last_seq()
    emperor.send(signal.SIGUSR2)
    while "leaving the vassals" not in emperor.log():
        pass  # the leave is over before a pause is
    os.kill(emperor.pid, number)
    emperor.next_ready(seq)
    via = signal.Signals(number).name
    emperor.event("operator_requested", after=seq, via=via)
    emperor.stop()
    asked = [event.body["via"] for event in emperor.events("operator_requested")]
    assert asked == ["SIGUSR2", via]


def test_ctrl_c_in_a_terminal_arrives_once(emperor: Emperor) -> None:
    """Also if it is pressed before the daemon takes signals."""
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(emperor.folder)
        os.execve(sys.executable, emperor.argv, {**emperor.environ, STAMP: emperor.stamp})
    try:
        emperor.event("daemon_ready")
        os.write(terminal, b"\x03")
        said = b""
        with contextlib.suppress(OSError):
            while data := os.read(terminal, 4096):
                said += data
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, said
        assert b"again" not in said
        assert emperor.kinds().count("daemon_stopping") == 1
    finally:
        os.close(terminal)


def test_told_to_stop_while_the_daemon_is_being_restarted(emperor: Emperor) -> None:
    """The signal waits until the next daemon is there. Nothing is left."""
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    for _ in range(3):  # from here on the next start is put off
        emperor.restart()
    os.kill(emperor.daemon_pid(), signal.SIGKILL)
    emperor.stop()


def test_killed_while_it_stops_the_next_one_goes_on(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor("--mercy", "60")
    (emperor.vassals / "a.ini").write_text(shell("trap '' TERM; while :; do sleep 1000; done"))
    emperor.start()
    emperor.up("a.ini")
    emperor.send(signal.SIGTERM)
    emperor.event("daemon_stopping")
    seq = emperor.last_seq()
    emperor.kill_daemon()
    emperor.event("daemon_stopping", after=seq)
    assert emperor.insist() == 0, emperor.account()
    assert emperor.running() == []


def test_told_to_stop_at_any_moment_of_its_start(emperor: Emperor) -> None:
    """A stop that comes before the daemon takes signals waits for it, and is not lost."""
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.launch()
    emperor.until(lambda: handles(emperor.pid, signal.SIGTERM), "the keeper takes signals")
    emperor.stop()
    assert emperor.kinds()[-1] == "daemon_stopped"


def handles(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def test_a_stopped_keeper_holds_up_nothing_for_long(emperor: Emperor) -> None:
    """More is to be said to it than fits into its socket; all of it arrives later."""
    emperor.start()
    before = emperor.kept()
    emperor.send(signal.SIGSTOP)
    names = [f"{number}.ini" for number in range(5)]
    for name in names:
        (emperor.vassals / name).write_text(SLEEPER)
    emperor.up(*names)
    (emperor.vassals / "0.ini").unlink()
    emperor.gone("0.ini")
    emperor.send(signal.SIGCONT)
    emperor.until(lambda: emperor.kept() == before + 4, "it keeps those that are left")
    emperor.restart()
    assert {e.body["control"] for e in emperor.events("adopted")} == {True}
    emperor.stop()

"""Daemons that cannot start, keep dying, or hang: when the keeper tries again, and when it ends."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import processes
from support.kept import Emperor
from support.vassals import SLEEPER
from support.waiting import PATIENCE, until

# How it leaves


def test_a_daemon_that_cannot_start_ends_the_keeper(emperor: Emperor) -> None:
    emperor.monitors = ["nonsense://x"]
    emperor.launch()
    assert emperor.wait() == 3
    (line,) = emperor.log().splitlines()
    assert "nonsense" in line


def test_a_daemon_that_cannot_keep_logs_ends_the_keeper(emperor: Emperor) -> None:
    """It has opened its journal and its control socket by then, which no process needs any more."""
    (emperor.folder / "file").touch()
    emperor.launch("--log-directory", str(emperor.folder / "file" / "logs"))
    assert emperor.wait() == 3
    (line,) = emperor.log().splitlines()
    assert "cannot be kept there" in line


@contextlib.contextmanager
def keeper_of(
    tmp_path: Path, program: str, python: str = sys.executable, patience: float = PATIENCE
) -> Iterator[subprocess.Popen[str]]:
    """A keeper of a daemon that is any program in Python; how it fares stands in its log."""
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\n"
        "from emperord.daemon.keeper import main as keeper, stop_all, restarts\n"
        f"keeper._daemon_argv = lambda _: [{python!r}, '-c', {program!r}]\n"
        "restarts._LONGEST_DELAY = 2.0\n"
        f"restarts._STOP_PATIENCE = {patience}\n"
        f"stop_all.MERCY = {patience}\n"
        "keeper.main()\n"
    )
    with subprocess.Popen([sys.executable, script], stderr=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def test_a_daemon_that_keeps_dying_is_started_ever_more_rarely(tmp_path: Path) -> None:
    with keeper_of(tmp_path, "raise SystemExit(9)") as child:
        assert child.stderr is not None
        said = [child.stderr.readline() for _ in range(4)]
    assert [line.split("again in ")[1].strip() for line in said] == ["0 s", "1 s", "2 s", "2 s"]
    assert all("ended with code 9" in line for line in said)


UP = "import os; os.write(2, b'up\\n')\n"
# Says that it takes signals; the one to stop ends it, and it alone.
USELESS = """
import socket
from emperord.daemon.keeper import protocol as keeping
with socket.socket(fileno=int(os.environ[keeping.CHANNEL])) as channel:
    channel.send(keeping.encode({"do": "hear"}))
    while channel.recv(keeping.LONGEST):
        pass
"""
HOPELESS = [
    pytest.param(UP + "raise SystemExit(9)", 1, 9, id="ends at its start"),
    pytest.param(UP + "os.abort()", 1, 128 + signal.SIGABRT, id="crashes at its start"),
    pytest.param(UP + USELESS, 2, 128 + signal.SIGTERM, id="ends when it is told"),
]


@pytest.mark.parametrize(("program", "starts", "code"), HOPELESS)
def test_told_to_stop_it_does_not_wait_for_a_hopeless_daemon(
    tmp_path: Path, program: str, starts: int, code: int
) -> None:
    with keeper_of(tmp_path, program) as child:
        assert child.stderr is not None
        while child.stderr.readline() != "up\n":
            pass
        child.send_signal(signal.SIGTERM)
        more = child.stderr.read().count("up\n")
        assert child.wait() == code
    assert more <= starts


# Its first thread ends when it is told twice. The other one stays, as in a write to a frozen disk.
HELD = """
import ctypes, signal, socket, threading, time
from emperord.daemon.keeper import protocol as keeping
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
threading.Thread(target=time.sleep, args=[1000]).start()
with socket.socket(fileno=int(os.environ[keeping.CHANNEL])) as channel:
    channel.send(keeping.encode({"do": "hear"}))
    signal.sigwait([signal.SIGTERM])
    os.write(2, b'told\\n')
    signal.sigwait([signal.SIGTERM])
    ctypes.CDLL(None).syscall(EXIT, 0)
"""
_EXIT = {"x86_64": 60, "aarch64": 93}  # this thread only


@pytest.mark.skipif(os.uname().machine not in _EXIT, reason="exit(2) has another number")
def test_told_twice_it_leaves_a_daemon_that_the_kernel_holds(tmp_path: Path) -> None:
    program = UP + HELD.replace("EXIT", str(_EXIT[os.uname().machine]))
    with keeper_of(tmp_path, program) as child:
        assert child.stderr is not None
        assert child.stderr.readline() == "up\n"
        (daemon,) = processes.children_of(child.pid)
        try:
            child.send_signal(signal.SIGTERM)
            assert child.stderr.readline() == "told\n"
            child.send_signal(signal.SIGTERM)
            assert child.wait(PATIENCE) == 3
            assert "the kernel holds a thread of the daemon" in child.stderr.readline()
        finally:
            os.kill(daemon, signal.SIGKILL)


def test_a_daemon_that_cannot_be_executed_ends_a_keeper_that_keeps_nothing(tmp_path: Path) -> None:
    with keeper_of(tmp_path, "", python="/does/not/exist") as child:
        assert child.wait(PATIENCE) == 3
        assert child.stderr is not None
        (line,) = child.stderr.readlines()
    assert "cannot start the daemon: " in line
    assert "tried again" not in line


# Its program is gone. It stops its keeper, entrusts a descriptor to it, and dies, all unread.
ENTRUSTS = f"""\
#!{sys.executable}
import os, pathlib, select, signal, socket, sys
from emperord.daemon.keeper import protocol as keeping
keeper = pathlib.Path(f"/proc/{{os.getppid()}}/stat")
os.unlink(sys.argv[0])
with socket.socket(fileno=int(os.environ[keeping.CHANNEL])) as channel:
    select.select([channel], [], [])
    os.kill(os.getppid(), signal.SIGSTOP)
    while keeper.read_text().rpartition(")")[2].split()[0] != "T":
        os.sched_yield()
    packet = keeping.encode({{"do": "keep", "name": "a", "about": {{}}}})
    socket.send_fds(channel, [packet], [0])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_it_keeps_is_worth_another_try_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """The keeper reads a daemon's last packets, too, whatever the daemon left unread."""
    python = tmp_path / "python"
    python.write_text(ENTRUSTS)
    python.chmod(0o755)
    with keeper_of(tmp_path, "", python=str(python), patience=0.1) as child:
        until(lambda: dead_children(child.pid), "the daemon is dead")
        child.send_signal(signal.SIGCONT)
        assert child.stderr is not None
        while "cannot start the daemon: " not in (line := child.stderr.readline()):
            assert line
        assert "tried again in" in line
        child.send_signal(signal.SIGTERM)
        assert child.wait(PATIENCE) == 3


def dead_children(pid: int) -> list[int]:
    return [child for child in processes.children_of(pid) if not processes.alive(child)]


@pytest.mark.slow
def test_a_daemon_that_hangs_at_its_start_keeps_no_vassal_running(emperor: Emperor) -> None:
    """Its file of options is a FIFO to which no process writes."""
    options = emperor.folder / "options.yml"
    options.write_text("freq: 0.2\n")
    emperor.options += ["--config", str(options)]
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    options.unlink()
    os.mkfifo(options)
    emperor.kill_daemon()
    emperor.send(signal.SIGTERM)
    assert emperor.wait(3 * PATIENCE) == 3
    assert "the daemon hangs at its start" in emperor.log()
    assert emperor.running() == []


def test_a_hung_daemon_is_killed_for_the_watchdog(emperor: Emperor) -> None:
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    pids = emperor.up("a.ini")
    seq = emperor.last_seq()
    os.kill(emperor.daemon_pid(), signal.SIGSTOP)
    emperor.send(signal.SIGABRT)
    emperor.next_ready(seq)
    assert emperor.running() == list(pids.values())
    emperor.stop()

"""The keeper was told to stop all, and no daemon starts for that: none that runs is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from emperord.daemon.keeper import restarts
from emperord.daemon.keeper.restarts import Restarts
from support import processes
from support.waiting import PATIENCE, until

# The first daemon starts a vassal, entrusts it to the keeper, and is killed. The next ones fail as
# told, until there is a file "mended": such a daemon ends the vassal when it is told to stop.
DAEMON = """
import json, os, pathlib, signal, socket, subprocess, sys, time
from emperord.daemon.keeper import protocol as keeping
folder, program, settings, hears = pathlib.Path({folder!r}), {program!r}, {settings!r}, {hears!r}
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
channel = socket.socket(fileno=int(os.environ[keeping.CHANNEL]))
if (folder / "mended").exists():
    channel.send(keeping.encode({{"do": "hear"}}))
    signal.sigwait([signal.SIGTERM])
    os.kill(int((folder / "pid").read_text()), signal.SIGKILL)
    raise SystemExit(0)
if (folder / "pid").exists():
    if hears:
        channel.send(keeping.encode({{"do": "hear"}}))
        signal.sigwait([signal.SIGTERM])
    {fails}
ours, theirs = socket.socketpair()
child = subprocess.Popen(
    [sys.executable, "-c", program], stdin=theirs, stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL, start_new_session=True,
)
child.stdout.readline()
stat = pathlib.Path(f"/proc/{{child.pid}}/stat").read_text().rpartition(")")[2].split()
about = {{"pid": child.pid, "start": int(stat[19]), "mark": "m", "spec": {{"settings": settings}}}}
packet = keeping.encode({{"do": "keep", "name": "7:a.ini", "about": about}})
socket.send_fds(channel, [packet], [ours.fileno()])
(folder / "pid").write_text(str(child.pid))
os.kill(os.getpid(), signal.SIGKILL)
"""
FAILURES = [
    pytest.param("raise SystemExit(1)", id="fails"),
    pytest.param("raise SystemExit(2)", id="bad usage"),
    pytest.param("raise SystemExit(3)", id="cannot start"),
    pytest.param("os.kill(os.getpid(), signal.SIGSEGV)", id="crashes"),
    pytest.param("os.kill(os.getpid(), signal.SIGKILL)", id="is killed"),
]
TERM_ONLY = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, {1, 10, 15})
print(flush=True)
raise SystemExit(0 if signal.sigwait({1, 10, 15}) == STOP else 1)
"""
BYTE_ONLY = """
import signal, sys
for number in (1, 10, 15):
    signal.signal(number, signal.SIG_IGN)
print(flush=True)
assert sys.stdin.buffer.raw.read(1) == bytes(1)
"""
STUBBORN = BYTE_ONLY.replace("assert", "while True:")
PROGRAM = {"command": "x"}

LOOK, LOOKS = 0.05, 10  # seconds between two looks at a daemon that starts, and their number
HANGS = [
    pytest.param("pathlib.Path(folder / 'fifo').read_text()", id="no process writes to a FIFO"),
    pytest.param("ends = socket.socketpair(); ends[0].recv(1)", id="no answer comes"),
]
STOPS = "os.kill(os.getpid(), signal.SIGSTOP)"
# A start that does this until there is a file "mended", and then begins anew.
LONG = """while not (folder / "mended").exists():
        {step}
    os.execv(sys.executable, sys.orig_argv)"""
PROGRESS = [
    pytest.param("pass", id="is busy"),
    pytest.param("time.sleep(LOOK * 2)".replace("LOOK", str(LOOK)), id="asks again"),
    pytest.param("subprocess.run(['true'])", id="runs programs"),
]


class Kept:
    """A keeper whose first daemon was killed, with a vassal that runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        os.mkfifo(folder / "fifo")
        self.vassal = 0
        self._child: subprocess.Popen[str] | None = None

    def start(
        self,
        fails: str,
        *,
        program: str = TERM_ONLY.replace("STOP", "15"),
        settings: dict[str, str] = PROGRAM,
        hears: bool = False,
        patience: float = PATIENCE,
        mercy: float = PATIENCE,
        looks: int = 10_000,
    ) -> subprocess.Popen[str]:
        daemon = DAEMON.format(
            folder=str(self.folder), program=program, settings=settings, hears=hears, fails=fails
        )
        code = (
            "from emperord.daemon.keeper import main as keeper, stop_all, hung_start, restarts\n"
            f"keeper._daemon_argv = lambda _: [{sys.executable!r}, '-c', {daemon!r}]\n"
            f"restarts._STOP_PATIENCE, stop_all.MERCY = {patience}, {mercy}\n"
            f"hung_start._LOOK, hung_start._LAST_PATIENCE = {LOOK}, {looks}\n"
            f"hung_start._PATIENCE = {2 * looks}\n"
            "keeper.main()\n"
        )
        argv = [sys.executable, "-c", code]
        self._child = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        assert self._child.stderr is not None
        assert "by signal 9" in self._child.stderr.readline()
        self.vassal = int((self.folder / "pid").read_text())
        assert processes.alive(self.vassal)
        return self._child

    def clean_up(self) -> None:
        if self._child is not None:
            left = processes.children_of(self._child.pid)  # such as a daemon that hangs
            self._child.kill()
            for pid in left:
                processes.kill(pid)
            self._child.communicate()
        if self.vassal:
            processes.kill(self.vassal)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path)
    yield kept
    kept.clean_up()


@pytest.mark.parametrize("fails", FAILURES)
def test_the_keeper_ends_vassals_that_no_daemon_stops(kept: Kept, fails: str) -> None:
    keeper = kept.start(fails, patience=0.5)
    keeper.send_signal(signal.SIGTERM)
    _, log = keeper.communicate(timeout=PATIENCE)
    assert keeper.returncode == 3, log
    assert "the keeper ends 1 vassals itself" in log
    assert not processes.alive(kept.vassal)


@pytest.mark.parametrize("fails", FAILURES)
def test_a_failure_that_passes_is_waited_out(kept: Kept, fails: str) -> None:
    keeper = kept.start(fails)
    keeper.send_signal(signal.SIGTERM)
    assert keeper.stderr is not None
    assert keeper.stderr.readline()  # a daemon has failed
    assert processes.alive(kept.vassal)
    (kept.folder / "mended").touch()
    _, log = keeper.communicate(timeout=PATIENCE)
    assert (keeper.returncode, "itself" in log) == (0, False), log
    until(lambda: not processes.alive(kept.vassal), "the mended daemon has killed it")


@pytest.mark.parametrize(
    ("program", "settings", "mercy"),
    [
        pytest.param(TERM_ONLY.replace("STOP", "15"), PROGRAM, PATIENCE, id="program"),
        pytest.param(
            TERM_ONLY.replace("STOP", "10"), {**PROGRAM, "stop-signal": "usr1"}, PATIENCE, id="name"
        ),
        pytest.param(
            TERM_ONLY.replace("STOP", "1"), {**PROGRAM, "stop-signal": "1"}, PATIENCE, id="number"
        ),
        pytest.param(BYTE_ONLY, {}, PATIENCE, id="byte"),
        pytest.param(STUBBORN, PROGRAM, 0.2, id="stubborn"),
    ],
)
def test_each_is_told_as_a_daemon_would_tell_it(
    kept: Kept, program: str, settings: dict[str, str], mercy: float
) -> None:
    keeper = kept.start(
        "raise SystemExit(2)", program=program, settings=settings, patience=0.1, mercy=mercy
    )
    began = time.monotonic()
    keeper.send_signal(signal.SIGTERM)
    _, log = keeper.communicate(timeout=PATIENCE * 2)
    assert keeper.returncode == 3, log
    assert not processes.alive(kept.vassal)
    assert time.monotonic() - began < PATIENCE  # it was not killed for being slow


def test_told_again_it_tries_and_waits_no_longer(kept: Kept) -> None:
    keeper = kept.start("raise SystemExit(2)", program=STUBBORN, patience=600, mercy=600)
    keeper.send_signal(signal.SIGTERM)

    def ended() -> bool:
        keeper.send_signal(signal.SIGTERM)
        return keeper.poll() is not None

    until(ended, "the keeper leaves")
    assert keeper.returncode == 3
    assert not processes.alive(kept.vassal)


@pytest.mark.parametrize("hangs", [*HANGS, pytest.param(STOPS, id="is stopped")])
def test_a_start_that_hangs_is_a_failure(kept: Kept, hangs: str) -> None:
    keeper = kept.start(hangs, patience=0.5, looks=LOOKS)
    keeper.send_signal(signal.SIGTERM)
    _, log = keeper.communicate(timeout=PATIENCE)
    assert keeper.returncode == 3, log
    assert "the daemon hangs at its start" in log
    assert "the keeper ends 1 vassals itself" in log
    assert not processes.alive(kept.vassal)


@pytest.mark.parametrize("hangs", HANGS)
def test_vassals_do_not_wait_for_a_start_that_hangs(kept: Kept, hangs: str) -> None:
    keeper = kept.start(hangs, looks=LOOKS)
    assert keeper.stderr is not None
    assert "the daemon hangs at its start" in keeper.stderr.readline()
    (kept.folder / "mended").touch()
    keeper.send_signal(signal.SIGTERM)
    _, log = keeper.communicate(timeout=PATIENCE)
    assert (keeper.returncode, "itself" in log) == (0, False), log


@pytest.mark.parametrize("step", PROGRESS)
def test_a_start_that_goes_on_is_waited_for(kept: Kept, step: str) -> None:
    keeper = kept.start(LONG.format(step=step), patience=0.5, looks=LOOKS)
    keeper.send_signal(signal.SIGTERM)
    outlasts(6 * LOOK * LOOKS)
    (kept.folder / "mended").touch()
    _, log = keeper.communicate(timeout=PATIENCE)
    assert (keeper.returncode, "hangs" in log) == (0, False), log
    until(lambda: not processes.alive(kept.vassal), "the mended daemon has killed it")


def test_a_start_that_a_debugger_has_stopped_is_let_alone_until_all_is_to_stop(kept: Kept) -> None:
    keeper = kept.start(STOPS, patience=0.5, looks=LOOKS)
    (daemon,) = until(lambda: starting(keeper.pid), "it is stopped")
    outlasts(6 * LOOK * LOOKS)
    assert starting(keeper.pid) == [daemon]
    os.kill(daemon, signal.SIGKILL)
    assert keeper.stderr is not None
    assert "by signal 9" in keeper.stderr.readline()
    keeper.send_signal(signal.SIGTERM)
    assert keeper.wait(PATIENCE) == 3


def outlasts(seconds: float) -> None:
    began = time.monotonic()
    until(lambda: time.monotonic() - began > seconds, "it has lasted")


def starting(keeper: int) -> list[int]:
    """The daemons that were stopped by a signal."""
    return [pid for pid in processes.children_of(keeper) if processes.stopped(pid)]


def test_a_daemon_that_leaves_them_is_believed(kept: Kept) -> None:
    """It is estranged, or cannot write its journal, and was told twice."""
    keeper = kept.start("raise SystemExit(3)", hears=True)
    keeper.send_signal(signal.SIGTERM)
    _, log = keeper.communicate(timeout=PATIENCE)
    assert keeper.returncode == 3, log
    assert processes.alive(kept.vassal)


def test_the_tries_are_frequent_and_end_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Well before systemd's TimeoutStopSec, which would kill the keeper."""
    now = 1000.0
    monkeypatch.setattr(restarts, "time", SimpleNamespace(monotonic=lambda: now))
    tries = Restarts()
    for _ in range(6):  # hopeless for a while
        tries.begin()
        tries.put_off()
        now += tries.left
    now += 1
    tries.stop(signal.SIGTERM)
    assert tries.left == 0
    began, gaps = now, []
    while not tries.gives_up(worked=False, killed=False):
        tries.begin()
        tries.put_off()
        gaps.append(tries.left)
        now += max(tries.left, 0.1)
    assert max(gaps) == 2
    assert 20 <= now - began <= 22

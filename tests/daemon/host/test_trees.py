"""Stopped means stopped, for descendants that hide as well: real process trees."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import processes
from support.daemon import Daemon
from support.kept import Emperor
from support.vassals import SLEEPER, Application, shell

# It leads a session of its own, has an empty environment, and its parent has gone.
HIDES = "(env -i setsid sleep 3000 & echo $! >hidden); echo >up; exec sleep 1000"
# It is never one process for long: each forks the next and dies, in a session of its own.
WALKER = """
import os, sys, time
track = os.open(sys.argv[1], os.O_WRONLY)
while True:
    if os.fork():
        os._exit(0)
    os.setsid()
    os.write(track, b".")  # it ends when the FIFO has no reader
    time.sleep(0.005)
"""
# In Python, as applications do it, from inside of uWSGI.
POPEN = """
import subprocess
child = subprocess.Popen(["sleep", "3000"], env={}, start_new_session=True)
with open("HIDDEN", "w") as file:
    file.write(f"{child.pid}\\n")
"""


@contextmanager
def hidden(daemon: Daemon) -> Iterator[Callable[[], int]]:
    """Gives the pid of who hides, once it is there; ends it whatever happens."""
    path = daemon.vassals / "hidden"

    def there() -> bool:
        return path.exists() and path.read_text().endswith("\n") and asleep(int(path.read_text()))

    def pid() -> int:
        daemon.until(there, "who hides is there")
        return int(path.read_text())

    try:
        yield pid
    finally:
        if path.exists() and path.read_text() and asleep(int(path.read_text())):
            processes.kill(int(path.read_text()))


def asleep(pid: int) -> bool:
    return processes.argv_of(pid) == ["sleep", "3000"]


def removed(daemon: Daemon) -> None:
    (daemon.vassals / "a.ini").unlink()


def crashed(daemon: Daemon) -> None:
    processes.kill(daemon.pid_of("a.ini"))


ENDS = [pytest.param(removed, id="removed"), pytest.param(crashed, id="crashed")]


@pytest.mark.parametrize("ends", ENDS)
def test_who_hides_is_gone_before_the_end_is_told(
    daemon: Daemon, ends: Callable[[Daemon], None]
) -> None:
    (daemon.vassals / "a.ini").write_text(shell(HIDES))
    with hidden(daemon) as find:
        daemon.start()
        pid = find()
        assert processes.environment_of(pid) == {}
        ends(daemon)
        daemon.event("exited", "a.ini")
        assert not asleep(pid)
        daemon.stop()


@pytest.mark.parametrize("ends", ENDS)
def test_who_hides_is_found_by_the_next_daemon(
    emperor: Emperor, ends: Callable[[Daemon], None]
) -> None:
    (emperor.vassals / "a.ini").write_text(shell(HIDES))
    with hidden(emperor) as find:
        emperor.start()
        pid = find()
        emperor.restart()
        ends(emperor)
        emperor.event("exited", "a.ini")
        assert not asleep(pid)
        emperor.stop()


def test_who_hides_from_uwsgi_is_gone_too(daemon: Daemon, tmp_path: Path) -> None:
    app = Application(tmp_path)
    app.module.write_text(
        app.module.read_text() + POPEN.replace("HIDDEN", f"{daemon.vassals}/hidden")
    )
    (daemon.vassals / "a.ini").write_text(app.config("hello"))
    with hidden(daemon) as find:
        daemon.start()
        pid = find()
        daemon.phase("a.ini", "accepting")
        daemon.stop(signal.SIGTERM)
        assert not asleep(pid)


def test_who_hides_from_another_vassal_lives_on(daemon: Daemon) -> None:
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    (daemon.vassals / "b.ini").write_text(shell(HIDES))
    with hidden(daemon) as find:
        daemon.start()
        pid = find()
        daemon.event("spawned", "a.ini")
        os.kill(daemon.pid_of("a.ini"), signal.SIGKILL)
        daemon.event("exited", "a.ini")
        daemon.event("spawned", "a.ini", count=2)
        assert asleep(pid)
        daemon.stop()
        assert not asleep(pid)


class Track:
    """The FIFO that a walker holds open; it ends when the FIFO has no reader."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self.end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def steps(self) -> int:
        """How many steps it made since it was asked last; -1 if no process is there to make one."""
        count = 0
        try:
            while steps := os.read(self.end, 4096):
                count += len(steps)
        except BlockingIOError:
            return count
        return -1


@pytest.fixture
def track(tmp_path: Path) -> Iterator[Track]:
    track = Track(tmp_path / "track")
    yield track
    os.close(track.end)


@pytest.mark.parametrize("ends", ENDS)
def test_who_forks_and_dies_over_and_over_is_caught(
    daemon: Daemon, track: Track, ends: Callable[[Daemon], None]
) -> None:
    walker = daemon.vassals / "walker.py"
    walker.write_text(WALKER)
    script = f"({sys.executable} {walker} {track.path} &); exec sleep 1000"
    (daemon.vassals / "a.ini").write_text(shell(script))
    daemon.start()
    daemon.until(lambda: track.steps() > 0, "it walks")
    ends(daemon)
    daemon.event("exited", "a.ini")
    assert track.steps() == -1
    daemon.stop()


def test_who_forks_and_dies_over_and_over_is_caught_by_the_next_daemon(
    emperor: Emperor, track: Track
) -> None:
    walker = emperor.vassals / "walker.py"
    walker.write_text(WALKER)
    script = f"({sys.executable} {walker} {track.path} &); exec sleep 1000"
    (emperor.vassals / "a.ini").write_text(shell(script))
    emperor.start()
    emperor.until(lambda: track.steps() > 0, "it walks")
    emperor.restart()
    removed(emperor)
    emperor.event("exited", "a.ini")
    assert track.steps() == -1
    emperor.stop()


# It traces a process and never looks, as a debugger does that was left alone.
TRACES = """
import ctypes, sys, time
libc = ctypes.CDLL(None, use_errno=True)
assert libc.ptrace(0x4206, int(sys.argv[1]), None, None) == 0, ctypes.get_errno()  # PTRACE_SEIZE
print("up", flush=True)
time.sleep(1000)
"""


@contextmanager
def traced(pid: int) -> Iterator[None]:
    """Have a process traced: when it dies, its parent is not told."""
    argv = [sys.executable, "-c", TRACES, str(pid)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as tracer:
        try:
            assert tracer.stdout is not None
            assert tracer.stdout.readline() == "up\n"
            yield
        finally:
            tracer.kill()


@pytest.mark.parametrize("how", [{"signal": 9}, {"code": 7}], ids=["killed", "exited"])
def test_who_is_traced_holds_up_nobody(daemon: Daemon, tmp_path: Path, how: dict[str, int]) -> None:
    """Any process of its user may trace a vassal."""
    gate = tmp_path / "gate"  # a signal would not reach it
    os.mkfifo(gate)
    (daemon.vassals / "a.ini").write_text(shell(f"read x <{gate}; exit 7"))
    daemon.start()
    daemon.phase("a.ini", "ready")
    pid = daemon.pid_of("a.ini")
    daemon.until(lambda: processes.argv_of(pid)[:1] == ["sh"], "it is executed")
    with traced(pid):
        if "code" in how:
            gate.write_text("\n")
        else:
            os.kill(pid, signal.SIGKILL)
        body = daemon.event("exited", "a.ini").body
        assert {key: body[key] for key in ("code", "signal") if key in body} == how
        (daemon.vassals / "b.ini").write_text(SLEEPER)
        daemon.phase("b.ini", "ready")
        daemon.event("spawned", "a.ini", count=2)
    daemon.until(lambda: not zombies(daemon.pid), "it is reaped in the end")
    daemon.stop()


def zombies(parent: int) -> list[int]:
    """The dead children of a process."""
    return [pid for pid in processes.children_of(parent) if not processes.alive(pid)]


# Each child forks and dies, so its child is an orphan, which dies too.
ORPHANS = """
import os, sys, time
for _ in range(3000):
    pid = os.fork()
    if pid == 0:
        os.fork()
        os._exit(0)
    os.waitpid(pid, 0)
open("done", "w").close()
time.sleep(1000)
"""


def test_orphans_that_die_by_the_thousand_do_not_use_up_the_pids(daemon: Daemon) -> None:
    (daemon.vassals / "orphans.py").write_text(ORPHANS)
    daemon.start()
    (daemon.vassals / "a.ini").write_text(
        shell(f"exec {sys.executable} -I -S {daemon.vassals}/orphans.py")
    )
    most = 0

    def done() -> bool:
        nonlocal most
        most = max(most, len(processes.children_of(daemon.pid)))
        return (daemon.vassals / "done").exists()

    daemon.until(done, "all are dead")
    assert most < 1000
    daemon.until(lambda: len(processes.children_of(daemon.pid)) == 1, "all are reaped")
    os.kill(daemon.pid_of("a.ini"), signal.SIGKILL)
    assert daemon.event("exited", "a.ini").body["signal"] == signal.SIGKILL
    daemon.stop()


def test_a_descendant_that_is_traced_does_not_keep_its_vassal(daemon: Daemon) -> None:
    (daemon.vassals / "a.ini").write_text(shell(HIDES))
    daemon.start()
    with hidden(daemon) as pid, traced(pid()):
        (daemon.vassals / "a.ini").unlink()
        daemon.gone("a.ini")
    daemon.stop()

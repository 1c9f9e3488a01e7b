"""How long an operator waits for emperor-ctl where 2,000 vassals run, and where the time goes."""

import contextlib
import fcntl
import json
import os
import pty
import select
import socket
import statistics
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from measuring import SLEEPER, Daemon, Result, at_most, bench, daemon, write

COUNT = 2000
RUNS = 7
GOAL = 0.3  # seconds
COMMANDS = (
    ("status",),
    ("list",),
    ("list", "-o", "wide"),
    ("list", "--json"),
    ("show", "v7.ini"),
    ("explain", "v7.ini"),
    ("why", "v7.ini"),
    ("check",),
    ("logs", "-n", "50", "v7.ini"),
    ("events", "-n", "50"),
    ("wait", "--all"),
)
REQUESTS = ("status", "list", "show")
SLOW = 60  # clients that ask for the list and do not read it
RATE = 300  # bytes a second of a slow terminal


@bench
def answers(folder: Path) -> list[Result]:
    """Each command from its start to its end; the start of Python; the daemon's part."""
    results: list[Result] = []
    write(folder, COUNT, SLEEPER)
    with daemon(folder) as running:
        running.wait_for("spawned", COUNT)
        time.sleep(3)
        wall, cpu = _timed([sys.executable, "-c", "pass"])
        results.append(("the start of Python alone", f"{wall:.3f} s, CPU {cpu:.3f} s", "", True))
        wall, cpu = _timed(_ctl(running, "--version"))
        results.append(
            ("with the modules of emperor-ctl", f"{wall:.3f} s, CPU {cpu:.3f} s", "", True)
        )
        for words in COMMANDS:
            wall, cpu = _timed(_ctl(running, *words))
            what = f"{COUNT:,} vassals: {' '.join(words)}"
            results += [
                at_most(what, wall, GOAL, "s"),
                (f"{what}: CPU of the command", f"{cpu:.3f} s", "", True),
            ]
        for do in REQUESTS:
            took, cpu, size = _raw(running, do)
            text = f"{took * 1e3:.3g} ms, CPU {cpu * 1e3:.3g} ms"
            results.append((f"the daemon's part of {do} ({size:,} bytes)", text, "", True))
        results += [*_top(running), *_slow_readers(running), *_slow_terminal(running)]
    return results


def _ctl(running: Daemon, *words: str) -> list[str]:
    module = [sys.executable, "-m", "emperord", "ctl"]
    return [*module, "--control", f"{running.journal}.sock", *words]


def _timed(argv: list[str]) -> tuple[float, float]:
    """The median of the wall times, and the least CPU time, in seconds."""
    walls, cpus = [], []
    for _ in range(RUNS):
        began = time.monotonic()
        process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        assert process.stdout is not None
        with process.stdout:
            process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        walls.append(time.monotonic() - began)
        cpus.append(used.ru_utime + used.ru_stime)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{argv} ended with {process.returncode}")
    return statistics.median(walls), min(cpus)


def _connected(running: Daemon) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(f"{running.journal}.sock")
    return client


def _asked(running: Daemon, do: str) -> bytes:
    with _connected(running) as client, client.makefile("rb") as stream:
        client.sendall(json.dumps({"do": do, "name": "v7.ini"}).encode() + b"\n")
        return stream.readline()


def _raw(running: Daemon, do: str) -> tuple[float, float, int]:
    """Seconds until a client has the answer, of them the daemon's CPU time; bytes."""
    clock = _clock(running)
    walls, cpus, answer = [], [], b""
    for _ in range(10):
        time.sleep(0.3)  # the answer to list is shared by those who ask together
        began, used = time.monotonic(), time.clock_gettime(clock)
        answer = _asked(running, do)
        walls.append(time.monotonic() - began)
        cpus.append(time.clock_gettime(clock) - used)
    return statistics.median(walls), min(cpus), len(answer)


def _clock(running: Daemon) -> int:
    pid = json.loads(_asked(running, "status"))["status"]["pid"]
    return int((~pid << 3) | 2)  # clock_getcpuclockid(3)


def _top(running: Daemon) -> list[Result]:
    """A live screen of 80x24 for half a minute, as an operator has it."""
    pid, master = _at_terminal(_ctl(running, "top"))
    try:
        _read(master, 6)
        clock, daemons = (~pid << 3) | 2, _clock(running)
        before, before_daemons = time.clock_gettime(clock), time.clock_gettime(daemons)
        size = _read(master, 30)
        share = (time.clock_gettime(clock) - before) / 30 * 100
        others = (time.clock_gettime(daemons) - before_daemons) / 30 * 100
        os.write(master, b"q")
        _read(master, 1)
    finally:
        os.close(master)
        os.waitpid(pid, 0)
    return [
        at_most(f"{COUNT:,} vassals: top, of a core", share, 5, "%"),
        ("the daemon meanwhile, of a core", f"{others:.2g} %", "", True),
        ("top writes", f"{size / 30:,.0f} bytes/s", "", True),
    ]


def _at_terminal(argv: list[str]) -> tuple[int, int]:
    pid, master = pty.fork()
    if not pid:
        os.environ["TERM"] = "xterm"
        os.execv(argv[0], argv)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    return pid, master


def _read(descriptor: int, seconds: float, most: int = 1 << 16) -> int:
    """Read for so long; the bytes that came."""
    size, until = 0, time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([descriptor], [], [], left)[0]:
            with contextlib.suppress(OSError):
                size += len(os.read(descriptor, most))
    return size


def _slow_readers(running: Daemon) -> list[Result]:
    """Clients that ask for all and read nothing: the answers to others, and the memory."""
    before = _resident(running)
    with contextlib.ExitStack() as stack:
        for _ in range(SLOW):
            client = stack.enter_context(_connected(running))
            client.sendall(b'{"do": "list"}\n')
        waits = [_wait(running) for _ in range(20)]
        grown = _resident(running) - before
    what = f"{SLOW} clients that do not read the list"
    return [
        at_most(f"{what}: the longest wait of another", max(waits), 1, "s"),
        at_most(f"{what}: memory of the daemon", grown, 20, "MB"),
    ]


def _wait(running: Daemon) -> float:
    began = time.monotonic()
    _asked(running, "status")
    return time.monotonic() - began


def _resident(running: Daemon) -> float:
    pid = json.loads(_asked(running, "status"))["status"]["pid"]
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def _slow_terminal(running: Daemon) -> list[Result]:
    """A list at a terminal of 300 bytes a second: the answers to others."""
    pid, master = _at_terminal(_ctl(running, "--no-pager", "list"))
    waits = []
    try:
        for _ in range(20):
            _read(master, 0.1, most=RATE // 10)
            waits.append(_wait(running))
    finally:
        os.close(master)
        os.waitpid(pid, 0)
    return [at_most("a list at 300 bytes/s: the longest wait of another", max(waits), GOAL, "s")]

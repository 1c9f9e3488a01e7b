"""The parts of benchmarks: a daemon to measure, servers, results."""

import contextlib
import json
import os
import random
import select
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from emperord.daemon.host.controller import SETTLING

SLEEPER = "[emperor]\ncommand = sleep 1000\n"
BARRED = "[emperor]\nnonsense = 1\n"  # is known, never runs
PATIENCE = 120.0

Result = tuple[str, str, str, bool]
BENCHES: dict[str, Callable[[Path], list[Result]]] = {}


def bench(function: Callable[[Path], list[Result]]) -> Callable[[Path], list[Result]]:
    BENCHES[function.__name__] = function
    return function


def at_most(what: str, value: float, goal: float, unit: str) -> Result:
    return what, f"{value:.4g} {unit}", f"< {goal:g} {unit}", value < goal


def at_least(what: str, value: float, goal: float, unit: str) -> Result:
    return what, f"{value:,.0f} {unit}", f">= {goal:,.0f} {unit}", value >= goal


# A daemon to look at


class Daemon:
    """A daemon on ``folder/vassals``, with its journal beside it."""

    def __init__(self, folder: Path, *options: str, environ: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.journal = folder / "journal.db"
        vassals = folder / "vassals"
        vassals.mkdir(exist_ok=True)
        address = folder / "notify"
        address.unlink(missing_ok=True)
        self._ears = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ears.bind(str(address))
        with (folder / "log").open("wb") as log:
            self._began = time.monotonic()
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "emperord.daemon.main",
                    "--journal", str(self.journal), *options, str(vassals),
                ],
                env={**os.environ, "NOTIFY_SOCKET": str(address), **(environ or {})},
                stdout=log,
                stderr=log,
            )  # fmt: skip

    def ready(self) -> float:
        """Seconds from the start until it said that it is ready."""
        self._ears.settimeout(PATIENCE)
        while b"READY=1" not in self._ears.recv(4096):
            pass
        return time.monotonic() - self._began

    def cpu(self) -> float:
        """Seconds of processor time that it has used, to the nanosecond (clock_getcpuclockid)."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def memory(self) -> dict[str, float]:
        """Rss and Pss in MB (of 2**20 bytes)."""
        lines = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()[1:]
        values = {
            key: int(rest.split()[0]) / 1024 for key, _, rest in (x.partition(":") for x in lines)
        }
        return {key: values[key] for key in ("Rss", "Pss")}

    def last_seq(self) -> int:
        return int(self._ask("SELECT coalesce(max(seq), 0) FROM event"))

    def count(self, kind: str) -> int:
        return int(self._ask(f"SELECT count(*) FROM event WHERE kind = '{kind}'"))

    def _ask(self, sql: str) -> int:
        connection = sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True)
        try:
            return int(connection.execute(sql).fetchone()[0])
        finally:
            connection.close()

    def wait_for(self, kind: str, count: int) -> None:
        end = time.monotonic() + PATIENCE
        while self.count(kind) < count:
            if time.monotonic() > end:
                sys.exit(f"{kind} came {self.count(kind)} times, not {count}")
            time.sleep(0.05)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        self._ears.close()


@contextlib.contextmanager
def daemon(folder: Path, *options: str, environ: dict[str, str] | None = None) -> Iterator[Daemon]:
    running = Daemon(folder, *options, environ=environ)
    try:
        running.ready()
        yield running
    finally:
        running.stop()


def write(folder: Path, count: int, text: str) -> None:
    (folder / "vassals").mkdir(exist_ok=True)
    for i in range(count):
        (folder / "vassals" / f"v{i}.ini").write_text(text)


def at_rest(running: Daemon, after: float = 2) -> float:
    """Milliseconds of processor time a second that it uses when nothing happens."""
    time.sleep(after)
    before = running.cpu()
    time.sleep(10)
    return (running.cpu() - before) / 10 * 1e3


SPEAKER = """#!{python} -IS
import os, time
control, out = int(os.environ["UWSGI_EMPEROR_FD"]), os.open(os.environ["BENCH_PIPE"], os.O_WRONLY)
os.write(control, bytes([1, 5]))
while byte := os.read(control, 1):
    now = time.monotonic_ns()
    if byte in b"\\0\\2":
        break
    os.write(control, bytes([5]))
    os.write(out, b"%d\\n" % now)
"""


def reactions(
    folder: Path, what: str, change: Callable[[], object], *monitors: str
) -> list[Result]:
    """How long after a change of its one vassal a source has the daemon send byte 1.

    ``change`` adds the vassal when it is called first. A speaker notes when it reads the byte.
    """
    program = folder / "speaker"
    program.write_text(SPEAKER.format(python=sys.executable))
    program.chmod(0o755)
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    inlet = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    options = ("--uwsgi", str(program), *monitors)
    took: list[float] = []
    with daemon(folder, *options, environ={"BENCH_PIPE": str(pipe)}) as running:
        change()
        running.wait_for("vassal_accepting", 1)
        os.set_blocking(inlet, True)
        for _ in range(40):
            # Idle: a reload that follows at once waits for all workers (see controller.py).
            time.sleep(SETTLING + 0.1 + random.random() * 0.1)
            began = time.monotonic_ns()
            change()
            if not select.select([inlet], [], [], 10)[0]:
                sys.exit(f"{what}: the change was not seen")
            took.append((int(os.read(inlet, 100)) - began) / 1e6)
    os.close(inlet)
    worst = statistics.quantiles(took, n=20)[-1]
    return [
        at_most(f"{what} to byte 1, median of 40", statistics.median(took), 20, "ms"),
        (f"{what} to byte 1, 95 %", f"{worst:.4g} ms", "", True),
    ]


@contextlib.contextmanager
def server(name: str) -> Iterator[dict[str, Any]]:
    """A private server by tools/services: what a client needs to know."""
    tool = [sys.executable, str(Path(__file__).parents[1] / "services"), name]
    with subprocess.Popen(tool, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        try:
            yield json.loads(run.stdout.readline())[name]
        finally:
            run.stdin.close()

"""The cost of many vassals: memory and CPU of the daemon."""

import os
import socket
import statistics
import time
from pathlib import Path

from measuring import BARRED, SLEEPER, Daemon, Result, at_most, at_rest, bench, daemon, write


@bench
def spawn(folder: Path) -> list[Result]:
    """All that starting costs the daemon: seeing the file, reading it, three events, the spawn."""
    count = 200
    with daemon(folder) as running:
        before = running.cpu()
        write(folder, count, SLEEPER)
        running.wait_for("spawned", count)
        took = running.cpu() - before
    return [at_most(f"spawn: CPU of the daemon, {count} at once", took / count * 1e3, 1.5, "ms")]


@bench
def start(folder: Path) -> list[Result]:
    """From exec to READY on an empty directory."""
    took: list[float] = []
    for _ in range(8):
        running = Daemon(folder)
        took.append(running.ready() * 1e3)
        running.stop()
    return [
        at_most("start to READY, median of 7", statistics.median(took[1:]), 300, "ms"),
        ("the very first start, which makes the journal", f"{took[0]:.4g} ms", "", True),
    ]


@bench
def memory(folder: Path) -> list[Result]:
    """1,000 running vassals."""
    write(folder, 1000, SLEEPER)
    with daemon(folder) as running:
        running.wait_for("spawned", 1000)
        idle = at_rest(running, 12)  # by then the daemon has given back the memory of its start
        used = running.memory()
    return [
        at_most("1,000 vassals: resident (RSS)", used["Rss"], 45, "MB"),
        ("1,000 vassals: proportional (PSS)", f"{used['Pss']:.4g} MB", "", True),
        ("1,000 vassals: CPU when nothing happens", f"{idle:.4g} ms/s", "", True),
    ]


BEAT = r'printf "\032" >&$UWSGI_EMPEROR_FD'
BEATER = f"""[emperor]
command = bash -c 'for i in 1 2 3 4 5 6; do {BEAT}; sleep 1; done; exec sleep 1000'
"""


@bench
def listening(folder: Path) -> list[Result]:
    """5,000 vassals on demand without a first client."""
    sockets = folder / "sockets"
    sockets.mkdir()
    write(folder, 5000, SLEEPER)
    began = time.monotonic()
    with daemon(folder, "--on-demand-directory", str(sockets)) as running:
        while len(os.listdir(sockets)) < 5000:
            time.sleep(0.05)
        took = time.monotonic() - began
        idle = at_rest(running)
        memory = running.memory()["Rss"]
        with socket.socket(socket.AF_UNIX) as client:
            wanted = time.monotonic()
            client.connect(str(sockets / "v2500.socket"))
            while not running.count("spawned"):
                time.sleep(0.001)
            woken = (time.monotonic() - wanted) * 1e3
    return [
        at_most("5,000 vassals on demand: memory of the daemon", memory, 100, "MB"),
        at_most("5,000 vassals on demand: start to listening", took, 20, "s"),
        at_most("5,000 vassals on demand: CPU at rest, a second", idle, 50, "ms"),
        at_most("5,000 vassals on demand: first client to spawn", woken, 100, "ms"),
    ]


@bench
def heartbeats(folder: Path) -> list[Result]:
    """1,000 vassals send six heartbeats each: the first is an event, the others none."""
    write(folder, 1000, BEATER)
    with daemon(folder, "--required-heartbeat", "600") as running:
        running.wait_for("heartbeat_started", 1000)
        before = running.last_seq()
        time.sleep(7)
        grown = running.last_seq() - before
    return [("1,000 vassals, 6 heartbeats: events after the first", f"{grown}", "0", grown == 0)]


@bench
def rescan(folder: Path) -> list[Result]:
    """10,000 files that do not change."""
    write(folder, 10_000, BARRED)
    with daemon(folder, "--freq", "1") as running:
        running.wait_for("vassal_added", 10_000)
        time.sleep(5)  # until the files are old enough for their times to be trusted
        took: list[float] = []
        for _ in range(10):
            before = running.cpu()
            time.sleep(1)
            took.append((running.cpu() - before) * 1e3)
    return [at_most("rescan of 10,000 files: CPU", statistics.median(took), 100, "ms")]

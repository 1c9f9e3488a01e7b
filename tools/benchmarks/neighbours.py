"""How long a user's change waits while another user changes thousands of files beside it."""

import json
import os
import sqlite3
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from measuring import BARRED, Daemon, Result, at_most, bench, daemon

MANY = 20_000
BUSY, OTHER = 2000, 2001  # uids
PERIOD = 0.15  # seconds between two changes of the other user


def create(vassals: Path) -> None:
    for number in range(MANY):
        (vassals / f"v{number}.ini").write_text(f"{BARRED}# {number}")


def rewrite(vassals: Path) -> None:
    for number in range(MANY):
        (vassals / f"v{number}.ini").write_text(f"{BARRED}# new {number}")


def touch(vassals: Path) -> None:
    for number in range(MANY):
        os.utime(vassals / f"v{number}.ini")


def enlarge(vassals: Path) -> None:
    for number in range(200):
        (vassals / f"v{number}.ini").write_text(f"{BARRED}# {number}" + "#" * 900_000)


def remove(vassals: Path) -> None:
    for number in range(MANY):
        (vassals / f"v{number}.ini").unlink()


ACTS: tuple[Callable[[Path], None], ...] = (create, rewrite, touch, enlarge, remove)


@bench
def neighbours(folder: Path) -> list[Result]:
    """dir:// in tyrant mode: one user changes 20,000 files, another one changes a file."""
    if os.geteuid():
        return [("a change beside 20,000 of another user", "needs root", "", True)]
    folder.chmod(0o755)
    vassals = folder / "vassals"
    vassals.mkdir()
    vassals.chmod(0o1777)
    results: list[Result] = []
    with daemon(folder, "--tyrant", "--record-budget", "0") as running:
        for act in ACTS:
            waits = sorted(_waits(running, vassals, act))
            worst = statistics.quantiles(waits, n=20)[-1]
            what = f"a change while another user does {act.__name__}"
            results += [
                at_most(f"{what}: median", statistics.median(waits), 100, "ms"),
                at_most(f"{what}: 95 %", worst, 200, "ms"),
            ]
    return results


def _waits(running: Daemon, vassals: Path, act: Callable[[Path], None]) -> list[float]:
    """Milliseconds from each change of the other user to its event."""
    began = running.last_seq()
    busy = os.fork()
    if not busy:
        os.setgid(BUSY)
        os.setuid(BUSY)
        act(vassals)
        os._exit(0)
    changes: list[tuple[int, int]] = []
    events = -1
    while True:
        before, events = events, _events_of_busy(running, began)
        if not busy and events == before:
            return _between(running, began, changes)
        for _ in range(10):
            changes.append(_change(vassals, len(changes)))
            time.sleep(PERIOD)
        if busy and os.waitpid(busy, os.WNOHANG)[0]:
            busy, events = 0, -1


def _change(vassals: Path, number: int) -> tuple[int, int]:
    """Change the other user's file: its time, and when it was there, both in nanoseconds."""
    new = vassals / "new"
    new.write_text(f"{BARRED}# {number}")
    os.chown(new, OTHER, OTHER)
    changed = new.stat().st_mtime_ns
    new.rename(vassals / "other.ini")
    return changed, time.time_ns()


def _rows(running: Daemon, sql: str, *args: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{running.journal}?mode=ro", uri=True)) as connection:
        return connection.execute(sql, args).fetchall()


def _events_of_busy(running: Daemon, began: int) -> int:
    sql = "SELECT count(*) FROM event WHERE seq > ? AND vassal LIKE 'v%'"
    return int(_rows(running, sql, began)[0][0])


def _between(running: Daemon, began: int, changes: list[tuple[int, int]]) -> list[float]:
    """From each change to the first event that has it, or a later one that came before."""
    sql = "SELECT at, body FROM event WHERE seq > ? AND vassal = 'other.ini' ORDER BY seq"
    events = [(at, json.loads(body)["spec"]["ts"]) for at, body in _rows(running, sql, began)]
    waits: list[float] = []
    for changed, there in changes:
        seen = [at for at, ts in events if ts >= changed]
        if seen:
            waits.append((seen[0] - there) / 1e6)
    return waits

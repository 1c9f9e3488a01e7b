"""How fast a journal of a million events is read: ``emperor-replay``, as an operator runs it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import million
from measuring import Result, at_most, bench

EVENTS = 1_000_000
AT_ONCE = 0.3  # seconds
COMMANDS = {
    ("history", "app100.ini"): AT_ONCE,
    ("state",): AT_ONCE,
    ("search", "version = 12345"): AT_ONCE,
    ("blame", "app100.ini"): AT_ONCE,
    ("why", "app100.ini"): AT_ONCE,
    ("incident", "app100.ini"): AT_ONCE,
    ("report",): 2.0,  # this one reads all events
}
MEGABYTES = 60


def _measured(journal: Path, *arguments: str) -> tuple[float, float]:
    """Seconds from the start to the end, and the most memory that it had, in MB."""
    command = [sys.executable, "-m", "emperord.replay.main", "--journal", str(journal), *arguments]
    began = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    took = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{arguments} ended with {child.returncode}")
    return took, used.ru_maxrss / 1024


@bench
def replay(folder: Path) -> list[Result]:
    """Commands that are to answer at once, whatever the journal's length, and ``report``."""
    journal = folder / "journal.db"
    million.write(str(journal), EVENTS)
    results: list[Result] = []
    for arguments, seconds in COMMANDS.items():
        runs = [_measured(journal, *arguments) for _ in range(5)]
        what = f"{EVENTS:,} events: {' '.join(arguments)}"
        results.append(at_most(what, min(took for took, _ in runs), seconds, "s"))
        results.append(at_most(f"{what}: memory", max(most for _, most in runs), MEGABYTES, "MB"))
    return results

"""How fast a journal of a million events is read: ``emperor-replay``, as an operator runs it.

replays.py JOURNAL measures the commands that begin with an index, for a journal that ``million.py``
wrote before. It may have ten million events.
"""

import gc
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import million
from emperord.daemon.core.checkpoints import States
from emperord.daemon.core.deploys import Deploys
from emperord.daemon.core.fleet import Fleet
from emperord.daemon.core.fold import fold
from emperord.journal import chain
from emperord.journal.reading import open_journal
from measuring import Result, at_most, bench

EVENTS = 1_000_000
_T = TypeVar("_T")
AT_ONCE = 0.3  # seconds
QUICK = {
    ("history", "app100.ini"): AT_ONCE,
    ("history", "-n", "50", "app100.ini"): AT_ONCE,
    ("state",): AT_ONCE,
    ("search", "version = 12345"): AT_ONCE,
    ("blame", "app100.ini"): AT_ONCE,
    ("why", "app100.ini"): AT_ONCE,
    ("incident", "app100.ini"): AT_ONCE,
    ("events", "-n", "50", "app100.ini"): AT_ONCE,
}
COMMANDS = {
    **QUICK,
    ("report",): 2.0,  # but for the first run, with the sums that are kept
    ("report", "--full"): 2.0,  # this one and the next read all events
    ("verify",): 3.0,
    ("verify", "--since-verified", "verified.json"): 3.0,  # but for the first run
}
MEGABYTES = 60
BYTES = 300  # an event, without the table of configs
PARTS = 100_000  # events by which the parts of verify are measured


# The kernel counts the memory of the process that executes a program as the program's own, so a
# small process starts it.
STARTER = """
import os, sys, time
began = time.perf_counter()
to_nowhere = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=to_nowhere)
_, status, used = os.wait4(child, 0)
took = time.perf_counter() - began
print(took, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def measured(journal: Path, *arguments: str) -> tuple[float, float, float]:
    """Seconds from the start to the end, those of processor time, and the most memory in MB.

    The processor time is that of all its processes, the memory that of the largest one.
    """
    command = [sys.executable, "-m", "emperord.replay.main", "--journal", str(journal), *arguments]
    environ = {**os.environ, "XDG_CACHE_HOME": str(journal.parent)}
    starter = [sys.executable, "-I", "-S", "-c", STARTER, *command]
    done = subprocess.run(
        starter, stdout=subprocess.PIPE, env=environ, cwd=journal.parent, text=True
    )
    if done.returncode:
        sys.exit(f"{arguments} ended with {done.returncode}")
    took, processor, memory = map(float, done.stdout.split())
    return took, processor, memory


def _bytes(journal: Path) -> float:
    """The bytes of an event in the file, without the table of configs."""
    query = "SELECT sum(pgsize) FROM dbstat WHERE name NOT LIKE '%config%'"
    with closing(sqlite3.connect(journal)) as db:
        ((size,),) = db.execute(query).fetchall()
    return float(size) / EVENTS


def _parts(journal: Path) -> list[Result]:
    """The processor time that the parts of ``verify`` take, in microseconds an event."""
    with open_journal(str(journal)) as reader:
        rows, reading = _timed(lambda: list(reader.rows(upto=PARTS)))
        _, chaining = _timed(lambda: list(chain.links(chain.GENESIS, (row[:8] for row in rows))))
        events, decoding = _timed(lambda: [reader.decode(row) for row in rows])
    fleet, other, third = Fleet(), Fleet(), Fleet()
    follower, states = Deploys(), States()
    ordered, folding = _timed(lambda: [fold(fleet, event) for event in events])
    _, both = _timed(lambda: [follower.take(other, event) for event in events])

    def checkpoints() -> None:
        for event, actions in zip(events, ordered, strict=True):
            fold(third, event)
            states.note(third, event, actions)
            if event.kind == "checkpoint":
                states.digest(third)

    _, with_states = _timed(checkpoints)
    found = {
        "reading": reading, "chain": chaining, "decoding": decoding, "fold": folding,
        "outcomes": both - folding, "checkpoints": with_states - folding,
    }  # fmt: skip
    return [(f"verify: {what}", f"{took:.2f} us", "", True) for what, took in found.items()]


def _timed(work: Callable[[], _T]) -> tuple[_T, float]:
    gc.collect()
    gc.disable()
    began = time.process_time()
    found = work()
    took = time.process_time() - began
    gc.enable()
    return found, took / PARTS * 1e6


def commands(
    journal: Path, which: str, goals: Mapping[tuple[str, ...], float], times: int = 5
) -> list[Result]:
    """The least wall time, processor time and memory of these commands."""
    results: list[Result] = []
    for arguments, seconds in goals.items():
        runs = [measured(journal, *arguments) for _ in range(times)]
        what = f"{which}{' '.join(arguments)}"
        results.append(at_most(what, min(took for took, _, _ in runs), seconds, "s"))
        spent = min(spent for _, spent, _ in runs)
        results.append((f"{what}: processor", f"{spent:.3g} s", "", True))
        most = max(most for _, _, most in runs)
        results.append(at_most(f"{what}: memory", most, MEGABYTES, "MB"))
    return results


@bench
def replay(folder: Path) -> list[Result]:
    """Commands that are to answer at once, whatever the journal's length, and two that are not."""
    journal = folder / "journal.db"
    million.write(str(journal), EVENTS)
    results = commands(journal, f"{EVENTS:,} events: ", COMMANDS)
    results.append(at_most(f"{EVENTS:,} events: an event", _bytes(journal), BYTES, "bytes"))
    return results + _parts(journal)


if __name__ == "__main__":
    for line, value, goal, good in commands(Path(sys.argv[1]).resolve(), "", QUICK):
        print(f"{line:<55} {value:>12}  {goal:<10} {'' if good else 'MISSED'}")

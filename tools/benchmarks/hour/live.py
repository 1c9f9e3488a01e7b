"""A real daemon with tiny vassals, looked at from outside while things happen to it."""

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from peers import processes
from peers.installing import PREFIX
from peers.marks import compiled
from peers.running import say
from peers.supervisors import Emperord, fleet_place

from .churn import REST, Churn
from .samples import Bound, Sample

VASSALS = 100
FILES = 4096
STEP = 0.05  # seconds between two things that happen
OUTAGE = 30.0  # seconds between two outages
SAMPLES = 12
NAMES = 16  # new names a second, at most: the places in the file of stamps
# Processor time grows with what else the machine does, and memory comes in steps of the allocator.
BOUNDS = {
    "events": Bound(9, 0),  # of the journal, which grows by design
    "ms of processor time an event": Bound(0.5, 0.2),
    "threads of the daemon": Bound(0, 4),
    "open files of the daemon": Bound(0, 12),
    "open files of the keeper": Bound(0, 8),
    "KB of the snapshot": Bound(0.2, 50),  # at first there is none
    "MB of the daemon (anonymous)": Bound(0.04, 0),
    "MB of the keeper (anonymous)": Bound(0.02, 0.3),
}
OTHER = Bound(0.1, 0)


def run(folder: Path, seconds: float) -> list[Sample]:
    """The samples of a run of so many seconds."""
    vassal, _ = compiled(folder)
    places = VASSALS + int(seconds * NAMES)
    with fleet_place(vassal, places, FILES, PREFIX) as place:
        emperor = Emperord(place, VASSALS)
        emperor.write()
        try:
            emperor.all_started(emperor.start())
            return _samples(emperor, seconds)
        finally:
            emperor.end()


def _samples(emperor: Emperord, seconds: float) -> list[Sample]:
    churn = Churn(emperor)
    samples: list[Sample] = []
    events, spent = _events(emperor), processes.spent([emperor.daemon_pid()])
    outage = time.monotonic() + OUTAGE
    for number in range(1, SAMPLES + 1):
        until = time.monotonic() + seconds / SAMPLES
        while time.monotonic() < until:
            churn.step()
            if time.monotonic() > outage:
                churn.outage()
                outage = time.monotonic() + OUTAGE
            time.sleep(STEP)
        time.sleep(REST)
        before = events, spent
        events, spent = _events(emperor), processes.spent([emperor.daemon_pid()])
        per_event = (spent - before[1]) / max(1, events - before[0]) * 1e3
        figures = {"events": events, "ms of processor time an event": per_event}
        samples.append(Sample(seconds * number / SAMPLES, figures | _figures(emperor)))
        say(f"real: {samples[-1]}")
    return samples


def _figures(emperor: Emperord) -> dict[str, float]:
    daemon = emperor.daemon_pid()
    [keeper, *_] = [pid for pid in emperor.own() if pid != daemon]
    found: dict[str, float] = {}
    for name, pid in (("daemon", daemon), ("keeper", keeper)):
        found[f"MB of the {name} (anonymous)"] = processes.memory(pid).anonymous
        found[f"open files of the {name}"] = len(os.listdir(f"/proc/{pid}/fd"))
    found["threads of the daemon"] = len(os.listdir(f"/proc/{daemon}/task"))
    found["KB of the snapshot"] = _snapshot(emperor) / 1024
    return found


def _events(emperor: Emperord) -> int:
    return int(_one(emperor, "SELECT max(seq) FROM event") or 0)


def _snapshot(emperor: Emperord) -> int:
    """The bytes of the last snapshot; 0 if there is none yet."""
    return int(_one(emperor, "SELECT length(fleet) FROM snapshot ORDER BY seq DESC LIMIT 1") or 0)


def _one(emperor: Emperord, query: str) -> int | None:
    with closing(sqlite3.connect(f"file:{emperor.journal}?mode=ro", uri=True)) as db:
        row = db.execute(query).fetchone()
        return None if row is None else row[0]

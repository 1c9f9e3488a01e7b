"""The least that ``verify`` and ``report`` can take of a million events: floors.py [JOURNAL].

A bare loop reads the rows, makes the chain, and decodes the bodies. That is compiled code: SQLite,
SHA-256 and msgspec. SQLite's own check of its pages and the digests of the texts come on top.
Nothing is compared but hashes. The fold is Python, and is measured for itself.
"""

import os
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import million
import msgspec
from emperord.daemon.core.fold import fold
from emperord.journal.events import KINDS
from emperord.journal.reading import decoded, open_journal
from emperord.replay.rebuild import base
from measuring import Result, at_most, bench

CORES = 2
EVENTS = 1_000_000
VERIFY, REPORT = 3.0, 2.0  # seconds that are wanted
COMPILED = ("rows", "chain", "bodies")
SNAPSHOTS = "SELECT min(seq) FROM snapshot GROUP BY seq / 50000 ORDER BY 1"
ROWS = (
    "SELECT seq, at, kind, monitor, vassal, cause, body, actions, hash FROM event"
    " WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 1000"
)
Took = Counter[str]  # by part, seconds of processor time


@contextmanager
def timed(took: Took, what: str) -> Iterator[None]:
    began = time.process_time()
    yield
    took[what] += time.process_time() - began


def part(path: str, begin: int, end: int) -> Took:
    """The events behind a snapshot up to ``end``, without and with the fold."""
    took: Took = Counter()
    encode = msgspec.json.Encoder(order="sorted").encode
    decoders = {kind: msgspec.json.Decoder(body).decode for kind, body in KINDS.items()}
    with open_journal(path) as reader:
        fleet, hash_ = base(reader, begin)
        while begin < end:
            with timed(took, "rows"):
                rows = reader.db.execute(ROWS, (begin, end)).fetchall()
            with timed(took, "chain"):
                for row in rows:
                    hash_ = sha256(hash_ + encode(row[:8])).digest()
                    if hash_ != row[8]:
                        sys.exit(f"event {row[0]} is not what was written")
            with timed(took, "bodies"):
                for row in rows:
                    decoders[row[2]](row[6])
            events = [decoded(path, row) for row in rows]
            with timed(took, "fold"):
                for event in events:
                    fold(fleet, event)
            begin = rows[-1][0]
    return took


def pages(path: str) -> Took:
    """SQLite's own check of pages and indexes."""
    took: Took = Counter()
    with timed(took, "pages"), open_journal(path) as reader:
        if reader.db.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            sys.exit(f"{path} is damaged")
    return took


def texts(path: str) -> Took:
    """Each text with its digest."""
    took: Took = Counter()
    with timed(took, "texts"), open_journal(path) as reader:
        for digest, content in reader.db.execute("SELECT digest, content FROM config"):
            if sha256(content).hexdigest() != digest:
                sys.exit(f"config {digest} is not what was deployed")
    return took


def stops_of(path: str) -> tuple[list[int], int]:
    """The ends of pieces of a journal, and its last event."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        ((events,),) = db.execute("SELECT max(seq) FROM event")
        return [0, *(seq for (seq,) in db.execute(SNAPSHOTS) if seq < events), events], events


def measured(path: str) -> list[Result]:
    """The floors of a journal; its processes share the cores as those of ``verify`` do."""
    stops, events = stops_of(path)
    took: Took = Counter()
    with ProcessPoolExecutor(CORES) as pool:
        jobs = [pool.submit(pages, path)]
        jobs += [pool.submit(part, path, *ends) for ends in pairwise(stops)]
        jobs.append(pool.submit(texts, path))
        for job in jobs:
            took.update(job.result())

    def seconds(*parts: str) -> float:
        """The seconds that a million events take of these, when no core is ever idle."""
        return sum(took[each] for each in parts) / events * EVENTS / CORES

    every = (*COMPILED, "pages", "texts")
    return [
        *((f"floor: {each}", f"{took[each] / events * 1e6:.2f} us", "", True) for each in took),
        at_most(f"floor: verify without a fold, {CORES} cores", seconds(*every), VERIFY, "s"),
        at_most("floor: the same and the fold", seconds(*every, "fold"), VERIFY, "s"),
        at_most(f"floor: report without a fold, {CORES} cores", seconds(*COMPILED), REPORT, "s"),
        at_most("floor: the same and the fold ", seconds(*COMPILED, "fold"), REPORT, "s"),
    ]


@bench
def floors(folder: Path) -> list[Result]:
    """The least that ``verify`` and ``report`` can take."""
    journal = folder / "journal.db"
    million.write(str(journal), EVENTS)
    return measured(str(journal))


if __name__ == "__main__":
    for what, took, goal, good in measured(os.path.realpath(sys.argv[1])):
        print(f"{what:<55} {took:>12}  {goal:<10} {'' if good else 'MISSED'}")

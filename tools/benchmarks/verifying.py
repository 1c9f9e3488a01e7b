"""Where each microsecond of ``verify`` goes, and what no reader of a journal can do without.

One run writes a journal and measures each part on it, then the command itself. Each figure is
processor time, so other work on the machine matters less. The parts are measured by one process
each, on all cores at once, as ``verify`` works.
"""

import argparse
import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import floors
import million
import replays
from emperord.daemon.core.checkpoints import States
from emperord.daemon.core.deploys import Deploys
from emperord.daemon.core.fold import fold
from emperord.journal.reading import decoded, open_journal
from emperord.replay.rebuild import base
from peers import page, running, table
from peers.sitting import machine

WANTED = 400_000  # events a second
MICRO = 1e6
TITLES = {
    "rows": "SQLite reads a row of nine columns",
    "chain": "canonical JSON and SHA-256 of the row",
    "bodies": "msgspec decodes the body",
    "pages": "SQLite's own check of its pages and indexes",
    "texts": "SHA-256 of the config texts",
    "fold": "the fold",
    "outcomes": "the outcomes of deploys are followed",
    "checkpoints": "digests of checkpoints",
}
COMPILED = ("rows", "chain", "bodies", "pages", "texts")


def _folded(path: str, begin: int, end: int) -> floors.Took:
    """Both parts beside the fold, behind a snapshot: what they add to the fold of the same."""
    took: floors.Took = Counter()
    with open_journal(path) as reader:
        fleets = [base(reader, begin)[0] for _ in range(2)]
        followers, states = (Deploys(), Deploys()), States()
        for rows in _pieces(reader.db, begin, end):
            events = [decoded(path, row) for row in rows]
            with floors.timed(took, "with outcomes"):
                for event in events:
                    followers[0].take(fleets[0], event, None, fold)
            with floors.timed(took, "with both"):
                for event in events:
                    if event.kind == "checkpoint":
                        states.digest(fleets[1])
                    actions = followers[1].take(fleets[1], event, None, fold)
                    states.touched.note(fleets[1], event, actions)
            for follower in followers:
                follower.touched.clear()
    return took


def _pieces(db: Any, begin: int, end: int) -> Any:
    while begin < end:
        yield (rows := db.execute(floors.ROWS, (begin, end)).fetchall())
        begin = rows[-1][0]


def measured(path: str) -> dict[str, Any]:
    """The seconds of each part, and of the command."""
    stops, events = floors.stops_of(path)
    took: floors.Took = Counter()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(floors.pages, path)]
        for work in (floors.part, _folded):
            jobs += [pool.submit(work, path, *ends) for ends in pairwise(stops)]
        jobs.append(pool.submit(floors.texts, path))
        for job in jobs:
            took.update(job.result())
    took["checkpoints"] = took.pop("with both") - took["with outcomes"]
    took["outcomes"] = took.pop("with outcomes") - took["fold"]
    runs = [replays.measured(Path(path), "verify")[:2] for _ in range(3)]
    wall, spent = (min(column) for column in zip(*runs, strict=True))
    return {"events": events, "took": dict(took), "wall": wall, "spent": spent}


def _table(found: dict[str, Any]) -> list[list[str]]:
    """The parts in microseconds an event, and how many events a second each sum allows."""
    events, cores = found["events"], found["machine"]["cores"]
    each = {part: found["took"][part] / events * MICRO for part in TITLES}
    spent = found["spent"] / events * MICRO

    def row(title: str, micro: float) -> list[str]:
        return [title, f"{micro:.2f}", f"{cores * MICRO / micro:,.0f}"]

    compiled = sum(each[part] for part in COMPILED)
    return [
        ["part", "microseconds an event", f"events a second, {cores} cores, if that is all"],
        *(row(TITLES[part], each[part]) for part in COMPILED),
        row("**all of these, which is compiled code**", compiled),
        *(row(TITLES[part], each[part]) for part in TITLES if part not in COMPILED),
        row("**all parts**", sum(each.values())),
        row("the rest: comparisons, the table of deploys, starts", spent - sum(each.values())),
        row("**`verify`, its processor time**", spent),
        ["`verify`, by the clock", "", f"{events / found['wall']:,.0f}"],
        [f"{WANTED:,} events a second", f"{cores * MICRO / WANTED:.2f}", f"{WANTED:,}"],
    ]


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/bench --verify", description=__doc__)
    parser.add_argument("--events", type=int, default=replays.EVENTS, metavar="N")
    parser.add_argument("--journal", metavar="FILE", help="one that million.py wrote before")
    running.add_output(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and write what was asked for."""
    asked = _asked(arguments)
    found = running.figures(asked, partial(_run, asked))
    if found is None:
        return 130
    shown = _table(found)
    print(table.aligned(shown))
    running.keep(found, asked)
    if asked.write:
        head = f"{page.measured(found)}: a journal of {found['events']:,} events."
        page.put(Path(asked.docs) / "performance.md", "verify", f"{head}\n\n{page.grid(shown)}")
    return 0


def _run(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    path = asked.journal and str(Path(asked.journal).resolve())
    if not path:
        path = str(folder / "journal.db")
        million.write(path, asked.events)
    made = {"made": time.strftime("%Y-%m-%d"), "machine": machine(folder)}
    return {**made, **measured(path)}

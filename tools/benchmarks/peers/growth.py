"""Measures whether a cost grows with the number of vassals, or with the length of the journal.

Each size of a fleet has a journal of its own. Each length of a journal is tried with 200 vassals.
Processor time is that of daemon and keeper, and is comparable on a busy machine too.
"""

import argparse
import itertools
import json
import random
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import million
from emperord.journal.chain import Columns
from emperord.journal.store import Journal

from . import page, processes, running, table
from .installing import PREFIX
from .marks import ENDED, LOOK, STARTED, TookTooLongError, compiled
from .running import say
from .sitting import FAILURES, Cell, Row, machine
from .supervisors import PATIENCE, Emperord, NotPossibleError, fleet_place

FLEETS = (100, 1_000, 10_000)
LENGTHS = (1_000, 1_000_000)  # events; the first is a new journal
LONGEST = 10_000_000
VASSALS = 200  # of each journal
# Open files of the daemon. It has two for each vassal, so the limit says how many there can be.
FILES = min(65_536, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
MOST = (FILES - 200) // 200 * 100  # vassals
TIMES = 5  # a change, a start
SETTLED = 12.0  # seconds until a fleet is at rest
IDLE = 10.0
APPENDS = 200
ASIDE = 0.3  # seconds; a change is over by then
ATTENTION = 3  # the exit code of status where anything wants attention
OF_FLEETS = {
    "start": ("cold start until all run", "s"),
    "first-answer": ("the first answer of a daemon in a cold start", "s"),
    "start-cpu": ("processor time of a cold start, each vassal", "s"),
    "told": ("touch of one until it is told", "s"),
    "told-cpu": ("processor time of that", "s"),
    "new": ("a new file until its vassal runs", "s"),
    "new-cpu": ("processor time of that", "s"),
    "gone": ("a removed file until its vassal has ended", "s"),
    "gone-cpu": ("processor time of that", "s"),
    "looks": ("processor time of all looks at the files after a change, until rest", "s"),
    "idle": ("without work, of one core", "%"),
    "rss": ("resident (RSS), daemon and keeper", "MB"),
    "pss": ("resident (PSS), daemon and keeper", "MB"),
    "kb": ("anonymous memory for each vassal more", "KB"),
    "list": ("`emperor-ctl list`, start to end", "s"),
    "list-cpu": ("the daemon's processor time of that", "s"),
    "beside": ("`show` that is asked while the daemon makes a list", "s"),
    "list-one": ("`emperor-ctl list NAME`", "s"),
    "status": ("`emperor-ctl status`", "s"),
    "status-cpu": ("the daemon's processor time of that", "s"),
    "ctl-why": ("`emperor-ctl why NAME`", "s"),
    "top": ("`emperor-ctl top --once -d 250ms`", "s"),
    "state": ("`emperor-replay state`", "s"),
    "again": ("a second daemon's first answer after `kill -9`", "s"),
    "stop": ("stop of all", "s"),
}
OF_JOURNALS = {
    "append": ("append of one event, synchronous", "s"),
    "append-cpu": ("processor time of that", "s"),
    "state": ("`emperor-replay state`", "s"),
    "why": ("`emperor-replay why NAME`", "s"),
    "history": ("`emperor-replay history NAME`", "s"),
    "first-answer": ("a daemon's first answer", "s"),
    "told": ("touch of one until it is told", "s"),
    "told-cpu": ("processor time of that", "s"),
    "list": ("`emperor-ctl list`", "s"),
    "ctl-why": ("`emperor-ctl why NAME`", "s"),
    "rss": ("resident (RSS), daemon and keeper", "MB"),
    "again": ("a second daemon's first answer after `kill -9`", "s"),
}


class Named(Emperord):
    """With the names that the journal has already."""

    def file(self, index: int) -> Path:
        return self.vassals / f"app{index:03}.ini"


class Growth:
    """The two tables, filled column by column."""

    def __init__(self, vassal: Path, times: int, say: Callable[[str], None]) -> None:
        self._vassal, self._times, self._say = vassal, times, say
        self.fleets = {name: Row(*words) for name, words in OF_FLEETS.items()}
        self.journals = {name: Row(*words) for name, words in OF_JOURNALS.items()}
        self._anonymous: dict[int, float] = {}  # MB, by the number of vassals

    @contextmanager
    def _column(self, rows: dict[str, Row], name: str) -> Iterator[Callable[[str, float], None]]:
        """Note figures in one column; a failure is told in the cells that are empty then."""
        self._say(name)

        def note(row: str, value: float) -> None:
            rows[row].cells.setdefault(name, Cell()).runs.append(value)

        try:
            yield note
        except FAILURES as error:
            self._say(f"{name}: {error}")
            for row in rows.values():
                cell = row.cells.setdefault(name, Cell())
                cell.reason = "" if cell.runs else str(error)

    def fleet(self, count: int, settled: float, idle: float) -> None:
        """A column of the first table; fewer vassals where the limit allows no more."""
        count = min(count, MOST)
        with (
            self._column(self.fleets, f"{count:,} vassals") as note,
            fleet_place(self._vassal, count + self._times, FILES, PREFIX) as place,
        ):
            emperor = Emperord(place, count)
            emperor.write()
            try:
                began = emperor.start()
                note("first-answer", emperor.first_answer(began / 1e9))
                note("start", emperor.all_started(began))
                note("start-cpu", processes.spent(emperor.own()) / count)
                time.sleep(settled)
                self._changes(emperor, note)
                self._starts(emperor, note)
                self._removals(emperor, note)
                time.sleep(settled)
                own, before = emperor.own(), processes.spent(emperor.own())
                (emperor.vassals / "notes.txt").touch()
                time.sleep(settled)
                note("looks", processes.spent(own) - before)
                before = processes.spent(own)
                time.sleep(idle)
                note("idle", (processes.spent(own) - before) / idle * 100)
                self._memory(emperor, count, note)
                self._answers(emperor, note)
                emperor.again()
                note("again", emperor.answered or 0.0)
                note("stop", emperor.stop())
            finally:
                emperor.end()

    def journal(self, events: int, settled: float) -> None:
        """A column of the second table."""
        with (
            self._column(self.journals, f"{events:,} events") as note,
            fleet_place(self._vassal, VASSALS, FILES, PREFIX) as place,
        ):
            emperor = Named(place, VASSALS)
            rows = million.write(str(emperor.journal), events, VASSALS)
            name = emperor.file(100).name
            commands = {"state": ("state",), "why": ("why", name), "history": ("history", name)}
            self._commands(emperor, note, {x: ("replay", *words) for x, words in commands.items()})
            shutil.copy(emperor.journal, place.folder / "appended.db")
            _append(place.folder / "appended.db", rows, note)
            (place.folder / "appended.db").unlink()
            emperor.write()
            try:
                began = emperor.start()
                note("first-answer", emperor.first_answer(began / 1e9))
                _most_started(emperor, began)
                time.sleep(settled)
                self._changes(emperor, note)
                asked = {"list": ("ctl", "list"), "ctl-why": ("ctl", "why", name)}
                self._commands(emperor, note, asked)
                own = emperor.own()
                note("rss", sum(processes.memory(pid).rss for pid in own))
                emperor.again()
                note("again", emperor.answered or 0.0)
                emperor.stop()
            finally:
                emperor.end()

    def _changes(self, emperor: Emperord, note: Callable[[str, float], None]) -> None:
        own = emperor.own()
        up = [at for at, when in enumerate(emperor.place.marks.column(STARTED)) if when]
        for _ in range(self._times):
            time.sleep(1.6 + random.random() * 0.2)
            before, began = processes.spent(own), time.monotonic_ns()
            one = [random.choice(up)]
            emperor.tell(one)
            note("told", max(emperor.all_told(began, one)))
            time.sleep(ASIDE)
            note("told-cpu", processes.spent(own) - before)

    def _starts(self, emperor: Emperord, note: Callable[[str, float], None]) -> None:
        own = emperor.own()
        for index in range(emperor.count, emperor.count + self._times):
            time.sleep(0.5)
            before, began = processes.spent(own), time.monotonic_ns()
            emperor.file(index).write_text("[uwsgi]\n")
            marks = emperor.place.marks
            note("new", max(marks.wait(STARTED, began, [index], PATIENCE, emperor.alive)))
            time.sleep(ASIDE)
            note("new-cpu", processes.spent(own) - before)

    def _removals(self, emperor: Emperord, note: Callable[[str, float], None]) -> None:
        """Remove the files that ``_starts`` has added."""
        own = emperor.own()
        for index in range(emperor.count, emperor.count + self._times):
            time.sleep(0.5)
            before, began = processes.spent(own), time.monotonic_ns()
            emperor.file(index).unlink()
            marks = emperor.place.marks
            note("gone", max(marks.wait(ENDED, began, [index], PATIENCE, emperor.alive)))
            time.sleep(ASIDE)
            note("gone-cpu", processes.spent(own) - before)

    def _answers(self, emperor: Emperord, note: Callable[[str, float], None]) -> None:
        """Answers of the daemon from start to end, and its own part of them."""
        name, own = emperor.file(0).name, emperor.own()
        for row in ("list", "status"):
            for _ in range(min(3, self._times)):
                before = processes.spent(own)
                self._commands(emperor, note, {row: ("ctl", row)}, times=1)
                note(f"{row}-cpu", processes.spent(own) - before)
        for _ in range(self._times):
            note("beside", _beside_a_list(f"{emperor.journal}.sock", name))
        asked = {"top": ("ctl", "top", "--once", "-d", "250ms"), "state": ("replay", "state")}
        asked |= {"list-one": ("ctl", "list", name), "ctl-why": ("ctl", "why", name)}
        self._commands(emperor, note, asked)

    def _memory(self, emperor: Emperord, count: int, note: Callable[[str, float], None]) -> None:
        whole = sum((processes.memory(pid) for pid in emperor.own()), processes.Memory())
        note("rss", whole.rss)
        note("pss", whole.pss)
        self._anonymous[count] = whole.anonymous
        least = min(self._anonymous)
        if count > least:
            more = whole.anonymous - self._anonymous[least]
            note("kb", more * 1024 / (count - least))

    def _commands(
        self, emperor: Emperord, note: Callable[[str, float], None],
        commands: dict[str, tuple[str, ...]], times: int = 3,
    ) -> None:  # fmt: skip
        """A few runs of each, from the start of the command to its end."""
        for row, (program, *words) in commands.items():
            where = ("--journal", str(emperor.journal))
            if program == "ctl":
                where = ("--control", f"{emperor.journal}.sock")
            command = [sys.executable, "-m", "emperord", program, *where, *words]
            for _ in range(min(times, self._times)):
                began = time.monotonic()
                done = subprocess.run(
                    command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                    check=False, timeout=PATIENCE,
                )  # fmt: skip
                note(row, time.monotonic() - began)
                if done.returncode not in (0, ATTENTION):
                    text = f"{' '.join(words)}: exit code {done.returncode}: {done.stderr}"
                    raise NotPossibleError(text.strip())


def _beside_a_list(path: str, name: str) -> float:
    """The seconds until the daemon answers for one vassal, while it makes a list of all."""
    with socket.socket(socket.AF_UNIX) as long, socket.socket(socket.AF_UNIX) as short:
        for each in (long, short):
            each.settimeout(PATIENCE)
            each.connect(path)
        time.sleep(ASIDE)  # the daemon has accepted both, and shares no list of before
        long.sendall(b'{"do": "list"}\n')
        began = time.monotonic()
        short.sendall(json.dumps({"do": "show", "name": name}).encode() + b"\n")
        if not short.makefile("rb").readline().startswith(b'{"ok":true'):
            raise TookTooLongError("the daemon did not show a vassal")
        return time.monotonic() - began


def _most_started(emperor: Emperord, since: int) -> None:
    """Wait for all but a few: the journal has some that an operator has stopped."""
    end = time.monotonic() + PATIENCE
    while sum(when > since for when in emperor.place.marks.column(STARTED)) < VASSALS * 0.9:
        if time.monotonic() > end or not emperor.alive():
            raise TookTooLongError("its vassals did not start")
        time.sleep(LOOK)


def _append(path: Path, rows: Iterator[Columns], note: Callable[[str, float], None]) -> None:
    """Events one by one, each with a commit."""
    with Journal.open(str(path)) as journal:
        some = list(itertools.islice(rows, APPENDS))
        took: list[float] = []
        spent = time.process_time()
        for row in some:
            began = time.perf_counter()
            journal.append([row])
            took.append(time.perf_counter() - began)
        note("append", statistics.median(took))
        note("append-cpu", (time.process_time() - spent) / len(some))


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/bench --growth", description=__doc__)
    parser.add_argument("--fleet", action="append", type=int, metavar="N", help="vassals")
    parser.add_argument("--events", action="append", type=int, metavar="N", help="of a journal")
    parser.add_argument("--ten-million", action="store_true", help="a journal of 10 million, too")
    parser.add_argument("--times", type=int, default=TIMES, metavar="N", help="of a change")
    parser.add_argument("--settled", type=float, default=SETTLED, help="seconds, before rest")
    parser.add_argument("--idle", type=float, default=IDLE, help="seconds")
    running.add_output(parser)
    asked = parser.parse_args(arguments)
    if asked.fleet is None and asked.events is None:
        asked.fleet, asked.events = list(FLEETS), list(LENGTHS)
    if asked.ten_million:
        asked.events = [*(asked.events or ()), LONGEST]
    return asked


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and write what was asked for."""
    asked = _asked(arguments)
    found = running.figures(asked, lambda folder: _measured(folder, asked))
    if found is None:
        return 130
    shown = _tables(found)
    print("\n\n".join(table.aligned(each) for each in shown.values()))
    running.keep(found, asked)
    if asked.write:
        docs = Path(asked.docs)
        (docs / "growth.json").write_text(json.dumps(found, indent=1) + "\n")
        page.put(docs / "performance.md", "growth", _markdown(found, shown))
    return 0


def _measured(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    vassal, how = compiled(folder)
    growth = Growth(vassal, asked.times, say)
    found: dict[str, Any] = {
        "made": time.strftime("%Y-%m-%d"),
        "machine": machine(folder),
        "vassal": how,
    }
    found["files"] = FILES
    for count in sorted(asked.fleet or ()):
        growth.fleet(count, asked.settled, asked.idle)
    for events in sorted(asked.events or ()):
        growth.journal(events, asked.settled)
    for name, rows in (("fleets", growth.fleets), ("journals", growth.journals)):
        found[name] = {row: asdict(of) for row, of in rows.items() if of.cells}
    return found


def _tables(found: dict[str, Any]) -> dict[str, list[list[str]]]:
    shown = {}
    for name in ("fleets", "journals"):
        if rows := found.get(name):
            columns = dict.fromkeys(column for row in rows.values() for column in row["cells"])
            shown[name] = table.lines(found, rows, list(columns))
    return shown


def _markdown(found: dict[str, Any], shown: dict[str, list[list[str]]]) -> str:
    head = (
        f"{page.measured(found)}.\nEach cell has the median, and in parentheses the least and the"
        " most. A vassal takes"
        f" two open files of the daemon, and {found['files']:,} are allowed."
    )
    return "\n\n".join([head, *map(page.grid, shown.values())])

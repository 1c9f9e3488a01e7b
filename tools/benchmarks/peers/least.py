"""The floor: the least that a start, a commit and Python itself take on this machine."""

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from . import processes
from .marks import STARTED, Marks
from .sitting import PAUSES, Cell, Row
from .supervisors import stopped

TIMES = 200  # of a sync and of a commit
PATIENCE = 60.0
BARE_START = Path(__file__).with_name("bare_start.py")
HERE = "here"  # the one column
# A program that says what it takes itself when it has imported something.
RESIDENT = """
import sys
{imports}
lines = open("/proc/self/smaps_rollup").read().splitlines()[1:]
sizes = dict((line.split(":")[0], int(line.split()[1])) for line in lines)
print(sizes["Rss"] / 1024, sizes["Pss"] / 1024, sizes["Anonymous"] / 1024)
"""
IMPORTS = {
    "python": ("Python alone", ""),
    "keeper": ("with the modules of the keeper", "import emperord.daemon.keeper.main"),
    "libraries": (
        "with the libraries of the daemon",
        "import click, inotify_simple, msgspec, sqlite3, trio",
    ),
    "daemon": ("with the modules of the daemon", "import emperord.daemon.main"),
}


class Floor:
    """All of it, a few times each."""

    def __init__(self, vassal: Path, folder: Path, count: int, runs: int) -> None:
        self._vassal, self._folder = vassal, folder
        self._count, self._runs = count, runs
        self.rows: dict[str, Row] = {}

    def _note(self, key: str, title: str, value: float, unit: str = "s") -> None:
        row = self.rows.setdefault(key, Row(title, unit))
        row.cells.setdefault(HERE, Cell()).runs.append(value)

    def measure(self) -> dict[str, Row]:
        n = f"{self._count:,}"
        for _ in range(self._runs):
            with self._spawned("popen", f"{n} tiny vassals by Python's Popen in a loop") as marks:
                self._popen(marks)
            with self._spawned("posix-spawn", f"{n} by os.posix_spawn in a loop") as marks:
                self._posix_spawn(marks)
            if self._vassal.read_bytes()[:4] == b"\x7fELF":
                with self._spawned("c-loop", f"{n} by a loop in C") as marks:
                    self._c_loop(marks)
            for count in (self._count, max(1, self._count // 10)):
                self._bare_start(count)
            self._syncs()
            self._look()
            self._pythons()
        return self.rows

    @contextmanager
    def _spawned(self, key: str, title: str) -> Iterator[Marks]:
        """The seconds until all stamped; they are ended afterwards."""
        marks = Marks(self._count)
        try:
            began = time.monotonic_ns()
            yield marks
            stamps = marks.wait(STARTED, began, range(self._count), PATIENCE)
            self._note(key, title, max(stamps))
            self._note(
                "vassals-cpu", f"processor time of {self._count:,} tiny vassals",
                processes.spent_alone(marks.pids()),
            )  # fmt: skip
        finally:
            processes.kill(marks.pids())
            with suppress(ChildProcessError):
                while True:
                    os.waitpid(-1, 0)
            marks.close()

    def _popen(self, marks: Marks) -> None:
        environ = {**os.environ, "BENCH_MARKS": marks.path}
        for index in range(self._count):
            process = subprocess.Popen([self._vassal, f"v{index}"], env=environ)
            process.returncode = 0  # it is reaped by its id

    def _posix_spawn(self, marks: Marks) -> None:
        environ = {**os.environ, "BENCH_MARKS": marks.path}
        program = str(self._vassal)
        for index in range(self._count):
            os.posix_spawn(program, [program, f"v{index}"], environ)

    def _c_loop(self, marks: Marks) -> None:
        environ = {**os.environ, "BENCH_MARKS": marks.path}
        process = subprocess.Popen([self._vassal, "--spawn", str(self._count)], env=environ)
        marks.wait(STARTED, 1, range(self._count), PATIENCE)
        process.kill()
        process.wait()

    def _bare_start(self, count: int) -> None:
        """Of Python with the daemon's modules, from its start until all vassals run."""
        marks, folder = Marks(count), Path(tempfile.mkdtemp(dir=self._folder))
        for index in range(count):
            (folder / f"v{index}.ini").write_text("[uwsgi]\n")
        began = time.monotonic_ns()
        with subprocess.Popen(
            [sys.executable, BARE_START, self._vassal, folder, str(count)],
            env={**os.environ, "BENCH_MARKS": marks.path},
        ) as process:
            try:
                took = max(marks.wait(STARTED, began, range(count), PATIENCE))
                title = f"{count:,} by Python that records each start, and does nothing else"
                self._note("bare-start" if count == self._count else "bare-tenth", title, took)
                if count == self._count:
                    title = f"{count:,} stopped by Python that records each end, and no more"
                    self._note("bare-stop", title, _stopped(process, marks.pids()))
            finally:
                process.kill()
                process.wait()
                processes.kill(marks.pids())
                marks.close()

    def _syncs(self) -> None:
        path = self._folder / "synced"
        with path.open("wb", buffering=0) as file:

            def sync() -> None:
                file.write(bytes(4096))
                os.fsync(file.fileno())

            self._note("fsync", "fsync after 4 KiB", self._each(sync))
        path.unlink()
        with closing(sqlite3.connect(self._folder / "db", isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = wal")
            db.execute("PRAGMA synchronous = full")
            db.execute("CREATE TABLE IF NOT EXISTS event (body TEXT)")

            def commit() -> None:
                db.execute("INSERT INTO event VALUES (?)", ("x" * 300,))

            self._note("commit", "a commit of SQLite, one row, synchronous", self._each(commit))

    def _look(self) -> None:
        """At as many files as there are vassals, as a daemon does that polls."""
        folder = self._folder / "files"
        folder.mkdir(exist_ok=True)
        paths = [str(folder / f"v{index}.ini") for index in range(self._count)]
        for path in paths:
            Path(path).touch()
        began = time.process_time()
        for path in paths:
            os.stat(path)
        title = f"processor time of a look at {self._count:,} files: one stat of each"
        self._note("look", title, time.process_time() - began)

    @staticmethod
    def _each(work: Callable[[], None]) -> float:
        began = time.perf_counter()
        for _ in range(TIMES):
            work()
        return (time.perf_counter() - began) / TIMES

    def _pythons(self) -> None:
        for key, (title, imports) in IMPORTS.items():
            began = time.perf_counter()
            command = [sys.executable, "-c", RESIDENT.format(imports=imports)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            self._note(f"{key}-start", f"start to end: {title}", time.perf_counter() - began)
            rss, pss, anonymous = map(float, done.stdout.split())
            self._note(f"{key}-rss", f"resident: {title} (RSS)", rss, "MB")
            self._note(f"{key}-pss", f"resident: {title} (PSS)", pss, "MB")
            self._note(
                f"{key}-anonymous", f"of it no other process can share: {title}", anonymous, "MB"
            )


def _stopped(process: subprocess.Popen[bytes], pids: list[int]) -> float:
    """Stop it after a rest, as in the row of the peers; the seconds until all are gone."""
    time.sleep(PAUSES[0])
    return stopped(process, signal.SIGTERM, pids)

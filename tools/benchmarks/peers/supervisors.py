"""A supervisor with so many tiny vassals: what all peers have, emperord, and uWSGI's C Emperor."""

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from . import processes
from .marks import STARTED, TOLD, Marks, TookTooLongError

PATIENCE = 120.0  # seconds that any step has


class NotPossibleError(Exception):
    """A peer has nothing that is equal to what a row measures; it says why."""


@dataclass
class Place:
    """Where a peer runs: the tiny vassal and its marks, a folder of its own, the open files."""

    vassal: Path
    marks: Marks
    folder: Path
    files: int
    prefix: Path  # of programs that were installed for the benchmark


class Supervisor:
    """One run of a peer. A subclass says how it is started, told and killed."""

    name: ClassVar[str]
    stop_signal: ClassVar[int] = signal.SIGTERM

    def __init__(self, place: Place, count: int) -> None:
        self.place, self.count = place, count
        self.folder = place.folder
        self.process: subprocess.Popen[bytes] | None = None
        self.answered: float | None = None  # seconds until the first answer after ``again``

    def command(self) -> list[str]:
        """The words that start it."""
        raise NotImplementedError

    def write(self) -> None:
        """Write the configs of all its vassals."""
        raise NotImplementedError

    def tell(self, those: Sequence[int]) -> None:
        """Have it reload or restart these vassals."""
        raise NotImplementedError

    # The stamp of a vassal that was told.
    told: ClassVar[int] = TOLD

    def environ(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("UWSGI_")}
        return {**kept, "BENCH_MARKS": self.place.marks.path}

    def start(self) -> int:
        """Start it; the time just before, in nanoseconds of CLOCK_MONOTONIC."""
        limited = ["/bin/sh", "-c", f'ulimit -n {self.place.files} && exec "$@"', "sh"]
        with (self.folder / "log").open("ab") as log:
            began = time.monotonic_ns()
            self.process = subprocess.Popen(
                [*limited, *self.command()],
                env=self.environ(), cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        return began

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def all_started(self, since: int) -> float:
        """Wait until all its vassals run; the seconds until the last one did."""
        everyone, patience = range(self.count), PATIENCE * max(1.0, self.count / 4000)
        return max(self.place.marks.wait(STARTED, since, everyone, patience, self.alive))

    def all_told(self, since: int, those: Sequence[int]) -> list[float]:
        return self.place.marks.wait(self.told, since, those, PATIENCE, self.alive)

    def own(self) -> list[int]:
        """Its own processes: all below it but its vassals."""
        assert self.process is not None
        return processes.descendants(self.process.pid, but=set(self.place.marks.pids()))

    def kill_main(self) -> int:
        """Kill the process that supervises; the time just before."""
        assert self.process is not None
        began = time.monotonic_ns()
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return began

    def again(self) -> tuple[float, str]:
        """Kill it, and start it again as a service manager does: seconds until it is in charge."""
        began = self.kill_main()
        self.start()
        took = max(self.place.marks.wait(STARTED, began, range(self.count), PATIENCE, self.alive))
        return took, "its vassals end with it, and are started anew"

    def stop(self) -> float:
        """Stop it by its signal; the seconds until it and all its vassals are gone."""
        assert self.process is not None
        return stopped(self.process, self.stop_signal, self.place.marks.pids())

    def end(self) -> None:
        """Leave nothing of it, whatever happened."""
        ours = f"BENCH_MARKS={self.place.marks.path}"
        while left := processes.with_variable(ours):
            processes.kill(left)
            if self.process is not None:
                self.process.wait()
            time.sleep(0.01)


class _Files(Supervisor):
    """A directory of configs, which are touched."""

    def __init__(self, place: Place, count: int) -> None:
        super().__init__(place, count)
        self.vassals = self.folder / "vassals"

    def file(self, index: int) -> Path:
        return self.vassals / f"v{index}.ini"

    def write(self) -> None:
        self.vassals.mkdir()
        for index in range(self.count):
            self.file(index).write_text("[uwsgi]\n")

    def tell(self, those: Sequence[int]) -> None:
        for index in those:
            os.utime(self.file(index))


class Emperord(_Files):
    """Keeper and daemon, as ``emperor`` starts them."""

    name = "emperord"

    def __init__(self, place: Place, count: int) -> None:
        super().__init__(place, count)
        self.journal = self.folder / "journal.db"

    def command(self) -> list[str]:
        options = os.environ.get("BENCH_OPTIONS", "").split()  # to compare them
        return [
            sys.executable, "-m", "emperord", "--journal", str(self.journal), "--as-root",
            "--uwsgi", str(self.place.vassal), *options, str(self.vassals),
        ]  # fmt: skip

    def daemon_pid(self) -> int:
        return int(Path(f"{self.journal}.lock").read_text())

    def ask(self, do: str, patience: float = 1.0) -> dict[str, object]:
        """The daemon's answer to a request, by its socket."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(patience)
            client.connect(f"{self.journal}.sock")
            client.sendall(json.dumps({"do": do}).encode() + b"\n")
            with client.makefile("rb") as stream:
                answer: dict[str, object] = json.loads(stream.readline() or b"{}")
                return answer

    def again(self) -> tuple[float, str]:
        """The keeper starts the next daemon: until it has recorded which vassals it has."""
        former = self.daemon_pid()
        self.answered = None
        began = time.monotonic()
        os.kill(former, signal.SIGKILL)
        while time.monotonic() < began + PATIENCE:
            with contextlib.suppress(OSError, ValueError):
                status = self.ask("status", PATIENCE).get("status")
                if isinstance(status, dict) and status["pid"] != former:
                    self.answered = time.monotonic() - began
                    self.ask("rollout", PATIENCE)  # it is answered when that is recorded
                    return time.monotonic() - began, "its vassals go on"
            time.sleep(0.001)
        raise TookTooLongError(f"not in charge in {PATIENCE:g} s")

    def first_answer(self, since: float) -> float:
        """The seconds until the daemon that was just started answers."""
        while time.monotonic() < since + PATIENCE and self.alive():
            with contextlib.suppress(OSError, ValueError):
                if "status" in self.ask("status", PATIENCE):
                    return time.monotonic() - since
            time.sleep(0.001)
        raise TookTooLongError(f"no answer in {PATIENCE:g} s")


class CEmperor(_Files):
    """uWSGI's own, with the tiny vassal in place of its binary."""

    name = "C Emperor"
    stop_signal = signal.SIGINT

    def command(self) -> list[str]:
        return [
            str(c_emperor(self.place.prefix)), "--emperor", str(self.vassals),
            "--emperor-wrapper", str(self.place.vassal),
        ]  # fmt: skip

    def environ(self) -> dict[str, str]:
        return {**super().environ(), **libraries(self.place.prefix)}


def stopped(process: subprocess.Popen[bytes], number: int, pids: Iterable[int]) -> float:
    """Stop a process by a signal; the seconds until it and its vassals ``pids`` are gone."""
    ended = os.pidfd_open(process.pid)  # Popen's wait looks once in 50 ms only
    began = time.monotonic()
    process.send_signal(number)
    try:
        in_time, _, _ = select.select([ended], [], [], PATIENCE)
    finally:
        os.close(ended)
    if not in_time:
        raise TookTooLongError(f"it did not end in {PATIENCE:g} s")
    process.wait()
    while any(not processes.is_gone(pid) for pid in pids):
        if time.monotonic() > began + PATIENCE:
            raise TookTooLongError(f"its vassals did not end in {PATIENCE:g} s")
        time.sleep(0.002)
    return time.monotonic() - began


def c_emperor(prefix: Path) -> Path:
    """Debian's ``uwsgi-core``, installed or unpacked for this, else the ``uwsgi`` of the venv."""
    for found in (shutil.which("uwsgi-core"), prefix / "debian/usr/bin/uwsgi-core"):
        if found and Path(found).exists():
            return Path(found)
    return Path(sys.executable).with_name("uwsgi")


def libraries(prefix: Path) -> dict[str, str]:
    """Where a binary that was only unpacked finds its libraries."""
    folders = [str(each) for each in (prefix / "debian").glob("*lib/*-linux-gnu*")]
    folders += [str(each) for each in (prefix / "debian").glob("usr/lib/*-linux-gnu*")]
    return {"LD_LIBRARY_PATH": ":".join(folders)} if folders else {}


@contextlib.contextmanager
def fleet_place(vassal: Path, count: int, files: int, prefix: Path) -> Iterator[Place]:
    """A place for so many of this vassal, in the folder where it is.

    The folder stays until the sitting is over. ext4 without a journal passes over each inode that
    was removed a few seconds ago. So a run that removes files slows the start of the next one.
    """
    marks = Marks(count)
    try:
        folder = Path(tempfile.mkdtemp(prefix="fleet-", dir=vassal.parent))
        yield Place(vassal, marks, folder, files, prefix)
    finally:
        marks.close()


@contextlib.contextmanager
def running(kind: type[Supervisor], place: Place, count: int) -> Iterator[tuple[Supervisor, float]]:
    """A peer whose vassals all run, and the seconds that this took."""
    place.marks.clear()
    peer = kind(place, count)
    peer.write()
    try:
        yield peer, peer.all_started(peer.start())
    finally:
        peer.end()

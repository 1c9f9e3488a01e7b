"""A source beside a hostile one: how it gets on meanwhile, and what the daemon costs."""

import itertools
import os
import select
import threading
import time
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Self

from . import impostors as fake
from .daemon import Daemon


class Others:
    """Another source, which has a new file time and again, written by a thread.

    ``disk`` is the longest that the machine's disk took to sync a file of a few bytes meanwhile.
    """

    def __init__(self, folder: Path, name: str = "t") -> None:
        self._folder = folder
        self._name = name  # the prefix of files' names
        self._over = threading.Event()
        self.disk = 0.0  # seconds
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._write, self._sync)
        ]
        self._written: dict[str, int] = {}  # file -> when, in nanoseconds

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        for each in self._threads:
            each.join()

    def _write(self) -> None:
        for number in itertools.count():
            path = self._folder / f"{self._name}{number}.ini"
            new = path.with_suffix(".new")
            new.write_bytes(fake.BARRED)
            self._written[path.name] = time.time_ns()
            new.rename(path)
            if self._over.wait(0.1):
                return

    def _sync(self) -> None:
        with (self._folder.parent / f"{self._name}.synced").open("wb", 0) as file:
            while not self._over.wait(0.05):
                began = time.monotonic()
                file.write(b"some bytes\n")
                os.fsync(file)
                self.disk = max(self.disk, time.monotonic() - began)

    def late(self, daemon: Daemon) -> list[float] | None:
        """Seconds from each file to its event; None: some are not told yet."""
        seen = {
            event.vassal: event.at for event in daemon.events("vassal_added", f"{self._name}%.ini")
        }
        if not self._written.keys() <= seen.keys():
            return None
        return [(seen[name] - at) / 1e9 for name, at in self._written.items()]


PROMPT = 0.1  # seconds until a file of another source is an event
CALM = 2.0  # seconds of a comparison


def share(pid: int) -> float:
    """The part of the time in which a process could run that the machine had a core for it.

    It is by the scheduler's statistics of its threads: nanoseconds on a core, and in its queue.
    """
    ran = waited = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError):  # the thread has ended meanwhile
            on_a_core, in_the_queue, _ = map(int, path.read_text().split())
            ran, waited = ran + on_a_core, waited + in_the_queue
    return ran / (ran + waited) if ran else 1.0


def are_prompt(late: list[float], daemon: Daemon, folder: Path, disk: float) -> bool:
    """Whether files were told soon. The median of a busy machine says more than the worst.

    If they were not, the machine may be to blame. It had no core for a daemon that was busy, or its
    disk took ``disk`` seconds for one file. Each record waits for the one before. And how late are
    they when nothing is hostile?
    """
    had = share(daemon.pid)
    print(f"the machine had a core for the daemon in {had:.0%} of the time")
    print(f"its disk took {disk:.3f} s for a file at most")
    if median(late) * had < PROMPT + disk:
        return True
    with Others(folder, "calm") as others:
        select.select((), (), (), CALM)
    calm = daemon.until(lambda: others.late(daemon), "all files are told")
    print(f"a median of {median(late):.3f} s, and {median(calm):.3f} s when nothing is hostile")
    return median(late) < PROMPT + 3 * median(calm)


def most_memory(daemon: Daemon) -> float:
    """The most that the daemon itself has had, in MiB."""
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024

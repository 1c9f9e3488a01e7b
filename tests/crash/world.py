"""The processes as the kernel tells of them; shares no code with the daemon.

Processes of one test are told from all others by a variable in the daemon's environment, which
every descendant inherits.
"""

import contextlib
import os
import signal
import threading
import time
from collections import defaultdict
from typing import Final, NamedTuple

TAG: Final = "CRASH_TEST"


class Found(NamedTuple):
    """A living process of a vassal."""

    pid: int
    started: int  # clock ticks since boot
    vassal: str
    mark: str
    leads: bool  # its session


class Line(NamedTuple):
    """Of /proc/PID/stat, what matters here."""

    state: str
    session: int
    started: int


def stat(pid: int) -> Line | None:
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return Line(fields[0], int(fields[3]), int(fields[19]))


def alive(pid: int, started: int) -> bool:
    line = stat(pid)
    return line is not None and line.started == started and line.state not in "ZX"


def command_line(pid: int) -> list[str]:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().decode().split("\0")[:-1]
    return []


def processes(tag: str) -> list[Found]:
    """All living processes of this test's vassals."""
    wanted = f"{TAG}={tag}".encode()
    found: list[Found] = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        pid = int(name)
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                environment = file.read().split(b"\0")
        except OSError:
            continue
        if wanted not in environment:
            continue
        marks = [e for e in environment if e.startswith(b"EMPERORD_ATTEMPT=")]
        line = stat(pid)
        if marks and line is not None and line.state not in "ZX":
            mark = marks[0].decode().partition("=")[2]
            vassal = mark.split(".", 2)[2]
            found.append(Found(pid, line.started, vassal, mark, line.session == pid))
    return found


def by_vassal(found: list[Found]) -> dict[str, list[Found]]:
    vassals: dict[str, list[Found]] = defaultdict(list)
    for process in found:
        vassals[process.vassal].append(process)
    return vassals


def twice(tag: str) -> list[str]:
    """Vassals of which two attempts, or two leaders of one attempt, run at this moment."""
    wrong: list[str] = []
    for vassal, found in by_vassal(processes(tag)).items():
        marks = {process.mark for process in found}
        leaders = [process for process in found if process.leads]
        if len(marks) == 1 and len(leaders) < 2:
            continue
        # The look took a while: one may have ended before the other began. Only those that
        # still live now did live together.
        still = [process for process in found if alive(process.pid, process.started)]
        if len({process.mark for process in still}) > 1:
            wrong.append(f"{vassal}: attempts at once: {still}")
        if len([process for process in still if process.leads]) > 1:
            wrong.append(f"{vassal}: leaders at once: {still}")
    return wrong


def kill_all(tag: str) -> None:
    """End every vassal that a daemon of this test has left."""
    while found := processes(tag):
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        time.sleep(0.01)


class Watchman:
    """Looks all the time whether a vassal runs twice, and remembers which attempts ran."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.looks = 0
        self.wrong: list[str] = []
        self.marks: set[str] = set()

    def __enter__(self) -> "Watchman":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self.wrong += twice(self._tag)
            self.marks.update(process.mark for process in processes(self._tag))
            self.looks += 1

"""Things that happen to a real daemon in the run: files, deaths, requests, outages of the source.

The fleet keeps its size. A vassal that leaves does so for good, and one with a new name comes. So
anything that is kept by name grows.
"""

import contextlib
import itertools
import json
import os
import random
import signal
import socket
import time
from collections.abc import Callable

from peers.supervisors import Emperord

VERBS = ("reload", "restart", "stop", "start", "retry")
TEXT = "[uwsgi]\n# {}\n"
AWAY = 1.5  # seconds that the directory is not there
REST = 5.0  # seconds in which a fleet comes to rest


class Churn:
    """Has things happen to the vassals of one emperor."""

    def __init__(self, emperor: Emperord, seed: int = 1) -> None:
        self._emperor = emperor
        self._random = random.Random(seed)
        self._there = list(range(emperor.count))
        self._next = itertools.count(emperor.count)
        self._version = itertools.count()
        self._held: list[int] = []
        self.done = 0  # steps
        self._steps: dict[Callable[[], None], int] = {
            self._touch: 25, self._change: 25, self._kill: 15, self._replace: 15, self._ask: 20,
        }  # fmt: skip

    def step(self) -> None:
        """Do one of them."""
        [do] = self._random.choices(list(self._steps), weights=list(self._steps.values()))
        do()
        self.done += 1

    def outage(self) -> None:
        """The directory is not there for a while."""
        aside = self._emperor.vassals.with_name("aside")
        os.rename(self._emperor.vassals, aside)
        time.sleep(AWAY)
        os.rename(aside, self._emperor.vassals)

    def _any(self) -> int:
        return self._random.choice(self._there)

    def _touch(self) -> None:
        os.utime(self._emperor.file(self._any()))

    def _change(self) -> None:
        self._emperor.file(self._any()).write_text(TEXT.format(next(self._version)))

    def _kill(self) -> None:
        pids = self._emperor.place.marks.pids()
        pid = self._random.choice(pids)
        with contextlib.suppress(ProcessLookupError):
            if f"v{pids.index(pid)}.ini" in _command(pid):
                os.kill(pid, signal.SIGKILL)

    def _replace(self) -> None:
        """One leaves for good, and another one comes."""
        at = self._random.randrange(len(self._there))
        self._emperor.file(self._there[at]).unlink()
        self._there[at] = next(self._next)
        self._emperor.file(self._there[at]).write_text(TEXT.format("new"))

    def _ask(self) -> None:
        """An operator asks. One that was stopped is started soon after."""
        if len(self._held) > 3:
            self._request("start", self._held.pop(0))
            return
        verb, number = self._random.choice(VERBS), self._any()
        if verb == "stop":
            self._held.append(number)
        self._request(verb, number)

    def _request(self, verb: str, number: int) -> None:
        request = {"do": verb, "name": f"v{number}.ini", "wait": False}
        with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
            client.settimeout(10)
            client.connect(f"{self._emperor.journal}.sock")
            client.sendall(json.dumps(request).encode() + b"\n")
            client.recv(4096)


def _command(pid: int) -> str:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline") as file:
        return file.read()
    return ""

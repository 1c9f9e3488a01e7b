"""Files that come, go, are edited, touched and renamed, and what each of them asks for."""

import os
import random
import shlex
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

# How vassals behave that run a plain program; N is a number that tells one text from another.
# CONT is for them what HUP is for others: a signal that they live through.
PROGRAMS: Final = {
    "sleeper": "sleep 10{n}",
    "family": "sh -c 'sleep 20{n} & sleep 30{n} & wait'",
    "stubborn": "sh -c 'trap \"\" TERM; while :; do sleep 40{n}; done'",
    "brief": "sleep 0.1{n}",
    "missing": "/nonexistent/program {n}",
}
ALWAYS_UP: Final = ("sleeper", "family", "stubborn", "uwsgi")
NEVER_UP: Final = ("missing", "flawed")


class Churn:
    """Does to a directory what people and deploy tools do, driven by one seed."""

    def __init__(self, directory: Path, sockets: Path, seed: int) -> None:
        self.directory = directory
        self._sockets = sockets
        self._random = random.Random(seed)
        self._counter = 1000
        self.changed = threading.Event()  # just now
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go)
        self._error: BaseException | None = None
        self.done = 0
        # Vassals that do not end by themselves, and as many that do not last.
        kinds = [*ALWAYS_UP, "sleeper", "family", "uwsgi", "brief", "missing", "flawed"]
        self._names = [f"{kind}-{i}.ini" for i, kind in enumerate(kinds)]
        self._moves: list[tuple[Callable[[Path], None], int]] = [
            (self._write, 4),
            (self._replace, 4),
            (self._touch, 4),
            (self._age, 1),
            (self._remove, 3),
            (self._remove_and_write, 1),
            (self._rename, 2),
        ]

    def text(self, name: str) -> str:
        """A new text for a vassal of this name."""
        self._counter += 1
        kind = name.partition("-")[0]
        if kind == "uwsgi":
            socket = self._sockets / f"{name}.sock"
            return (
                f"[uwsgi]\nsocket = {socket}\nmaster = true\nneed-app = false\n"
                f"disable-logging = true\nset = number={self._counter}\n"
            )
        if kind == "flawed":
            return f"[emperor]\nnonsense = {self._counter}\n"
        command = PROGRAMS[kind].format(n=self._counter)
        return f"[emperor]\ncommand = {command}\nreload-signal = CONT\n"

    def __enter__(self) -> "Churn":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _go(self) -> None:
        moves, weights = zip(*self._moves, strict=True)
        try:
            while not self._over.wait(self._random.choice((0.001, 0.02, 0.05, 0.1))):
                name = self._random.choice(self._names)
                self._random.choices(moves, weights)[0](self.directory / name)
                self.done += 1
                self.changed.set()
        except BaseException as error:
            self._error = error

    def _write(self, path: Path) -> None:
        path.write_text(self.text(path.name))

    def _replace(self, path: Path) -> None:
        beside = path.with_suffix(".new")
        beside.write_text(self.text(path.name))
        beside.replace(path)

    def _touch(self, path: Path) -> None:
        if path.exists():
            os.utime(path)

    def _age(self, path: Path) -> None:
        """As rsync and tar do: an older time."""
        if path.exists():
            then = time.time() - self._random.randrange(1, 10_000_000)
            os.utime(path, (then, then))

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def _remove_and_write(self, path: Path) -> None:
        self._remove(path)
        time.sleep(self._random.random() * 0.05)
        self._write(path)

    def _rename(self, path: Path) -> None:
        if path.exists():
            kind = path.name.partition("-")[0]
            other = self._random.choice(["other", "third"])
            path.rename(path.with_name(f"{kind}-{other}.ini"))
            if self._random.random() < 0.5:
                self._remove(self.directory / f"{kind}-{other}.ini")


def kind_of(name: str) -> str:
    return name.partition("-")[0]


def command_of(text: str) -> list[str]:
    """The command in the text of a plain program."""
    line = next(line for line in text.splitlines() if line.startswith("command = "))
    return shlex.split(line.removeprefix("command = "))

"""Programs at a pseudo-terminal of their own, as an operator has them."""

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

from . import warm
from .waiting import PATIENCE, NeverHappened

CODES = re.compile(r"\x1b(?:\[[\d;?]*[a-zA-Z]|[()][A-Z0-9]|[=>78])")


class Terminal:
    """A program that runs at a terminal of so many rows and columns."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        rows: int = 24,
        columns: int = 80,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.master, slave = os.openpty()
        self.resize(rows, columns)
        self.former = termios.tcgetattr(slave)
        self.text = ""
        told = {**os.environ, "TERM": "xterm", "TZ": "UTC", **(environ or {})}
        for name in ("NO_COLOR", "COLUMNS", "LINES", "PAGER", "LESS"):
            if environ is None or name not in environ:
                told.pop(name, None)
        self.process: subprocess.Popen[bytes] | warm.Process
        self.process = warm.start(
            argv, told, os.getcwd(), slave, slave, terminal=slave
        ) or subprocess.Popen(
            ["setsid", "--ctty", *argv], stdin=slave, stdout=slave, stderr=slave, env=told
        )
        self._descriptors = [slave, self.master]
        self.slave = slave  # held: the terminal's settings are looked at when the program has ended

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.hang_up()

    def hang_up(self) -> None:
        """Take the terminal away."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []

    def resize(self, rows: int, columns: int) -> None:
        """Make the window of another size."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.master, keys.encode())

    def until(self, pattern: str) -> re.Match[str]:
        """Wait until what the program has written has this, and forget what was before it."""
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.text)):
            if time.monotonic() > deadline:
                raise NeverHappened(f"{pattern!r} was not written, but {self.text!r}")
            self._read(0.05)
        self.text = self.text[found.end() :]
        return found

    def end(self) -> tuple[int, str]:
        """Wait until the program ends; its exit code, and all that it wrote since ``until``."""
        deadline = time.monotonic() + PATIENCE
        while (code := self.process.poll()) is None:
            if time.monotonic() > deadline:
                raise NeverHappened(f"it did not end; it wrote {self.text!r}")
            self._read(0.05)
        while self._read(0.0):
            pass
        return code, self.text

    def send(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        self.process.send_signal(number)

    def settings(self) -> list[Any]:
        """The terminal's settings now."""
        return termios.tcgetattr(self.slave)

    def _read(self, patience: float) -> bool:
        if not select.select([self.master], [], [], patience)[0]:
            return False
        try:
            self.text += os.read(self.master, 65536).decode(errors="replace")
        except OSError:  # the last holder of the other end has gone
            return False
        return True


def at_terminal(argv: Sequence[str], **more: Any) -> tuple[int, str]:
    """Run a program to its end at a terminal; its exit code, and what it wrote."""
    with Terminal(argv, **more) as terminal:
        code, text = terminal.end()
    return code, text.replace("\r\n", "\n")


def lines(text: str) -> list[str]:
    """The lines of a text without colours."""
    return CODES.sub("", text).splitlines()

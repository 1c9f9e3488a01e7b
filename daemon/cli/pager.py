"""A pager for output that is longer than the terminal, as git and journalctl have it.

Output is held until it is longer than the terminal. Only then the pager starts, so short output
needs no key to end it, whatever the pager is. PAGER names the pager; it is ``less``, else ``more``
by default. LESS is ``FRX`` unless it is set, as with git. Behind sudo, less runs no other program.
"""

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable
from typing import Final

_DEFAULTS: Final = ("less", "more")
_NONE: Final = ("", "cat")


class Pager:
    """The way of output to a pager. ``write`` is the way to the terminal without one."""

    def __init__(self, command: str, write: Callable[[bytes], None]) -> None:
        self._command = command
        self._write = write
        size = shutil.get_terminal_size()
        self._room = (size.lines - 1, size.columns)
        self._held = bytearray()
        self._errors = bytearray()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether output waits, or the pager has the terminal."""
        return bool(self._held) or self._process is not None

    def write(self, data: bytes) -> None:
        """Take some output. Raises BrokenPipeError when the user has ended the pager."""
        if self._process is None:
            self._held += data
            if self._fits():
                return
            data = bytes(self._held)
            self._held.clear()
            self._process = subprocess.Popen(
                self._command, shell=True, stdin=subprocess.PIPE, env=_environment(), bufsize=0
            )
        assert self._process.stdin is not None
        rest = memoryview(data)
        while rest:
            rest = rest[self._process.stdin.write(rest) :]

    def note(self, data: bytes) -> None:
        """Take what goes to standard error: it is written when the pager has ended."""
        self._errors += data

    def finish(self) -> bytes:
        """Wait until the user has ended the pager, or write what was held; return the errors."""
        if self._process is None:
            held = bytes(self._held)
            self._held.clear()
            if held:
                self._write(held)
        else:
            assert self._process.stdin is not None
            self._process.stdin.close()
            former = signal.signal(signal.SIGINT, signal.SIG_IGN)  # ^C is for the pager
            try:
                self._process.wait()
            finally:
                signal.signal(signal.SIGINT, former)
            self._process = None
        errors = bytes(self._errors)
        self._errors.clear()
        return errors

    def _fits(self) -> bool:
        lines, columns = self._room
        if len(self._held) > lines * columns * 4:
            return False
        told = self._held.split(b"\n")
        return sum(1 + len(line) // (columns + 1) for line in told[:-1]) <= lines


def command() -> str | None:
    """The user's pager; None where there is none."""
    told = os.environ.get("PAGER")
    if told is None:
        return next(filter(shutil.which, _DEFAULTS), None)
    if told.strip() in _NONE:
        return None
    try:
        program = shlex.split(told)[0]
    except ValueError:
        return None
    return told if "=" in program or shutil.which(program) else None


def _environment() -> dict[str, str]:
    environment = {"LESS": "FRX", "LV": "-c", **os.environ}
    if os.geteuid() == 0 and "SUDO_UID" in environment:
        environment["LESSSECURE"] = "1"
    return environment

"""Commands that follow something, of which the output is a pipe."""

import os
import select
import signal
import subprocess
from collections.abc import Callable
from typing import Self

from .kept import Emperor
from .waiting import PATIENCE, NeverHappened


class Follower:
    """``emperor-ctl logs -f`` or such a command."""

    def __init__(self, emperor: Emperor, *words: str) -> None:
        self.text = b""
        self.process = subprocess.Popen(
            [*emperor.ctl_argv, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=emperor.environ,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self.process:
            self.process.kill()

    def until(self, end: bytes) -> bytes:
        """All that it has written, when it ends in this."""
        return self.until_true(lambda text: text.endswith(end), repr(end))

    def until_true(self, condition: Callable[[bytes], bool], what: str) -> bytes:
        """All that it has written, when that fulfils a condition."""
        assert self.process.stdout is not None
        while not condition(self.text):
            if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
                raise NeverHappened(f"{what} was not written, but {self.text[-500:]!r}")
            read = os.read(self.process.stdout.fileno(), 1 << 16)
            if not read:
                raise NeverHappened(f"it ended: {self.text!r}")
            self.text += read
        return self.text

    def interrupted(self) -> tuple[int, bytes, bytes]:
        """The exit code after ^C, and the rest of its output and errors."""
        self.process.send_signal(signal.SIGINT)
        rest, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, rest, errors

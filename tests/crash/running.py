"""A real daemon in its own process: started, heard, killed.

Synchronous on purpose: these tests watch a daemon from outside, with threads and signals, and
wait for conditions with ``until``.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

PATIENCE: Final = 20.0  # seconds until a condition that does not come fails the test


def until(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait for a condition; ``what`` says what was waited for when it does not come."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"not within {patience:g} s: {what}"
        time.sleep(0.005)


class Ears:
    """The socket that sd_notify states come to. One for all daemons of a test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def close(self) -> None:
        self._socket.close()

    def heard(self) -> list[str]:
        """The states that have come since the last look."""
        states: list[str] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                states += self._socket.recv(4096).decode().split("\n")
        return states

    def wait(self, seconds: float) -> None:
        """Return when something has come, or the time is over."""
        select.select([self._socket], [], [], seconds)


class Daemon:
    """One life of a daemon."""

    def __init__(
        self,
        directory: Path,
        journal: Path,
        ears: Ears,
        log: Path,
        options: Sequence[str] = (),
        environ: dict[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self._ears = ears
        self.log_path = log
        ears.heard()  # drop the bytes of the one before
        with log.open("ab") as out:
            self._log_start = out.tell()
            self.process = subprocess.Popen(
                [
                    *prefix, sys.executable, "-m", "emperord.daemon.main",
                    "--journal", str(journal), *options, str(directory),
                ],
                env={**os.environ, "NOTIFY_SOCKET": str(ears.path), **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        """The log of this daemon, without that of daemons before it."""
        with self.log_path.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode()

    def ready(self, patience: float = PATIENCE) -> bool:
        """Wait for READY; False if it did not come in time."""
        end = time.monotonic() + patience
        while "READY=1" not in self._ears.heard():
            left = end - time.monotonic()
            if left <= 0:
                return False
            assert self.process.poll() is None, f"the daemon left:\n{self.log()}"
            self._ears.wait(min(left, 0.05))
        return True

    def linger(self, seconds: float) -> None:
        """Let it live for so long."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self.process.wait(seconds)
            raise AssertionError(f"the daemon left with {code}:\n{self.log()}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self, patience: float = PATIENCE) -> int:
        """Ask it to leave; the exit code."""
        self.send(signal.SIGTERM)
        return self.process.wait(patience)

    def fds(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))


@contextlib.contextmanager
def ears(path: Path) -> Iterator[Ears]:
    opened = Ears(path)
    try:
        yield opened
    finally:
        opened.close()

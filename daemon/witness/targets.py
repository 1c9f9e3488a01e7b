"""Where a witness's lines go. Each ``write`` blocks until the line is there, or raises OSError."""

import contextlib
import errno
import os
import shlex
import signal
import socket
import stat
import subprocess
from typing import Final, Protocol

from ...journal.locked_files import NO_JOURNAL, LockedFiles
from ...journal.witness import LONGEST, Line, parse
from ...monitors.children import Child

TIME_LIMIT: Final = 10.0  # seconds that a command may take for one line
_SYSLOG: Final = "/dev/log"
_PRIORITY: Final = 3 << 3 | 5  # facility daemon, severity notice (RFC 5424)
_TAIL: Final = 4 * LONGEST  # bytes of a file in which the last line is looked for


class Target(Protocol):
    """A place for lines. ``reads_back`` is whether its last line can be asked for."""

    reads_back: bool

    def write(self, line: bytes) -> None:
        """Add a line, with its newline. Blocks. Raises OSError."""

    def last(self) -> Line | None:
        """The last line that is there; None where there is none, or none can be read back.

        Raises OSError.
        """

    def abandon(self) -> None:
        """The daemon leaves: end what hangs."""


class File:
    """A file, which is only ever appended to. It is opened for each line, so it may be rotated."""

    reads_back = True

    def __init__(self, path: str, locked: LockedFiles = NO_JOURNAL) -> None:
        self.path = os.path.abspath(path)
        self._locked = locked  # files that it cannot be

    def write(self, line: bytes) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
        descriptor = self._locked.open(self.path, flags, 0o600)
        try:
            rest = _completed(descriptor) + line
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def last(self) -> Line | None:
        try:
            descriptor = self._locked.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            size = os.fstat(descriptor).st_size
            text = os.pread(descriptor, _TAIL, max(0, size - _TAIL))
        finally:
            os.close(descriptor)
        lines = (parse(each) for each in reversed(text.splitlines()))
        return next((line for line in lines if line is not None), None)

    def abandon(self) -> None:
        """Do nothing: the kernel has what was written."""


def _completed(descriptor: int) -> bytes:
    """A newline, where the last line was cut off as a disk was full."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
        return b""
    return b"" if os.pread(descriptor, 1, status.st_size - 1) == b"\n" else b"\n"


class Syslog:
    """The machine's syslog, by its socket. Whether it goes to another machine is its affair."""

    reads_back = False

    def __init__(self, path: str = _SYSLOG) -> None:
        self._path = path

    def write(self, line: bytes) -> None:
        message = f"<{_PRIORITY}>emperor-witness[{os.getpid()}]: ".encode() + line.rstrip(b"\n")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.settimeout(TIME_LIMIT)
            connection.connect(self._path)
            connection.send(message)

    def last(self) -> Line | None:
        return None

    def abandon(self) -> None:
        """Do nothing: its socket has a time limit."""


class Command:
    """A command that gets each line on its standard input, and ends with 0 when it has it."""

    reads_back = False

    def __init__(self, argv: list[str]) -> None:
        self._argv = argv
        self._running: subprocess.Popen[bytes] | None = None

    def write(self, line: bytes) -> None:
        quiet = subprocess.DEVNULL
        with Child(
            self._argv, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True
        ) as process:
            self._running = process
            try:
                process.communicate(line, TIME_LIMIT)
            except subprocess.TimeoutExpired:
                raise TimeoutError(
                    errno.ETIMEDOUT, f"the command did not end within {TIME_LIMIT:g} s"
                ) from None
            finally:
                self.abandon()
                self._running = None
        if process.returncode != 0:
            raise OSError(errno.EIO, f"the command ended with status {process.returncode}")

    def last(self) -> Line | None:
        return None

    def abandon(self) -> None:
        """Kill the command that runs, with its process group."""
        process = self._running
        if process is not None and process.poll() is None:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)


def target(text: str, locked: LockedFiles) -> Target:
    """The place that ``--witness`` names, which is none of the journal's own ``locked`` files.

    Raises ValueError, whose text says what is wrong.
    """
    if text == "syslog":
        return Syslog()
    if text.startswith("cmd:"):
        argv = shlex.split(text.removeprefix("cmd:"))
        if not argv:
            raise ValueError("cmd: needs a command, as in 'cmd:ssh log@host cat'")
        return Command(argv)
    return File(text, locked)

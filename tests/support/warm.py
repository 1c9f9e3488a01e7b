"""Starts a module as a process whose imports were done before, in a server that forks.

Most tests start a daemon, and half of the processor time of a short one is imports. The process is
a real one, with its own pid, arguments, environment and descriptors (``warm_server.py``). Where the
start could make a difference, ``exec`` starts it cold. So it does if this process has other limits,
namespaces or cgroups than when the server began. So it does as well where coverage counts, or where
the environment has other variables that Python reads. ``STARTS=cold`` starts everything cold. The
fixture ``cold`` sets it for tests of the start itself (``tests/daemon/keeper``).
"""

import atexit
import contextlib
import json
import os
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from emperord.monitors.registry import SCHEMES
from emperord.monitors.urls import split

_SERVER: Final = Path(__file__).with_name("warm_server.py")
# These commands, if nothing stands before them.
_COMMANDS: Final = (
    (sys.executable, "-P", "-W", "error", "-m", "emperord.daemon.main"),
    (sys.executable, "-P", "-m", "emperord.daemon.ctl"),
    (sys.executable, "-P", "-m", "emperord.daemon.keeper"),
    (sys.executable, "-P", "-m", "emperord.replay.main"),
)
# Read by the interpreter or a library when it starts.
_READ_AT_START: Final = re.compile(
    r"(?:PYTHON|LC_|LANG|LD_|MALLOC|GLIBC|COVERAGE|OPENSSL|EMPEROR_ASYNCIO)"
)
# Of these: there is a server for each value.
_CHOSEN: Final = ("PYTHONWARNINGS", "EMPEROR_ASYNCIO")
_INHERITED: Final = ("Umask", "SigBlk", "SigIgn", "Uid", "Gid", "Groups", "CapEff", "Cpus_allowed")
_NAMESPACES: Final = ("mnt", "net", "pid", "user", "uts", "ipc", "cgroup", "time")
_servers: dict[tuple[str, ...], "_Server"] = {}


def _read_at_start(environ: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in environ.items() if _READ_AT_START.match(key)}


_USUAL: Final = _read_at_start(os.environ)


class Process:
    """A process that a server has forked: what tests need of ``subprocess.Popen``."""

    def __init__(self, server: "_Server", pid: int) -> None:
        self._server = server
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, or minus the signal; None while it runs. It is a zombie until asked."""
        if self.returncode is None:
            status = self._server.ask({"ended": self.pid})
            if status is not None:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        if self.poll() is None:
            opened = os.pidfd_open(self.pid)
            try:
                select.select([opened], (), (), timeout)
            finally:
                os.close(opened)
        code = self.poll()
        assert code is not None, "it has not ended"
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it has not ended yet."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, if it has not ended yet."""
        self.send_signal(signal.SIGKILL)


class _Server:
    def __init__(self, command: tuple[str, ...], environ: Mapping[str, str]) -> None:
        self.surroundings = _surroundings(environ)
        # No more of it: tests look for the processes that have a variable of theirs.
        at_start = _read_at_start(environ)
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair()
        with theirs, open(os.devnull, "r+b") as nothing:
            number = theirs.fileno()
            argv = [*command[:-2], str(_SERVER), command[-1], str(number)]
            self._process = subprocess.Popen(
                argv, stdin=nothing, stdout=nothing, pass_fds=[number], cwd="/", env=at_start
            )
        assert self._socket.recv(16) == b"ready", f"{_SERVER} ended"
        atexit.register(self._end)

    def ask(self, message: Mapping[str, object], *files: int) -> Any:
        """Send a request with open files; the answer."""
        raw = json.dumps(message).encode()
        length = len(raw).to_bytes(8, "little")
        with self._lock:
            if files:
                socket.send_fds(self._socket, [length], files)
            else:
                self._socket.sendall(length)
            self._socket.sendall(raw)
            answer = self._socket.recv(64)
        assert answer, f"{_SERVER} ended"
        return json.loads(answer)

    def _end(self) -> None:
        self._socket.close()
        self._process.wait()


def start(
    argv: Sequence[str],
    environ: Mapping[str, str],
    folder: str | Path,
    output: int,
    errors: int,
    *,
    terminal: int | None = None,
) -> Process | None:
    """Start the command at a terminal, or with nothing to read. None: it is to be started cold.

    The process leads a session if it has a terminal. All of them are descriptors.
    """
    command = next((each for each in _COMMANDS if tuple(argv[: len(each)]) == each), None)
    if command is None or _is_cold(environ):
        return None
    key = (*command, *(environ.get(name, "") for name in _CHOSEN))
    if key not in _servers:
        _servers[key] = _Server(command, environ)
    server = _servers[key]
    if server.surroundings != _surroundings(environ):
        return None
    message = {
        "argv": list(argv),
        "environ": dict(environ),
        "folder": str(folder),
        "modules": _sources(argv),
        "leads": terminal is not None,
    }
    with open(os.devnull, "rb") as nothing:
        read = nothing.fileno() if terminal is None else terminal
        return Process(server, server.ask(message, read, output, errors))


def run(argv: Sequence[str], environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, with nothing to read; what it wrote."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = start(argv, environ, os.getcwd(), output.fileno(), errors.fileno())
        if process is None:
            return subprocess.run(
                argv, capture_output=True, encoding="utf-8", check=False, env=environ
            )
        code = process.wait()
        output.seek(0)
        errors.seek(0)
        texts = output.read().decode(), errors.read().decode()
    return subprocess.CompletedProcess(list(argv), code, *texts)


def _sources(argv: Sequence[str]) -> list[str]:
    """The modules of the sources of a daemon, and of files."""
    schemes = {scheme for word in argv if (scheme := split(word)[0]) in SCHEMES}
    return [f"emperord.monitors.{SCHEMES[each]}" for each in sorted({"dir", "glob", *schemes})]


def _is_cold(environ: Mapping[str, str]) -> bool:
    """Whether to start cold by a wish, or since no server is to begin with this environment."""
    chosen = {key: value for key, value in environ.items() if key in _CHOSEN}
    if _read_at_start(environ) != {**_USUAL, **chosen}:
        return True
    return os.environ.get("STARTS") == "cold" or any(key.startswith("COVERAGE") for key in environ)


def _surroundings(environ: Mapping[str, str]) -> object:
    """All that a process inherits when it is executed, but its descriptors, folder and names."""
    status = Path("/proc/self/status").read_text().splitlines()
    limits = {name: getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}
    namespaces = []
    for name in _NAMESPACES:
        with contextlib.suppress(FileNotFoundError):  # of an older kernel
            namespaces.append(os.readlink(f"/proc/self/ns/{name}"))
    return (
        _read_at_start(environ),
        [line for line in status if line.startswith(_INHERITED)],
        [resource.getrlimit(number) for number in limits.values()],
        namespaces,
        Path("/proc/self/cgroup").read_text(),
        os.getpriority(os.PRIO_PROCESS, 0),
    )

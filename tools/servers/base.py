"""The base of all servers: a temporary folder, a free loopback port, a process.

A server runs as an ordinary user where its program wants that. When we are root, that is the user
its Debian package made; else it is ourselves. It leads its own process group, so that all of it can
be stopped, killed or frozen at once. It dies with us.
"""

import contextlib
import ctypes
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from support.ports import free_port

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class ServerFailed(Exception):
    """A server did not start or stop; the text has the end of its log."""


def answers(port: int) -> bool:
    """Whether a process accepts connections on a loopback port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class Server:
    """One server. A subclass says how it is made ready, run and asked whether it is up."""

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()  # of Debian, that bring the program
    user: ClassVar[str | None] = None  # whom it runs as when we are root
    patience: ClassVar[float] = 60.0  # seconds to start or stop
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self) -> None:
        self.port = free_port()
        # Short: a UNIX socket's path has 107 bytes at most.
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir="/tmp"))
        self.log = self.folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._identity = self._find_user()
        if self._identity is not None:
            os.chown(self.folder, self._identity.pw_uid, self._identity.pw_gid)
        self.prepare()

    # A subclass gives these.

    def prepare(self) -> None:
        """Make what the server needs in its folder, once."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Variables besides PATH and HOME."""
        return {}

    def is_ready(self) -> bool:
        return answers(self.port)

    def address(self) -> dict[str, Any]:
        """The parts of the address by which clients connect."""
        return {"port": self.port}

    # Tests use these.

    def start(self) -> None:
        """Run it; return when it is ready. Raises ServerFailed."""
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                self.command(),
                env=self._whole_environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                **self._credentials(),
            )
        self._wait_for("start", self._is_up)

    def stop(self) -> None:
        """Stop it in order; return when it has gone."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """It keeps its connections and answers nothing."""
        self._signal(signal.SIGSTOP)
        if self._process is not None:
            self._wait_for("freeze", self._is_still)  # the signal is sent, not yet heeded

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        """Kill it if need be and delete its folder."""
        self.thaw()
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *command: str, **environment: str) -> str:
        """Run a program of the server's (initdb, rabbitmqctl) as its user; what it printed."""
        done = subprocess.run(
            command,
            env={**self._whole_environment(), **environment},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=self.patience,
            check=False,
            **self._credentials(),
        )
        printed = done.stdout.decode(errors="replace")
        if done.returncode != 0:
            raise ServerFailed(f"{self.name}: {' '.join(command)}: {printed[-2000:]}")
        return printed

    # How

    def _find_user(self) -> pwd.struct_passwd | None:
        if self.user is None or os.geteuid() != 0:
            return None
        return pwd.getpwnam(self.user)

    def _credentials(self) -> dict[str, Any]:
        found: dict[str, Any] = {"preexec_fn": _die_with_parent}
        if self._identity is not None:
            found |= {
                "user": self._identity.pw_uid,
                "group": self._identity.pw_gid,
                "extra_groups": [],
            }
        return found

    def _whole_environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            **self.environment(),
        }

    def _is_up(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise ServerFailed(f"{self.name} ended while starting:\n{self._log_end()}")
        return self.is_ready()

    def _wait_for(self, what: str, condition: Any) -> None:
        until = time.monotonic() + self.patience
        while not condition():
            if time.monotonic() > until:
                raise ServerFailed(f"{self.name} did not {what}:\n{self._log_end()}")
            select.select([], [], [], 0.02)

    def _is_still(self) -> bool:
        """Whether every thread of the group is stopped, or has ended."""
        assert self._process is not None
        for process in Path("/proc").glob("[0-9]*"):
            # One may end meanwhile.
            with contextlib.suppress(OSError):
                if os.getpgid(int(process.name)) == self._process.pid:
                    stats = [task.read_text() for task in process.glob("task/*/stat")]
                    if any(stat.rpartition(")")[2].split()[0] not in "TtZX" for stat in stats):
                        return False
        return True

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        if number == signal.SIGKILL:
            self._signal(number)
        elif self._process.poll() is None:
            self._process.send_signal(number)
        self._process.wait(self.patience)
        self._signal(signal.SIGKILL)  # for processes that it left behind
        self._process = None

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _log_end(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def find_program(*candidates: str) -> str:
    """The first program that exists, of paths (patterns allowed) and names on PATH."""
    for candidate in candidates:
        if "/" in candidate:
            found = sorted(Path("/").glob(candidate.lstrip("/")))
            if found:
                return str(found[-1])
        elif path := shutil.which(candidate):
            return path
    raise ServerFailed(f"there is none of {', '.join(candidates)}; tools/test installs them")

"""A real daemon in a process of its own, on a folder of its own, seen through its journal.

    with Daemon(tmp_path) as daemon:
        daemon.vassals.joinpath("a.ini").write_text(...)
        daemon.start()
        daemon.phase("a.ini", "accepting")
        daemon.stop()

It finds everything that it started by a variable in the environment, which vassals inherit. So each
test checks that nothing is left, and a failed test leaves nothing either.
"""

import contextlib
import copy
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

from emperord.daemon.core.fleet import Vassal

from . import processes, warm
from .catching_up import AskedDaemon
from .journal_reader import Event
from .tail import Tail
from .waiting import PATIENCE, until

STAMP = "STARTED_BY_TEST"  # in the environment of the daemon and of all that it starts
MARK = "EMPERORD_ATTEMPT"
_REQUESTS = (signal.SIGHUP, signal.SIGURG, signal.SIGUSR1, signal.SIGUSR2)

_T = TypeVar("_T")


class Daemon(AskedDaemon):
    """One daemon after the other on the same journal.

    ``monitors`` are ``vassals`` beside the journal unless told; ``options`` go before them.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        monitors: Sequence[str | Path] | None = None,
        environ: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.vassals = folder / "vassals"
        self.vassals.mkdir(exist_ok=True)
        self.state = folder / "state"
        self.journal = self.state / "journal.db"
        self.options = list(options)
        self.monitors: list[str | Path] = [self.vassals] if monitors is None else list(monitors)
        self.before = list(before)  # a command to run the daemon through
        self.pass_fds: tuple[int, ...] = ()  # descriptors that this command gets
        self.stamp = uuid.uuid4().hex
        self.environ = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("EMPEROR_", "UWSGI_"))},
            STAMP: self.stamp,
            "EMPEROR_AS_ROOT": "1",  # vassals of tests may run as root
            "RUNTIME_DIRECTORY": str(folder / "run"),  # nothing is left behind in /run
            **(environ or {}),
        }
        self.module = "emperord.daemon.main"  # the daemon itself, without a keeper
        self.process: subprocess.Popen[bytes] | warm.Process | None = None
        self._log = folder / "daemon.log"
        self._tail = Tail()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.clean_up()

    # Its life

    @property
    def argv(self) -> list[str]:
        """The command."""
        return [
            *self.before,
            *(sys.executable, "-P", "-W", "error", "-m", self.module),
            *("--journal", str(self.journal)),
            *self.options,
            *map(str, self.monitors),
        ]

    def launch(self, *extra: str) -> Self:
        """Start it and return at once."""
        argv = [*self.argv, *extra]
        with self._log.open("ab") as log:
            warmed = warm.start(argv, self.environ, self.folder, log.fileno(), log.fileno())
            self.process = warmed or subprocess.Popen(
                argv,
                env=self.environ,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=self.pass_fds,
            )
        return self

    def start(self, *extra: str) -> Self:
        """Start it and return when it is ready."""
        after = self.last_seq()
        self.launch(*extra)
        self.event("daemon_ready", after=after)
        return self

    @property
    def logs(self) -> Path:
        """Where the vassals' logs are, unless told."""
        return self.journal.with_name(f"{self.journal.name}.logs")

    @property
    def pid(self) -> int:
        """The daemon's own pid."""
        assert self.process is not None
        return self.process.pid

    def send(self, number: int) -> None:
        """Send the daemon a signal. A request comes when it has folded what the test has seen."""
        if number in _REQUESTS:
            self.catch_up()
        os.kill(self.pid, number)

    def wait(self, patience: float = PATIENCE) -> int:
        """Its exit code, when it has ended by itself."""
        assert self.process is not None
        process = self.process
        self.until(lambda: process.poll() is not None, "the daemon ends", patience=patience)
        self.process = None
        return process.wait()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Have it stop; it exits 0, leaves nothing running and has nothing to complain of."""
        self.send(number)
        assert self.wait() == 0, self.account()
        assert self.running() == [], self.account()
        assert "Traceback" not in self.log(), self.log()

    def insist(self, number: int = signal.SIGTERM) -> int:
        """Send the signal until the process ends, and return its exit code.

        Signals within a second are one request.
        """
        assert self.process is not None
        process = self.process

        def ended() -> bool:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):  # it has just ended
                    self.send(number)
            return process.poll() is not None

        self.until(ended, "it is impatient")
        return self.wait()

    def kill(self) -> None:
        """Kill it, as the kernel does when memory is short."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def clean_up(self) -> None:
        """End it and everything that it started, however things stand."""
        self.let_go()
        if self.process is not None:
            self.kill()
        while left := self.running():
            for pid in left:
                processes.kill(pid)

    # Its processes

    def environments(self) -> dict[int, dict[str, str]]:
        """All processes that it or a daemon before it started, itself excepted."""
        own = None if self.process is None else self.process.pid
        found = processes.environments(STAMP, self.stamp)
        return {pid: its for pid, its in found if pid != own}

    def running(self) -> list[int]:
        """The pids of those."""
        return list(self.environments())

    def running_for(self, vassal: str) -> list[int]:
        """The processes of one vassal, by their mark."""
        return [
            pid
            for pid in self.running()
            if processes.environment_of(pid).get(MARK, "").split(".", 2)[2:] == [vassal]
        ]

    # Its logs and its journal

    def log(self) -> str:
        """All that daemons here wrote to stderr and stdout."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def vassal_log(self, name: str) -> str:
        """The vassal's log; empty if there is none."""
        path = self.logs / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def pid_of(self, name: str) -> int:
        """The pid of a vassal, when it is recorded: a process runs a little before that."""

        def recorded() -> int | None:
            vassal = self.vassal(name)
            return None if vassal is None else vassal.pid

        return self.until(recorded, f"{name}: its pid is recorded")

    # Waiting

    def until(
        self, condition: Callable[[], _T | None], what: str, *, patience: float = PATIENCE
    ) -> _T:
        """Wait for a condition; fail with the daemon's log and journal if it does not come."""

        def checked() -> _T | None:
            value = condition()
            if not value and self.process is not None and self.process.poll() is not None:
                value = condition()  # its last act counts
                assert value, f"{what}: the daemon has ended\n{self.account()}"
            return value

        return until(checked, what, patience=patience, account=self.account)

    def event(
        self,
        kind: str,
        vassal: str = "%",
        *,
        after: int = 0,
        count: int = 1,
        patience: float = PATIENCE,
        **body: object,
    ) -> Event:
        """Wait for the ``count``-th such event after ``after`` whose body has these values."""

        def found() -> list[Event]:
            fitting = [
                event
                for event in self.events(kind, vassal, after)
                if all(event.body.get(key) == value for key, value in body.items())
            ]
            return fitting[count - 1 : count]

        which = f"{vassal}: {kind} {body or ''} ({count})"
        return self.until(found, which, patience=patience)[0]

    def phase(self, name: str, phase: str, *, patience: float = PATIENCE) -> Vassal:
        """Wait until a vassal is in this phase."""

        def found() -> Vassal | None:
            vassal = self._present().vassals.get(name)
            found_it = vassal is not None and vassal.phase == phase
            return copy.deepcopy(vassal) if found_it else None

        return self.until(found, f"{name}: {phase}", patience=patience)

    def gone(self, name: str, *, patience: float = PATIENCE) -> None:
        """Wait until a vassal is forgotten."""
        self.until(lambda: self.vassal(name) is None, f"{name}: gone", patience=patience)

    def account(self) -> str:
        """How things stand, for the message of a failed test."""
        tail = "\n".join(
            f"{event.seq} {event.kind} {event.vassal or event.monitor or ''} <- {event.cause}"
            f" {json.dumps(event.body)} => {json.dumps(event.actions)}"
            for event in self.events()[-40:]
        )
        return f"--- its log\n{self.log()[-6000:]}\n--- its journal\n{tail}"

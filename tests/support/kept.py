"""A daemon with a keeper, as users run it: ``emperor``, the two processes of it told apart."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from . import processes, warm
from .daemon import MARK, Daemon
from .descriptors import descriptors
from .waiting import until

_DAEMON = "emperord.daemon.main"


class Emperor(Daemon):
    """``process`` is the keeper; ``daemon_pid`` the daemon proper.

    With ``keeper=False`` both are the daemon: it starts quickly, and answers ``emperor-ctl``.
    """

    warnings = "error"  # for Python's own warnings
    started_as = "emperord.daemon.keeper"  # the module

    def __init__(self, *arguments: Any, keeper: bool = True, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._has_keeper = keeper

    @property
    def argv(self) -> list[str]:
        """The command."""
        if not self._has_keeper:
            return super().argv
        return [
            *self.before,
            *(sys.executable, "-P", "-m", self.started_as),
            *("--journal", str(self.journal)),
            *self.options,
            *map(str, self.monitors),
        ]

    def launch(self, *extra: str) -> "Emperor":
        """Start it and return at once."""
        if self._has_keeper:  # otherwise its command has them
            self.environ["PYTHONWARNINGS"] = self.warnings
        super().launch(*extra)
        return self

    def daemons(self) -> list[int]:
        """The daemons proper that live."""
        return [pid for pid in super().environments() if _DAEMON in processes.argv_of(pid)]

    def daemon_pid(self) -> int:
        """The daemon proper, when there is one that works."""
        if not self._has_keeper:
            return self.pid

        def works() -> int | None:
            text = Path(f"{self.journal}.lock").read_text().strip()
            return int(text) if text and int(text) in self.daemons() else None

        return self.until(works, "a daemon has the journal")

    def environments(self) -> dict[int, dict[str, str]]:
        """All processes of vassals, by their mark."""
        return {pid: its for pid, its in super().environments().items() if MARK in its}

    def kill_daemon(self, number: int = signal.SIGKILL) -> int:
        """Kill the daemon proper; return its pid when it is gone."""
        pid = self.daemon_pid()
        os.kill(pid, number)
        until(lambda: not processes.alive(pid), "the daemon is gone")
        return pid

    def next_ready(self, after: int) -> int:
        """Wait for the daemon that is ready after this event; its pid."""
        self.event("daemon_ready", after=after)
        return self.daemon_pid()

    def kept(self) -> int:
        """The number of descriptors of the keeper, when it has what a daemon gives it at its start.

        The lock of the journal's identity comes last, with the first event that is durable.
        """

        def number() -> int | None:
            held = descriptors(self.pid)
            return len(held) if any(target.endswith(".lock") for _, target in held) else None

        return self.until(number, "the keeper has the lock")

    def restart(self) -> int:
        """Kill the daemon and wait for the next one; its pid."""
        if not self._has_keeper:
            self.kill()
            return self.start().pid
        seq = self.last_seq()
        self.kill_daemon()
        return self.next_ready(seq)

    def up(self, *names: str) -> dict[str, int]:
        """Wait until these vassals run; their pids."""
        for name in names:
            self.event("spawned", name)
        return {name: self.pid_of(name) for name in names}

    def clean_up(self) -> None:
        """End it and everything that it started, however things stand."""
        self.let_go()
        if self.process is not None:
            self.kill()
        while left := Daemon.environments(self):
            for pid in left:
                processes.kill(pid)

    def put(self, name: str, text: str) -> None:
        """Write a config so that no daemon reads half of it."""
        path = self.folder / name
        path.write_text(text)
        os.replace(path, self.vassals / name)

    @property
    def ctl_argv(self) -> list[str]:
        """The command ``emperor-ctl`` for this daemon."""
        return [sys.executable, "-P", "-m", "emperord.daemon.ctl", "--control", str(self.control)]

    def ctl(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run ``emperor-ctl`` when the daemon has folded what the test has seen of its journal."""
        self.catch_up()
        argv = [*self.ctl_argv, *words]
        environ = {**self.environ, "PYTHONWARNINGS": self.warnings}
        if not more:
            return warm.run(argv, environ)
        return subprocess.run(
            argv, capture_output=True, text=True, check=False, env=environ, **more
        )

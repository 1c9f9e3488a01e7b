"""Journals as a daemon leaves them that is killed at a certain moment."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import msgspec
from emperord.daemon.host import procfs
from emperord.journal.chain import digest
from emperord.journal.events import Spec
from emperord.journal.store import Journal
from journal_builder import Builder

from support.daemon import MARK, STAMP, Daemon
from support.replaying import asking
from support.vassals import SLEEPER
from support.waiting import PATIENCE


def running(daemon: Daemon, *names: str) -> dict[str, int]:
    """Wait until these have a process; their pids."""
    for name in names:
        daemon.until(partial(has_pid, daemon, name), f"{name} is up")
    return {name: daemon.pid_of(name) for name in names}


def has_pid(daemon: Daemon, name: str) -> bool:
    vassal = daemon.vassal(name)
    return vassal is not None and vassal.pid is not None


def verified(daemon: Daemon) -> None:
    """Every recorded action comes out again, and the chain holds."""
    result = asking("verify")(daemon.journal)
    assert result.exit_code == 0, result.output


# Between an order and its record


@contextmanager
def started(*argv: str, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that a daemon had started, or an unknown process; ended with the test."""
    child = subprocess.Popen(
        argv or ("sleep", "1000"), env={**os.environ, **environ}, start_new_session=True
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait(PATIENCE)


class Crafted:
    """A journal that ends where a daemon was killed: a spawn is ordered, nothing is known of it."""

    def __init__(self, daemon: Daemon, config: str = SLEEPER, name: str = "a.ini") -> None:
        self.daemon, self.name = daemon, name
        self.path = daemon.vassals / name
        self.path.write_text(config)
        with Journal.open(str(daemon.journal)) as journal:
            builder = Builder(journal)
            # The mark of an attempt has its time. Tests that run side by side must not share one.
            builder.at += time.monotonic_ns() % 1_000_000_000
            builder.event(
                "daemon_started",
                version="0.1.0",
                boot=procfs.boot_id(),
                pid=1,
                policy=builder.fleet.policy,
                monitors=(f"dir://{daemon.vassals}",),
            )
            builder.event("daemon_ready")
            self.spec = Spec(
                ts=self.path.stat().st_mtime_ns,
                config=digest(config.encode()),
                path=str(self.path),
                cwd=str(daemon.vassals),
                settings={"command": "sleep 1000"},
            )
            builder.event("vassal_added", name, f"dir://{daemon.vassals}", spec=self.spec)
            self.order = builder.seq
            self.at = builder.at
            self.attempt = builder.attempt(name)
            assert [action.do for action in builder.actions] == ["spawn"]

    def change(self, pid: int) -> int:
        """The vassal ran as this process, and was to be reloaded; the number of that event."""
        start_time = procfs.start_time(pid)
        os.utime(self.path, ns=(0, 1))
        spec = msgspec.structs.replace(self.spec, ts=1)
        with Journal.open(str(self.daemon.journal)) as journal:
            builder = Builder(journal)
            builder.event(
                "spawned", self.name, attempt=self.attempt, pid=pid, start_time=start_time
            )
            builder.event("vassal_changed", self.name, f"dir://{self.daemon.vassals}", spec=spec)
            assert [action.do for action in builder.actions] == ["reload"]
            return builder.seq

    @property
    def environ(self) -> dict[str, str]:
        """The variables that the daemon would have put in the environment of its process."""
        mark = f"{self.attempt}.{self.at}.{self.name}"
        return {STAMP: self.daemon.stamp, MARK: mark}

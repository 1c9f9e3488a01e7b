"""The machine refuses descriptors, processes or threads: vassals wait, the daemon goes on."""

import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from support import processes
from support.daemon import Daemon

from . import record
from .ground import Commoner
from .running import until

OPTIONS: Final = ("--freq", "0.2", "--throttle", "100", "--max-throttle", "200", "--mercy", "1")
SLEEPER: Final = "[emperor]\ncommand = sleep 1000\nreload-signal = CONT\n"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, *OPTIONS) as made:
        yield made


class Common(Daemon):
    """A daemon of a user of its own."""

    def __init__(self, folder: Path) -> None:
        self._user = Commoner()
        super().__init__(folder, *OPTIONS, before=self._user.before)

    def limit_processes(self, count: int | None) -> None:
        """Allow its user so many, threads included; None lifts that."""
        self._user.limit(self.pid, "nproc", 10_000 if count is None else count)


@pytest.fixture
def commoner(tmp_path: Path) -> Iterator[Common]:
    with Common(tmp_path) as made:
        yield made


def limit_descriptors(daemon: Daemon, soft: int | None) -> None:
    _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (hard if soft is None else soft, hard))


def descriptors(daemon: Daemon) -> int:
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


def write(daemon: Daemon, count: int) -> list[str]:
    names = [f"v{i}.ini" for i in range(count)]
    for name in names:
        (daemon.vassals / name).write_text(SLEEPER)
    return names


def ready(daemon: Daemon, names: list[str]) -> None:
    """Each has exactly one process, and the record says so."""

    def all_ready() -> bool:
        vassals = daemon.fleet().vassals
        return sorted(vassals) == sorted(names) and all(
            vassal.phase == "ready" for vassal in vassals.values()
        )

    daemon.until(all_ready, "all run")
    assert len(daemon.running()) == len(names)


def kill_leader(daemon: Daemon, vassal: str) -> None:
    pid = daemon.pid_of(vassal)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not processes.alive(pid), "the vassal dies")


def keep_threads(daemon: Daemon, vassal: str) -> None:
    """Have it look at a file until it has two threads to spare: for a look, and for an append.

    Such a thread stays for ten seconds. A source that gets none begins anew, and needs more.
    """

    def has_them() -> bool:
        os.utime(daemon.vassals / vassal)
        threads = [name_of(each) for each in Path(f"/proc/{daemon.pid}/task").iterdir()]
        return len([name for name in threads if name.startswith("Trio thread")]) >= 2

    daemon.until(has_them, "it has threads to spare")


def name_of(thread: Path) -> str:
    try:
        return (thread / "comm").read_text()
    except OSError:  # it has ended meanwhile
        return ""


def end_well(daemon: Daemon) -> None:
    daemon.stop()
    record.check(daemon.journal)
    assert "Traceback" not in daemon.log()


def test_vassals_leave_the_daemon_the_descriptors_that_it_lives_on(daemon: Daemon) -> None:
    daemon.start()
    limit_descriptors(daemon, descriptors(daemon) + 50)
    names = write(daemon, 20)
    failed = daemon.event("spawn_failed", fault="resources")
    assert failed.body["reason"] == "cannot start it now: Too many open files"
    throttled = daemon.fleet().vassals[failed.vassal or ""]
    assert throttled.phase in ("throttled", "starting", "ready")
    daemon.event("spawn_failed", failed.vassal or "", count=2)
    # Whatever else it has to do, it can.
    (up,) = [v for v in daemon.fleet().vassals.values() if v.phase == "ready"][:1]
    (daemon.vassals / up.name).unlink()
    daemon.gone(up.name)
    names.remove(up.name)
    assert daemon.events("monitor_failed") == []
    limit_descriptors(daemon, None)
    ready(daemon, names)
    end_well(daemon)


def test_without_a_single_free_descriptor_the_daemon_lives_and_knows_that_it_is_blind(
    daemon: Daemon,
) -> None:
    names = write(daemon, 3)
    daemon.start()
    ready(daemon, names)
    limit_descriptors(daemon, descriptors(daemon))
    daemon.event("monitor_failed")
    names = write(daemon, 5)
    kill_leader(daemon, "v0.ini")
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.event("operator_requested")
    assert daemon.process is not None
    assert daemon.process.poll() is None
    limit_descriptors(daemon, None)
    daemon.event("monitor_recovered")
    ready(daemon, names)
    end_well(daemon)


def test_when_no_process_can_be_had_it_is_tried_again(commoner: Common) -> None:
    names = write(commoner, 2)
    commoner.start()
    ready(commoner, names)
    keep_threads(commoner, "v1.ini")
    commoner.limit_processes(1)
    names = write(commoner, 4)
    failed = commoner.event("spawn_failed", "v3.ini", fault="resources")
    assert "temporarily unavailable" in failed.body["reason"]
    commoner.event("spawn_failed", "v3.ini", count=2)
    # Deaths are told all the same.
    kill_leader(commoner, "v0.ini")
    commoner.event("exited", "v0.ini", signal=signal.SIGKILL)
    commoner.limit_processes(None)
    ready(commoner, names)
    end_well(commoner)


def test_when_no_thread_can_be_had_it_does_without(commoner: Common) -> None:
    commoner.start().stop()  # to have a journal
    names = write(commoner, 2)
    commoner.before += ["prlimit", "--nproc=1:"]
    commoner.start()
    commoner.event("monitor_failed")
    commoner.limit_processes(None)
    ready(commoner, names)
    end_well(commoner)

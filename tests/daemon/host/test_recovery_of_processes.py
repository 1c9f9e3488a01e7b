"""A daemon that comes back takes no other process for its own, and ends what is left of its own."""

import os
import resource
import signal
import sys
from pathlib import Path

import pytest
from emperord.daemon.core.fleet import Vassal
from emperord.daemon.host import procfs
from emperord.daemon.host.host import Host
from emperord.daemon.host.recovery import Survivor
from emperord.journal.events import Spec
from emperord.journal.policy import Policy
from emperord.journal.store import Journal
from journal_builder import Builder
from support import processes
from support.crafted import Crafted, running, started
from support.daemon import MARK, Daemon
from support.vassals import SLEEPER, shell
from support.waiting import PATIENCE

from ..conftest import MakeDaemon

OTHERS = [
    pytest.param({MARK: "1.2.a.ini"}, id="another attempt"),
    pytest.param({MARK: ""}, id="no mark"),
]


@pytest.mark.parametrize("environ", OTHERS)
def test_a_stranger_is_not_taken_for_it(daemon: Daemon, environ: dict[str, str]) -> None:
    Crafted(daemon)
    with started(**environ) as stranger:
        daemon.start()
        daemon.event("spawned", "a.ini")
        daemon.stop()
        assert stranger.poll() is None


def test_the_same_attempt_of_another_journal_is_not_taken_for_it(
    daemon: Daemon, tmp_path: Path
) -> None:
    """Numbers are alike in all journals; times tell them apart."""
    crafted = Crafted(daemon)
    with started(**{MARK: f"{crafted.attempt}.{crafted.at + 1}.a.ini"}) as stranger:
        daemon.start()
        daemon.event("spawned", "a.ini")
        daemon.stop()
        assert stranger.poll() is None


def test_a_process_that_cleared_its_environment_is_found_by_its_brand(daemon: Daemon) -> None:
    crafted = Crafted(daemon)
    limit_tag = procfs.limit_tag(crafted.environ[MARK])
    with started("prlimit", f"--rttime={limit_tag}:", "env", "-i", "sleep", "1000") as child:
        daemon.until(lambda: processes.argv_of(child.pid)[:1] == ["sleep"], "it runs")
        daemon.start()
        assert daemon.event("adopted", "a.ini").body["pid"] == child.pid
        daemon.stop()
        assert child.wait(PATIENCE) == -signal.SIGTERM


def test_what_is_left_of_a_tree_is_ended_before_it_starts_again(daemon: Daemon) -> None:
    """The leader died unrecorded; a child of it lives on."""
    crafted = Crafted(daemon)
    with started("sh", "-c", "sleep 1000 & exit", **crafted.environ) as leader:
        leader.wait(PATIENCE)
        left = daemon.running()
        assert len(left) == 1
        daemon.start()
        daemon.event("spawned", "a.ini")
        assert not processes.alive(left[0])
        assert len(daemon.running()) == 1
        daemon.stop()


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "child",
    [
        pytest.param("sleep 2000", id="in its group"),
        pytest.param("setsid sleep 2000", id="in a session of its own"),
        pytest.param(f"env -u {MARK} sleep 2000", id="without its mark"),
    ],
)
def test_remnants_of_a_dead_tree_are_ended(daemon: Daemon, child: str) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(shell(f"{child} & echo $! >>up; wait"))
    daemon.start()
    pid = running(daemon, "a.ini")["a.ini"]
    (left,) = daemon.until(
        lambda: [p for p in daemon.running() if processes.argv_of(p) == ["sleep", "2000"]],
        "its child is up",
    )
    daemon.kill()
    processes.kill(pid)
    daemon.until(lambda: not processes.alive(pid), "it has died")
    assert processes.alive(left)
    seq = daemon.last_seq()
    daemon.start()
    daemon.event("spawned", "a.ini", after=seq)
    assert not processes.alive(left)
    daemon.stop()


def test_who_cannot_be_held_is_not_taken_for_dead() -> None:
    """Without a free descriptor the daemon cannot see it. Taken for dead, it would run twice."""
    pid, spec = os.getpid(), Spec(ts=1, path="/a.ini")
    started = procfs.start_time(pid)
    assert started is not None
    vassal = Vassal("a.ini", "dir:///", spec, "ready", since=1, because=1, attempt=1, running=spec)
    host = Host(Policy, None, lambda _: None)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            host.adopter.adopt(Survivor(vassal, pid, started, "1.1.a.ini"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_process_that_only_has_its_number_is_left_alone(daemon: Daemon) -> None:
    """A pid that another process has by now: known by its start time."""
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    daemon.start()
    running(daemon, "a.ini")
    daemon.stop()
    with started() as stranger:
        with Journal.open(str(daemon.journal)) as journal:
            builder = Builder(journal)
            first = builder.event(
                "daemon_started",
                version="0.1.0",
                boot=procfs.boot_id(),
                pid=1,
                policy=builder.fleet.policy,
                monitors=(f"dir://{daemon.vassals}",),
            )
            builder.event("daemon_ready", cause=first)
            builder.event(
                "spawned",
                "a.ini",
                attempt=builder.attempt("a.ini"),
                pid=stranger.pid,
                start_time=(procfs.start_time(stranger.pid) or 0) - 1,
            )
        seq = daemon.last_seq()
        daemon.start()
        daemon.event("exited", "a.ini", after=seq, away=True)
        daemon.event("spawned", "a.ini", after=seq)
        daemon.stop()
        assert stranger.poll() is None


def test_after_a_reboot_nothing_is_adopted(daemon: Daemon) -> None:
    """Another process may have its pid and start time. A vassal that was stopped stays down."""
    names = ("a.ini", "held.ini")
    for name in names:
        (daemon.vassals / name).write_text(SLEEPER)
    with started() as stranger:
        with Journal.open(str(daemon.journal)) as journal:
            builder = Builder(journal)
            url = f"dir://{daemon.vassals}"
            builder.start((url,))  # of another boot
            for name in names:
                builder.added(name, SLEEPER.encode(), url, settings={"command": "sleep 1000"})
                builder.event(
                    "spawned",
                    name,
                    attempt=builder.attempt(name),
                    pid=stranger.pid,
                    start_time=procfs.start_time(stranger.pid),
                )
            builder.event("operator_requested", "held.ini", request="stop")
        seq = daemon.last_seq()
        daemon.start()
        for name in names:
            daemon.event("exited", name, after=seq, away=True)
        daemon.event("spawned", "a.ini", after=seq)
        daemon.phase("held.ini", "held")
        assert daemon.events("spawned", "held.ini", after=seq) == []
        daemon.stop()
        assert stranger.poll() is None


def test_orphans_that_nobody_reaps_are_gone_all_the_same(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    """In many a container process 1 reaps no child: zombies of adopted vassals stay for ever."""
    daemon = make_daemon(before=[sys.executable, str(nobody_reaps(tmp_path))])
    config = daemon.vassals / "a.ini"
    config.write_text(shell("sleep 2000 & wait"))
    daemon.start()
    running(daemon, "a.ini")
    real = daemon.events("daemon_started")[0].body["pid"]
    os.kill(real, signal.SIGKILL)
    daemon.event("daemon_started", count=2)
    daemon.event("adopted", "a.ini")
    config.unlink()
    daemon.event("exited", "a.ini")
    config.write_text(SLEEPER)
    daemon.phase("a.ini", "ready")
    os.kill(daemon.events("daemon_started")[1].body["pid"], signal.SIGTERM)
    assert daemon.wait() == 0


def nobody_reaps(folder: Path) -> Path:
    """A program that runs its arguments again when they are killed, and inherits their orphans."""
    path = folder / "init.py"
    path.write_text(
        "import ctypes, subprocess, sys\n"
        "ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n"
        "while (code := subprocess.run(sys.argv[1:]).returncode) == -9: pass\n"
        "sys.exit(code)\n"
    )
    return path

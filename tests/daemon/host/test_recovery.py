"""A daemon that comes back: what lives is adopted, what died is recorded, nothing runs twice."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest
from emperord.daemon.core.fleet import Vassal
from emperord.daemon.host import procfs
from emperord.daemon.host.host import Host
from emperord.daemon.host.recovery import Survivor
from emperord.journal.chain import digest
from emperord.journal.events import Spec
from emperord.journal.policy import Policy
from emperord.journal.store import Journal
from journal_builder import Builder
from support import processes
from support.daemon import MARK, STAMP, Daemon
from support.vassals import SLEEPER, Application, program, shell
from support.waiting import PATIENCE

from ..conftest import MakeDaemon

HEALTHY = "say 1 5 17\n"


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
    subprocess.run(
        [sys.executable, "-m", "emperord.replay.main", "--journal", daemon.journal, "verify"],
        check=True,
        capture_output=True,
    )


def test_programs_are_adopted(daemon: Daemon) -> None:
    names = ("a.ini", "b.ini", "c.ini")
    for name in names:
        (daemon.vassals / name).write_text(SLEEPER)
    daemon.start()
    pids = running(daemon, *names)
    for _ in range(3):
        daemon.kill()
        assert set(daemon.running()) == set(pids.values())
        daemon.start()
        assert {e.vassal: e.body["pid"] for e in daemon.events("adopted")[-3:]} == pids
    assert set(daemon.running()) == set(pids.values())
    assert daemon.kinds().count("spawned") == 3
    # They are in its hands: told, stopped and missed like any other.
    os.kill(pids["a.ini"], signal.SIGKILL)
    daemon.event("exited", "a.ini")
    daemon.event("spawned", "a.ini", count=2)
    (daemon.vassals / "b.ini").unlink()
    daemon.gone("b.ini")
    assert not processes.alive(pids["b.ini"])
    daemon.stop()
    verified(daemon)


def test_an_adopted_one_hears_its_signals(daemon: Daemon) -> None:
    talker = "trap 'echo USR1 >>got' USR1; echo $$ >>up; while :; do sleep 1000 & wait; done"
    config = daemon.vassals / "a.ini"
    config.write_text(shell(talker, reload_signal="USR1", stop_signal="INT"))
    daemon.start()
    daemon.until((daemon.vassals / "up").exists, "it is up")
    daemon.kill()
    daemon.start()
    os.utime(config, ns=(0, 1))
    daemon.until((daemon.vassals / "got").exists, "it is told to reload")
    config.unlink()
    daemon.event("exited", "a.ini")
    assert daemon.running() == []
    daemon.stop()


def test_an_adopted_tree_ends_as_a_whole(daemon: Daemon) -> None:
    """Its orphans were never children of this daemon, and one has left its session."""
    config = daemon.vassals / "a.ini"
    config.write_text(shell("sleep 1000 & setsid sleep 2000 & echo >up; wait"))
    daemon.start()
    daemon.until((daemon.vassals / "up").exists, "it is up")
    daemon.until(lambda: len(daemon.running_for("a.ini")) == 3, "its tree is up")
    daemon.kill()
    daemon.start()
    daemon.event("adopted", "a.ini")
    config.unlink()
    daemon.event("exited", "a.ini")
    assert daemon.running() == []
    daemon.stop()


@pytest.mark.slow
def test_uwsgi_is_started_again(daemon: Daemon, tmp_path: Path) -> None:
    """It does not survive its Emperor: when the socket closes it goes, with its workers."""
    app = Application(tmp_path)
    (daemon.vassals / "app.ini").write_text(app.config("hello", processes="2"))
    daemon.start()
    daemon.until(app.answers, "it serves")
    for _ in range(3):
        before = daemon.running()
        seq = daemon.last_seq()
        daemon.kill()
        daemon.start()
        daemon.event("vassal_accepting", "app.ini", after=seq)
        daemon.until(app.answers, "it serves again")
        assert not set(before) & set(daemon.running())
        spawned = daemon.events("spawned", "app.ini", after=seq)
        assert len(spawned) == 1
    vassal = daemon.vassal("app.ini")
    assert vassal is not None
    assert vassal.deaths == 0  # not its fault
    daemon.stop()
    verified(daemon)


def test_what_died_while_the_daemon_was_away(daemon: Daemon) -> None:
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    daemon.start()
    pid = running(daemon, "a.ini")["a.ini"]
    daemon.kill()
    processes.kill(pid)
    daemon.until(lambda: not processes.alive(pid), "it has died")
    daemon.start()
    death = daemon.event("exited", "a.ini")
    assert death.body == {"attempt": death.body["attempt"], "away": True}
    daemon.event("spawned", "a.ini", count=2)
    assert len(daemon.running()) == 1
    daemon.stop()


def test_an_adopted_one_is_not_missed_for_heartbeats_that_nobody_hears(
    make_daemon: MakeDaemon,
) -> None:
    """Its end of the control socket is still open; the other end died with the daemon."""
    daemon = make_daemon("--required-heartbeat", "0.5")
    beats = (
        "import os, select, signal; signal.signal(signal.SIGPIPE, signal.SIG_IGN)\n"
        "while True:\n"
        "    try: os.write(int(os.environ['UWSGI_EMPEROR_FD']), bytes([26]))\n"
        "    except OSError: pass\n"
        "    select.select((), (), (), 0.05)\n"
    )
    script = daemon.folder / "beats.py"
    script.write_text(beats)
    (daemon.vassals / "a.ini").write_text(program(sys.executable, "-S", str(script)))
    daemon.start()
    daemon.event("heartbeat_started", "a.ini")
    pid = daemon.pid_of("a.ini")
    daemon.kill()
    daemon.start()
    # The daemon looks once a second. Another that is silent shows that it has looked.
    script = daemon.folder / "once.py"
    script.write_text(
        "import os; os.write(int(os.environ['UWSGI_EMPEROR_FD']), bytes([26]))\n"
        "os.execvp('sleep', ['sleep', '1000'])\n"
    )
    missed = program(sys.executable, "-S", str(script))
    (daemon.vassals / "b.ini").write_text(missed)
    daemon.event("heartbeat_lost", "b.ini", count=2)
    assert "heartbeat_lost" not in daemon.kinds("a.ini")
    assert daemon.pid_of("a.ini") == pid
    assert processes.alive(pid)
    daemon.stop()


# Files that changed meanwhile


@pytest.mark.few(1)
@pytest.mark.parametrize("alive", [True, False], ids=["it lives", "it died"])
def test_a_config_that_changed_while_the_daemon_was_away(daemon: Daemon, alive: bool) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(SLEEPER)
    daemon.start()
    pid = running(daemon, "a.ini")["a.ini"]
    daemon.kill()
    if not alive:
        processes.kill(pid)
        daemon.until(lambda: not processes.alive(pid), "it has died")
    seq = daemon.last_seq()
    config.write_text(program("sleep", "2000"))
    daemon.start()
    spawned = daemon.event("spawned", "a.ini", after=seq)
    daemon.phase("a.ini", "ready")
    assert daemon.until(
        lambda: processes.argv_of(spawned.body["pid"]) == ["sleep", "2000"], "the new one runs"
    )
    assert daemon.running() == [spawned.body["pid"]]
    daemon.stop()
    assert daemon.kinds(after=seq).count("spawned") == 1
    verified(daemon)


@pytest.mark.parametrize("alive", [True, False], ids=["it lives", "it died"])
def test_a_config_that_vanished_while_the_daemon_was_away(daemon: Daemon, alive: bool) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(SLEEPER)
    daemon.start()
    pid = running(daemon, "a.ini")["a.ini"]
    daemon.kill()
    if not alive:
        processes.kill(pid)
    config.unlink()
    seq = daemon.last_seq()
    daemon.start()
    daemon.gone("a.ini")
    assert daemon.running() == []
    assert "spawned" not in daemon.kinds(after=seq)
    daemon.stop()


@pytest.mark.slow
def test_a_stopped_daemon_starts_with_what_there_is_now(daemon: Daemon) -> None:
    for name in ("kept.ini", "changed.ini", "gone.ini"):
        (daemon.vassals / name).write_text(SLEEPER)
    daemon.start()
    running(daemon, "kept.ini", "changed.ini", "gone.ini")
    daemon.stop()
    (daemon.vassals / "changed.ini").write_text(program("sleep", "2000"))
    (daemon.vassals / "gone.ini").unlink()
    (daemon.vassals / "new.ini").write_text(SLEEPER)
    seq = daemon.last_seq()
    daemon.start()
    running(daemon, "kept.ini", "changed.ini", "new.ini")
    assert sorted(e.vassal or "" for e in daemon.events("spawned", after=seq)) == [
        "changed.ini",
        "kept.ini",
        "new.ini",
    ]
    assert daemon.kinds("gone.ini", after=seq) == ["vassal_removed"]
    daemon.stop()


def test_a_source_that_is_no_longer_named(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    daemon = make_daemon(monitors=[tmp_path / "vassals", other])
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    (other / "b.ini").write_text(SLEEPER)
    daemon.start()
    pids = running(daemon, "a.ini", "b.ini")
    daemon.kill()
    daemon.monitors = [daemon.vassals]
    daemon.start()
    daemon.gone("b.ini")
    assert daemon.running() == [pids["a.ini"]]
    daemon.stop()


def test_a_source_that_is_away_at_the_start_ends_nobody(daemon: Daemon) -> None:
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    daemon.start()
    pid = running(daemon, "a.ini")["a.ini"]
    daemon.kill()
    away = daemon.vassals.rename(daemon.folder / "away")
    daemon.start()
    daemon.event("monitor_failed")
    assert daemon.running() == [pid]
    away.rename(daemon.vassals)
    daemon.event("monitor_recovered")
    assert daemon.running() == [pid]
    daemon.stop()


def test_a_pause_goes_on_where_it_was(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--throttle", "1500", "--max-throttle", "1500")
    (daemon.vassals / "a.ini").write_text(shell("exit 1"))
    daemon.start()
    death = daemon.event("exited", "a.ini")
    daemon.kill()
    daemon.start()
    again = daemon.event("spawned", "a.ini", count=2)
    assert again.at - death.at >= 1_500_000_000
    daemon.stop()


# Between an order and its record


@contextmanager
def started(*argv: str, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that some daemon had started, or nobody we know; ended with the test."""
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


def test_a_process_that_was_never_recorded_is_found(daemon: Daemon) -> None:
    crafted = Crafted(daemon)
    with started(**crafted.environ) as child:
        daemon.start()
        adopted = daemon.event("adopted", "a.ini")
        assert adopted.body["pid"] == child.pid
        assert adopted.cause == crafted.order
        assert daemon.running() == [child.pid]
        assert "spawned" not in daemon.kinds()
        daemon.stop()
        assert child.wait(PATIENCE) == -signal.SIGTERM
    verified(daemon)


def test_an_order_that_was_never_carried_out_is(daemon: Daemon) -> None:
    crafted = Crafted(daemon)
    daemon.start()
    failed = daemon.event("spawn_failed", "a.ini")
    assert (failed.body["fault"], failed.body["attempt"]) == ("interrupted", crafted.attempt)
    daemon.event("spawned", "a.ini")
    daemon.phase("a.ini", "ready")
    assert len(daemon.running()) == 1
    daemon.stop()
    verified(daemon)


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
    brand = procfs.brand(crafted.environ[MARK])
    with started("prlimit", f"--rttime={brand}:", "env", "-i", "sleep", "1000") as child:
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
    """Without a free descriptor nobody knows whether it lives; taken for dead, it runs twice."""
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
    """Pid and start time may be anybody's, then. A vassal that an operator stopped stays down."""
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


# Orders that may not have arrived


def test_a_stop_that_may_not_have_arrived_is_given_again(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--mercy", "0.5")
    deaf = daemon.vassals / "a.ini"
    deaf.write_text(shell("trap '' TERM; echo >up; while :; do sleep 1000; done"))
    daemon.start()
    daemon.until((daemon.vassals / "up").exists, "it is up")
    deaf.unlink()
    daemon.phase("a.ini", "stopping")
    daemon.kill()
    daemon.start()
    adopted = daemon.event("adopted", "a.ini")
    assert [action["do"] for action in adopted.actions] == ["stop"]
    daemon.gone("a.ini")
    assert daemon.running() == []
    daemon.stop()
    verified(daemon)


def test_a_reload_that_was_never_carried_out_is(daemon: Daemon) -> None:
    """Also to a program, of which nobody will ever hear that it has reloaded."""
    crafted = Crafted(daemon)
    with started(**crafted.environ) as child:
        seq = crafted.change(child.pid)
        daemon.start()
        adopted = daemon.event("adopted", "a.ini")
        assert [action["do"] for action in adopted.actions] == ["reload"]
        assert adopted.cause == seq
        # It knows no reload, and dies of it.
        assert child.wait(PATIENCE) == -signal.SIGHUP
        daemon.event("spawned", "a.ini", after=adopted.seq)
        daemon.stop()
    verified(daemon)


def test_a_reload_that_was_carried_out_is_not_given_again(daemon: Daemon) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(SLEEPER + "reload-signal = CONT\n")
    daemon.start()
    daemon.phase("a.ini", "ready")
    os.utime(config, ns=(0, 1))
    daemon.event("deadline_passed", "a.ini")
    daemon.kill()
    daemon.start()
    assert daemon.event("adopted", "a.ini").actions == []
    daemon.stop()
    verified(daemon)


@pytest.mark.few("2")
@pytest.mark.parametrize("count", range(5))
def test_killed_while_it_starts_vassals(make_daemon: MakeDaemon, count: int) -> None:
    """After ``count`` of twenty spawns were recorded: in the end each runs, once."""
    daemon = make_daemon("--max-starting", "20", speakers=True)
    names = [f"{number:02}.ini" for number in range(20)]
    for name in names:
        (daemon.vassals / name).write_text(SLEEPER if int(name[:2]) % 2 else HEALTHY)
    daemon.launch()
    daemon.until(lambda: daemon.kinds().count("spawned") >= count * 4, "some are up")
    daemon.kill()
    daemon.start()
    for name in names:
        daemon.phase(name, "ready" if int(name[:2]) % 2 else "accepting")
    daemon.until(lambda: len(daemon.running()) == 20, "each runs once")
    assert {name: daemon.running_for(name) for name in names} == {
        name: [daemon.pid_of(name)] for name in names
    }
    daemon.stop()
    verified(daemon)


# Starting and stopping at the same time


@pytest.mark.few("daemon_started-15", "vassal_added-2", "daemon_ready-3", "spawned-15")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
@pytest.mark.parametrize("moment", ["daemon_started", "vassal_added", "daemon_ready", "spawned"])
def test_told_to_stop_while_it_starts(
    make_daemon: MakeDaemon, moment: str, number: signal.Signals
) -> None:
    daemon = make_daemon("--max-starting", "2")
    for index in range(10):
        (daemon.vassals / f"{index}.ini").write_text(SLEEPER)
    daemon.launch()
    daemon.event(moment)
    daemon.stop(number)
    assert daemon.kinds()[-1] == "daemon_stopped"
    assert "daemon_stopping" in daemon.kinds()


def test_told_to_stop_while_it_recovers(daemon: Daemon) -> None:
    """Vassals that a former daemon left are stopped, too."""
    for index in range(5):
        (daemon.vassals / f"{index}.ini").write_text(SLEEPER)
    daemon.start()
    running(daemon, *(f"{index}.ini" for index in range(5)))
    daemon.kill()
    seq = daemon.last_seq()
    daemon.launch()
    daemon.event("daemon_started", after=seq)
    daemon.stop()


def test_orphans_that_nobody_reaps_are_gone_all_the_same(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    """In many a container process 1 reaps nobody: zombies of adopted vassals stay for ever."""
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


def test_a_directory_that_comes_late_bars_nothing(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    """As on a disk that is mounted after the emperor has started."""
    daemon = make_daemon()
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    daemon.start()
    pid = running(daemon, "a.ini")["a.ini"]
    daemon.kill()
    processes.kill(pid)
    away = daemon.vassals.rename(tmp_path / "away")
    daemon.start()
    failed = daemon.event("spawn_failed", "a.ini")
    assert failed.body["reason"].startswith("cannot start it now: ")
    away.rename(daemon.vassals)
    daemon.phase("a.ini", "ready")
    daemon.stop()


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

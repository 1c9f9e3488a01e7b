"""Vassals that are any program: how they are run, told, stopped, and what becomes of them."""

import os
import re
import signal
from functools import partial
from pathlib import Path

import pytest
from support import processes
from support.daemon import Daemon
from support.vassals import SLEEPER, program, shell
from support.waiting import NeverHappened

from ..conftest import MakeDaemon

# Notes each signal it gets in "got", says that it is up in "up", and stops at INT.
TALKER = (
    "trap 'echo USR1 >>got' USR1; trap 'echo HUP >>got' HUP; trap 'echo INT >>got; exit 0' INT;"
    " echo $$ >>up; while :; do sleep 1000 & wait; done"
)
# Cannot be asked to stop, nor can its child, which stays in its process group.
DEAF = "trap '' TERM HUP INT QUIT; sleep 1000 & echo $! >>up; while :; do wait; done"


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def told(path: Path, expected: list[str]) -> bool:
    return lines(path) == expected


def begun(pid: int, program: str) -> bool:
    """Whether the process has come to run this program, loaded, and not what starts it."""
    return processes.argv_of(pid)[:1] == [program] and processes.sleeps(pid)


def up(daemon: Daemon, count: int = 1) -> None:
    path = daemon.vassals / "up"
    daemon.until(lambda: len(lines(path)) == count, "it is up")


def test_signals_of_its_own(daemon: Daemon) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(shell(TALKER, reload_signal="USR1", stop_signal="int"))
    got = daemon.vassals / "got"
    daemon.start()
    up(daemon)
    for expected in (["USR1"], ["USR1", "USR1"]):
        os.utime(config, ns=(0, len(expected)))
        daemon.until(partial(told, got, expected), "it is told to reload")
    config.unlink()
    death = daemon.event("exited", "a.ini")
    assert lines(got) == ["USR1", "USR1", "INT"]
    assert death.body["code"] == 0
    assert daemon.running() == []  # its sleeping children, too
    daemon.stop()


def test_signals_by_default(daemon: Daemon) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(shell(TALKER))
    daemon.start()
    up(daemon)
    os.utime(config, ns=(0, 1))
    daemon.until(lambda: lines(daemon.vassals / "got") == ["HUP"], "it is told to reload")
    config.unlink()
    assert daemon.event("exited", "a.ini").body["signal"] == signal.SIGTERM
    daemon.stop()


def test_a_real_time_signal(daemon: Daemon) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(program("sleep", "1000", stop_signal="40"))
    daemon.start()
    daemon.phase("a.ini", "ready")
    config.unlink()
    assert daemon.event("exited", "a.ini").body["signal"] == 40
    daemon.stop()


def test_new_signals_count_from_the_edit_on(daemon: Daemon) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(shell(TALKER, reload_signal="USR1"))
    daemon.start()
    up(daemon)
    config.write_text(shell(TALKER, reload_signal="HUP", stop_signal="INT"))
    daemon.event("vassal_changed", "a.ini")
    daemon.until(lambda: lines(daemon.vassals / "got"), "it is told to reload")
    config.unlink()
    assert daemon.event("exited", "a.ini").body["code"] == 0
    assert lines(daemon.vassals / "got")[-1] == "INT"
    daemon.stop()


def test_another_command_is_another_process(daemon: Daemon) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(SLEEPER)
    daemon.start()
    first = daemon.phase("a.ini", "ready").pid
    config.write_text(program("sleep", "2000"))
    daemon.event("spawned", "a.ini", count=2)
    second = daemon.phase("a.ini", "ready").pid
    assert second is not None
    assert second != first
    pid = second
    daemon.until(lambda: processes.argv_of(pid) == ["sleep", "2000"], "the program is executed")
    assert daemon.running() == [second]
    daemon.stop()


def test_who_is_deaf_is_killed_after_mercy_with_its_group(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--mercy", "0.3")
    config = daemon.vassals / "a.ini"
    config.write_text(shell(DEAF))
    daemon.start()
    up(daemon)
    assert len(daemon.running_for("a.ini")) == 2
    config.unlink()
    stop = daemon.event("vassal_removed", "a.ini")
    mercy = daemon.event("deadline_passed", "a.ini")
    death = daemon.event("exited", "a.ini")
    assert mercy.at - stop.at >= 300_000_000
    assert [action["do"] for action in mercy.actions] == ["kill"]
    assert death.body["signal"] == signal.SIGKILL
    assert daemon.running() == []
    daemon.stop()


@pytest.mark.few(1)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_stops_on(daemon: Daemon, number: signal.Signals) -> None:
    for name in ("a.ini", "b.ini", "c.ini"):
        (daemon.vassals / name).write_text(SLEEPER)
    daemon.start()
    daemon.until(lambda: len(daemon.events("spawned")) == 3, "all are up")
    daemon.stop(number)
    assert daemon.kinds()[-1] == "daemon_stopped"
    assert daemon.events("daemon_stopping")[0].body["reason"] == number.name


def test_asked_twice_it_waits_for_nobody(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--mercy", "1000")
    for name in ("a.ini", "b.ini"):
        (daemon.vassals / name).write_text(shell(DEAF))
    daemon.start()
    up(daemon, 2)
    daemon.send(signal.SIGTERM)
    stopping = daemon.event("daemon_stopping")

    # A second signal at once is the same request: timeout(1) asks a process, and then its group.
    assert daemon.insist() == 0, daemon.account()
    assert daemon.running() == []
    kills = [(e.at, a["vassal"]) for e in daemon.events() for a in e.actions if a["do"] == "kill"]
    assert {vassal for _, vassal in kills} == {"a.ini", "b.ini"}
    assert all(at - stopping.at > 900_000_000 for at, _ in kills)


def test_asked_again_and_again(daemon: Daemon) -> None:
    for number in range(8):
        (daemon.vassals / f"{number}.ini").write_text(SLEEPER)
    daemon.start()
    daemon.until(lambda: len(daemon.events("spawned")) == 8, "all are up")
    for _ in range(50):
        processes.kill(daemon.pid, signal.SIGTERM)
    assert daemon.wait() == 0, daemon.account()
    assert daemon.running() == []
    assert daemon.kinds().count("daemon_stopping") == 1


# Programs that cannot be run

BARRED = [
    pytest.param("/nowhere/program", "/nowhere/program: No such file", id="missing"),
    pytest.param("no-such-program-anywhere", "No such file", id="not on PATH"),
    pytest.param("./data", "./data: Permission denied", id="not executable"),
    pytest.param(".", "cannot be executed: .", id="a directory"),
    pytest.param("./script", "./script: No such file", id="interpreter missing"),
]
# Where the daemon may raise its limit of open files, vassals are run another way.
LIMITS = [
    pytest.param(["prlimit", "--nofile=4096:4096"], id="limit is the most"),
    pytest.param(["prlimit", "--nofile=1024:4096"], id="limit is raised"),
]


@pytest.mark.few(4)
@pytest.mark.parametrize(("command", "reason"), BARRED)
@pytest.mark.parametrize("before", LIMITS)
def test_barred(make_daemon: MakeDaemon, before: list[str], command: str, reason: str) -> None:
    daemon = make_daemon(before=before)
    (daemon.vassals / "data").write_text("no program")
    script = daemon.vassals / "script"
    script.write_text("#!/nowhere/interpreter\n")
    script.chmod(0o755)
    config = daemon.vassals / "a.ini"
    config.write_text(program(command))
    daemon.start()
    vassal = daemon.phase("a.ini", "barred")
    assert vassal.reason is not None
    assert reason in vassal.reason
    config.write_text(SLEEPER)
    daemon.phase("a.ini", "ready")
    daemon.stop()


@pytest.mark.parametrize("before", LIMITS)
def test_a_program_beside_its_config(make_daemon: MakeDaemon, before: list[str]) -> None:
    daemon = make_daemon(before=before)
    script = daemon.vassals / "run"
    script.write_text("#!/bin/sh\npwd\nulimit -Sn\nulimit -Hn\nexec sleep 1000\n")
    script.chmod(0o755)
    (daemon.vassals / "a.ini").write_text(program("./run"))
    daemon.start()
    daemon.until(lambda: len(daemon.vassal_log("a.ini").splitlines()) == 3, "it tells its limits")
    soft, hard = re.findall(r"\d+", before[1])
    assert daemon.vassal_log("a.ini").splitlines() == [str(daemon.vassals), soft, hard]
    daemon.stop()


def test_missing_uwsgi(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--uwsgi", "/nowhere/uwsgi")
    (daemon.vassals / "a.ini").write_text("[uwsgi]\n")
    (daemon.vassals / "b.ini").write_text(SLEEPER)
    daemon.start()
    reason = daemon.phase("a.ini", "barred").reason
    assert reason is not None
    assert "/nowhere/uwsgi" in reason
    daemon.phase("b.ini", "ready")  # which needs none
    daemon.stop()


def test_exit_code_26_bars_until_a_change(daemon: Daemon) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(shell("exit 26"))
    daemon.start()
    daemon.phase("a.ini", "barred")
    daemon.send(signal.SIGURG)  # an operator's retry forgives
    daemon.event("exited", "a.ini", count=2)
    daemon.phase("a.ini", "barred")
    config.write_text(SLEEPER)
    daemon.phase("a.ini", "ready")
    daemon.stop()


def test_a_death_tells_its_code_and_last_words(daemon: Daemon) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(shell("echo out; echo err >&2; exit 7"))
    daemon.start()
    first = daemon.event("exited", "a.ini")
    assert (first.body["code"], first.body["log"]) == (7, "out\nerr")
    assert first.body.get("signal") is None
    config.write_text(shell("kill -SEGV $$"))
    death = daemon.event("exited", "a.ini", signal=int(signal.SIGSEGV))
    assert "log" not in death.body  # another attempt's lines are not this one's
    daemon.stop()


def test_pauses_double_up_to_the_most(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--throttle", "50", "--max-throttle", "200")
    (daemon.vassals / "a.ini").write_text(shell("exit 1"))
    daemon.start()
    daemon.event("exited", "a.ini", count=6)
    deaths, spawned = daemon.events("exited", "a.ini"), daemon.events("spawned", "a.ini")
    waited = [(b.at - a.at) / 1e6 for a, b in zip(deaths, spawned[1:], strict=False)][:5]
    for pause, least in zip(waited, (50, 100, 200, 200, 200), strict=True):
        assert pause >= least
    daemon.stop()


def test_an_operators_signal_ends_pauses(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--throttle", "1000000", "--max-throttle", "1000000")
    for name in ("a.ini", "b.ini"):
        (daemon.vassals / name).write_text(shell("exit 1"))
    daemon.start()
    for count in (1, 2, 3):
        daemon.event("exited", "a.ini", count=count)
        daemon.event("exited", "b.ini", count=count)
        daemon.phase("a.ini", "throttled")
        daemon.send(signal.SIGURG)
    daemon.event("exited", "a.ini", count=4)
    assert daemon.phase("a.ini", "throttled").deaths == 1
    daemon.stop()


# The directory of a program


def test_its_descriptors(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    names = [f"{letter}.ini" for letter in "abcdef"]
    for name in names:
        (daemon.vassals / name).write_text(SLEEPER)
    daemon.start()
    daemon.until(lambda: len(daemon.events("spawned")) == len(names), "all are up")
    for name in names:
        pid = daemon.pid_of(name)
        daemon.until(partial(begun, pid, "sleep"), "it has begun")
        control = int(processes.environment_of(pid)["UWSGI_EMPEROR_FD"])
        links = {int(fd.name): os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()}
        assert set(links) == {0, 1, 2, control}
        assert links[0] == "/dev/null"
        assert links[1] == links[2] == str(daemon.logs / f"{name}.log")
        assert links[control].startswith("socket:")
        assert os.getsid(pid) == os.getpgid(pid) == pid
    daemon.stop()


def test_nothing_of_who_started_the_daemon_gets_through(make_daemon: MakeDaemon) -> None:
    leaky = 'exec 7</etc/passwd 9</etc/group; exec "$0" "$@"'
    daemon = make_daemon(before=["sh", "-c", leaky])
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    daemon.start()
    pid = daemon.phase("a.ini", "ready").pid
    opened = {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()}
    assert not opened & {"/etc/passwd", "/etc/group"}
    daemon.stop()


def test_signals_that_the_daemon_ignores_or_blocks_do_not_get_through(
    make_daemon: MakeDaemon,
) -> None:
    daemon = make_daemon()
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    daemon.start()
    pid = daemon.phase("a.ini", "ready").pid
    daemon.until(partial(begun, pid or 0, "sleep"), "it has begun")
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    assert int(status["SigBlk"], 16) == 0
    assert int(status["SigIgn"], 16) == 0
    daemon.stop()


# Where it writes


def test_its_own_log(daemon: Daemon) -> None:
    (daemon.vassals / "a.ini").write_text(shell("echo to stdout; echo to stderr >&2; exec sleep 9"))
    daemon.start()
    daemon.until(lambda: daemon.vassal_log("a.ini") == "to stdout\nto stderr\n", "it has written")
    assert "to stdout" not in daemon.log()
    daemon.stop()


def test_a_log_directory(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    daemon = make_daemon("--log-directory", str(tmp_path / "elsewhere"))
    (daemon.vassals / "a.ini").write_text(shell("echo hello; exec sleep 1000"))
    daemon.start()
    log = tmp_path / "elsewhere" / "a.ini.log"
    daemon.until(lambda: lines(log) == ["hello"], "it has written")
    daemon.stop()


def test_the_daemons_own_log(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--log", "inherit")
    (daemon.vassals / "a.ini").write_text(shell("echo hello; exec sleep 1000"))
    daemon.start()
    daemon.until(lambda: "\nhello\n" in daemon.log(), "it has written")
    assert not daemon.logs.exists()
    daemon.stop()


def test_a_log_is_cut(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--log-size", "4K", "--log-keep", "2")
    flood = "while :; do echo 0123456789012345678901234567890123456789; sleep 0.001; done"
    (daemon.vassals / "a.ini").write_text(shell(flood))
    daemon.start()
    log = daemon.logs / "a.ini.log"
    older = daemon.logs / "a.ini.log.1"
    daemon.until(older.exists, "the log is cut")
    daemon.until(lambda: 0 < log.stat().st_size < older.stat().st_size, "it goes on being written")
    assert older.stat().st_size > 4096
    daemon.until((daemon.logs / "a.ini.log.2").exists, "it is cut again")
    daemon.stop()


# Two places, one name


def test_the_same_file_name_in_two_directories(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    first, second = tmp_path / "vassals", tmp_path / "second"
    second.mkdir()
    daemon = make_daemon(monitors=[first, second])
    (first / "a.ini").write_text(SLEEPER)
    daemon.start()
    pid = daemon.phase("a.ini", "ready").pid
    (second / "a.ini").write_text(program("sleep", "2000"))
    rejected = daemon.event("observation_rejected", monitor=None)
    assert rejected.monitor == f"dir://{second}"
    assert f"dir://{first}" in rejected.body["reason"]
    assert daemon.pid_of("a.ini") == pid
    # The first lets go: the second's comes, with its text in the record.
    (first / "a.ini").unlink()
    daemon.event("spawned", "a.ini", count=2)
    vassal = daemon.phase("a.ini", "ready")
    assert vassal.monitor == f"dir://{second}"
    daemon.until(partial(begun, vassal.pid or 0, "sleep"), "it has begun")
    assert processes.argv_of(vassal.pid or 0) == ["sleep", "2000"]
    assert daemon.config_text(vassal.spec.config) == program("sleep", "2000").encode()
    assert len(daemon.running()) == 1
    daemon.stop()


@pytest.mark.slow
def test_many_files_removed_at_once(daemon: Daemon) -> None:
    """Most of a directory, deleted on purpose, is gone in the end, whoever doubts it first."""
    names = [f"{number}.ini" for number in range(8)]
    for name in names:
        (daemon.vassals / name).write_text(SLEEPER)
    daemon.start()
    daemon.until(lambda: len(daemon.events("spawned")) == 8, "all are up")
    for name in names[1:]:
        (daemon.vassals / name).unlink()
    daemon.until(lambda: list(daemon.fleet().vassals) == names[:1], "they are gone")
    assert len(daemon.running()) == 1
    daemon.stop()


def test_a_directory_that_goes_away_stops_nobody(daemon: Daemon) -> None:
    for number in range(3):
        (daemon.vassals / f"{number}.ini").write_text(SLEEPER)
    daemon.start()
    daemon.until(lambda: len(daemon.events("spawned")) == 3, "all are up")
    away = daemon.vassals.rename(daemon.folder / "away")
    daemon.event("monitor_failed")
    assert len(daemon.running()) == 3
    away.rename(daemon.vassals)
    daemon.event("monitor_recovered")
    (daemon.vassals / "new.ini").write_text(SLEEPER)
    daemon.phase("new.ini", "ready")
    assert daemon.kinds().count("spawned") == 4
    daemon.stop()


# Seen from outside


def test_usr1_logs_the_fleet(daemon: Daemon) -> None:
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    (daemon.vassals / "b.ini").write_text(program("/nowhere/program"))
    daemon.start()
    pid = daemon.phase("a.ini", "ready").pid
    daemon.phase("b.ini", "barred")
    before = len(daemon.log())
    daemon.send(signal.SIGUSR1)
    daemon.until(lambda: "b.ini: barred" in daemon.log()[before:], "the fleet is logged")
    said = daemon.log()[before:]
    assert "2 vassals: 1 barred, 1 ready" in said
    assert f"a.ini: ready, pid {pid}" in said
    assert "/nowhere/program" in said
    assert daemon.kinds()[-1] != "operator_requested"
    daemon.stop()


def test_an_idle_daemon_writes_nothing(make_daemon: MakeDaemon) -> None:
    """However often it looks: what is known costs no event."""
    daemon = make_daemon("--freq", "0.02")
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    (daemon.vassals / "bad\x01.ini").write_text("")
    daemon.start()
    daemon.phase("a.ini", "ready")
    daemon.event("observation_rejected")
    seq = daemon.last_seq()
    with pytest.raises(NeverHappened):
        daemon.until(lambda: daemon.last_seq() > seq, "something is journaled", patience=1.5)
    daemon.stop()


@pytest.mark.slow
def test_no_name_upsets_the_log(daemon: Daemon) -> None:
    """A name may hold what turns a line around or breaks it; the log shows it escaped."""
    names = ("a\u202eini.ini", "b\u2028c.ini", "d\u200b.ini")
    for name in names:
        (daemon.vassals / name).write_text(SLEEPER)
    daemon.start()
    for name in names:
        daemon.phase(name, "ready")
    daemon.send(signal.SIGUSR1)
    daemon.until(lambda: "3 vassals: 3 ready" in daemon.log(), "it logs the fleet")
    daemon.stop()
    log = daemon.log()
    for shown in ("a\\u202eini.ini: added", "b\\u2028c.ini: ready, pid", "d\\u200b.ini: exited"):
        assert shown in log
    assert log.replace("\n", "").isprintable()


def test_a_program_that_dies_of_its_reload_is_restarted_and_not_punished(daemon: Daemon) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(SLEEPER)
    daemon.start()
    daemon.phase("a.ini", "ready")
    os.utime(config, ns=(0, 1))
    ended = daemon.event("exited", "a.ini")
    assert (ended.body["signal"], ended.body["reload"]) == (signal.SIGHUP, True)
    assert [action["do"] for action in ended.actions] == ["spawn"]
    daemon.event("spawned", "a.ini", count=2)
    # From now on it is known: a reload is a restart.
    os.utime(config, ns=(0, 2))
    change = daemon.event("vassal_changed", "a.ini", count=2)
    assert [action["do"] for action in change.actions] == ["stop"]
    daemon.event("spawned", "a.ini", count=3)
    vassal = daemon.phase("a.ini", "ready")
    assert vassal.deaths == 0
    daemon.stop()


def test_deaths_are_forgotten_after_a_quiet_time(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--forgive", "0.3")
    config = daemon.vassals / "a.ini"
    config.write_text(shell("test -e died || { touch died; exit 1; }; exec sleep 1000"))
    daemon.start()
    assert daemon.event("exited", "a.ini").actions == []  # it waits for its throttle
    daemon.event("deadline_passed", "a.ini", count=2)
    assert daemon.phase("a.ini", "ready").deaths == 0
    daemon.stop()


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("restart", "code", "phase"),
    [
        pytest.param("no", 0, "barred", id="no, success"),
        pytest.param("no", 1, "barred", id="no, failure"),
        pytest.param("on-failure", 0, "barred", id="on-failure, success"),
        pytest.param("on-failure", 1, "throttled", id="on-failure, failure"),
        pytest.param("always", 1, "throttled", id="always, failure"),
    ],
)
def test_restart(make_daemon: MakeDaemon, restart: str, code: int, phase: str) -> None:
    daemon = make_daemon("--throttle", "60000")
    config = daemon.vassals / "a.ini"
    config.write_text(shell(f"exit {code}", restart=restart))
    daemon.start()
    vassal = daemon.phase("a.ini", phase)
    if phase == "barred":
        assert vassal.reason == f"exit code {code}, and restart = {restart}"
        config.write_text(shell("exec sleep 1000", restart=restart))
        daemon.phase("a.ini", "ready")  # a change starts it again
    daemon.stop()


def test_a_worker_that_ends_well_is_started_again_at_once(daemon: Daemon) -> None:
    (daemon.vassals / "a.ini").write_text(shell("sleep 0.3"))
    daemon.start()
    ended = daemon.event("exited", "a.ini", count=2)
    assert [action["do"] for action in ended.actions] == ["spawn"]
    vassal = daemon.vassal("a.ini")
    assert vassal is not None
    assert vassal.deaths == 0
    daemon.stop()

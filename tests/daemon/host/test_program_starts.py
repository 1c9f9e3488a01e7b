"""How a program starts: which commands are barred, and what it inherits of the daemon."""

import os
import re
from functools import partial
from pathlib import Path

import pytest
from support import processes
from support.descriptors import descriptors, holds
from support.programs import begun
from support.vassals import SLEEPER, program

from ..conftest import MakeDaemon

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
        # The loader of the program may still have a library open.
        daemon.until(partial(holds, pid, {0, 1, 2, control}), "it has these descriptors alone")
        links = dict(descriptors(pid))
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
    opened = {target for _, target in descriptors(pid)}
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

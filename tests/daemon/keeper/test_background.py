"""``--log-file`` and ``--daemonize``: the log, the terminal, and the exit code of the start."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from support import processes
from support.asking import asked
from support.kept import Emperor
from support.vassals import SLEEPER
from support.waiting import until

from ..conftest import MakeEmperor

pytestmark = pytest.mark.usefixtures("cold")


def started(emperor: Emperor) -> subprocess.CompletedProcess[str]:
    """The command as a user types it. It returns when the daemon runs in the background."""
    return subprocess.run(
        emperor.argv,
        env={**emperor.environ, "PYTHONWARNINGS": "error"},
        cwd=emperor.folder,
        capture_output=True,  # to the end: no process may hold the pipes
        text=True,
        timeout=60,
        check=False,
    )


def test_the_start_returns_when_the_daemon_is_in_charge(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    log, file = tmp_path / "emperor.log", tmp_path / "emperor.pid"
    emperor = make_emperor("--daemonize", str(log), "--pidfile", str(file))
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    done = started(emperor)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    keeper = int(file.read_text())
    pid = emperor.pid_of("a.ini")
    assert os.getsid(keeper) == keeper
    for number in (0, 1, 2):
        at = os.readlink(f"/proc/{keeper}/fd/{number}")
        assert at == (str(log) if number else os.devnull)
    until(lambda: "a.ini: spawned" in log.read_text(), "the log has the daemon's lines")
    assert log.stat().st_mode & 0o007 == 0

    # It is as any other emperor from there on: no vassal notices the daemon's death.
    after = emperor.last_seq()
    emperor.kill_daemon()
    emperor.event("daemon_ready", after=after)
    assert emperor.pid_of("a.ini") == pid
    assert "vassals run on" in log.read_text()

    # Keeper and daemon go on in a new file.
    log.rename(tmp_path / "old.log")
    os.kill(keeper, signal.SIGUSR1)
    until(lambda: log.exists() and "this is the new one" in log.read_text(), "a new log")
    until(lambda: os.readlink(f"/proc/{keeper}/fd/2") == str(log), "the keeper has it as well")

    # A request does the same.
    log.rename(tmp_path / "older.log")
    asked(emperor, "reopen")
    until(lambda: os.readlink(f"/proc/{keeper}/fd/2") == str(log), "the keeper has a new log")

    os.kill(keeper, signal.SIGTERM)
    until(lambda: not processes.alive(keeper), "the keeper is gone")
    assert log.read_text().rstrip().endswith("stopped")
    assert not file.exists()


def test_an_upgrade_stays_in_the_background(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    log, file = tmp_path / "emperor.log", tmp_path / "emperor.pid"
    emperor = make_emperor("--daemonize", str(log), "--pidfile", str(file))
    assert started(emperor).returncode == 0
    keeper = int(file.read_text())
    after = emperor.last_seq()
    os.kill(keeper, signal.SIGUSR2)
    emperor.event("daemon_ready", after=after)
    assert int(file.read_text()) == keeper
    os.kill(keeper, signal.SIGTERM)
    until(lambda: not processes.alive(keeper), "the keeper is gone")


@pytest.mark.parametrize("option", ["--daemonize", "--log-file"])
def test_a_start_that_fails_says_why_where_it_was_started(
    option: str, make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    log = tmp_path / "emperor.log"
    emperor = make_emperor(option, str(log))
    emperor.state.mkdir()
    emperor.journal.mkdir()
    done = started(emperor)
    assert done.returncode == 3
    assert str(emperor.journal) in done.stderr
    assert done.stderr.strip() in log.read_text()


@pytest.mark.parametrize("option", ["--daemonize", "--log-file"])
def test_a_log_that_cannot_be_had_ends_the_start(
    option: str, make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to("target")
    for path in (tmp_path / "link", tmp_path / "none" / "x.log"):
        emperor = make_emperor(option, str(path))
        done = started(emperor)
        assert done.returncode == 3
        assert str(path) in done.stderr
        emperor.options.append("--check")
        checked = started(emperor)
        assert checked.returncode == 1
        assert f"the log cannot be {path}" in checked.stdout
    assert not (tmp_path / "target").exists()


def test_a_wrong_option_is_told_where_it_was_typed(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    done = started(make_emperor("--daemonize", str(tmp_path / "x.log"), "--freq", "often"))
    assert done.returncode == 2
    assert "--freq" in done.stderr
    assert not (tmp_path / "x.log").exists()


def test_a_unit_of_systemd_stays_in_the_foreground(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    log = tmp_path / "emperor.log"
    emperor = make_emperor(
        "--daemonize", str(log), environ={"NOTIFY_SOCKET": str(tmp_path / "none")}
    )
    emperor.start()
    assert processes.alive(emperor.pid)
    until(lambda: "ready" in log.read_text(), "the log has the daemon's lines")
    emperor.stop()


def test_a_log_at_standard_output_stays_there(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor("--log-file", "/dev/stdout").start()
    emperor.until(lambda: "ready" in emperor.log(), "the output has the daemon's lines")
    emperor.stop()

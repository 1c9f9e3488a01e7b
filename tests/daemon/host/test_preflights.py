"""Preflights under a real daemon: a change that fails its check leaves everything as it was."""

import contextlib
import os
import signal
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest
from support import processes
from support.asking import asked
from support.daemon import Daemon
from support.hostile_descendants import ask
from support.kept import Emperor
from support.vassals import Application, shell

from ..conftest import MakeDaemon, MakeEmperor

SLEEP = "exec sleep 1000"


def config(check: str, **settings: str) -> str:
    """The config of a vassal that sleeps, with this script as its preflight."""
    return shell(SLEEP, preflight=f"sh -c '{check}'", **settings)


def copies(daemon: Daemon) -> list[Path]:
    """The private copies that exist."""
    folder = daemon.journal.with_name(f"{daemon.journal.name}.configs")
    return sorted(path for path in folder.rglob("*") if path.is_file())


def refusal(daemon: Daemon, count: int = 1) -> dict[str, Any]:
    """The body of the last of so many refusals."""
    return dict(daemon.event("deploy_refused", "a.ini", count=count).body)


def outcomes(daemon: Daemon) -> list[str]:
    """The outcomes of all deploys, as the daemon stored them."""
    with contextlib.closing(sqlite3.connect(daemon.journal)) as journal:
        return [row[0] for row in journal.execute("SELECT outcome FROM deploy ORDER BY seq")]


def test_a_refused_change_leaves_the_old_instance(daemon: Daemon, tmp_path: Path) -> None:
    """The next change is tried again. A crash starts what may run."""
    path = daemon.vassals / "a.ini"
    path.write_text(shell(f"echo old >> {tmp_path}/starts; {SLEEP}"))
    daemon.start()
    daemon.phase("a.ini", "ready")
    pid = daemon.pid_of("a.ini")
    new = f"echo new >> {tmp_path}/starts; {SLEEP}"
    path.write_text(shell(new, preflight="sh -c 'echo one; echo two >&2; exit 3'"))
    said = refusal(daemon)
    assert (said["reason"], said["code"]) == ("its preflight ended with exit code 3", 3)
    assert said["log"] == "one\ntwo"
    vassal = daemon.phase("a.ini", "ready")
    assert (vassal.pid, vassal.refused is not None) == (pid, True)
    assert processes.alive(pid)
    os.kill(pid, signal.SIGKILL)
    daemon.event("spawned", "a.ini", count=2)
    daemon.until(lambda: (tmp_path / "starts").read_text() == "old\nold\n", "the old one starts")
    path.write_text(shell(new, preflight="true"))
    daemon.event("preflight_passed", "a.ini")
    daemon.until(
        lambda: (tmp_path / "starts").read_text() == "old\nold\nnew\n", "the new one starts"
    )
    daemon.until(lambda: outcomes(daemon)[1] == "refused", "the refusal is an outcome")
    assert copies(daemon) == []
    daemon.stop()


def test_it_sees_the_new_config_as_the_vassal_would(daemon: Daemon, tmp_path: Path) -> None:
    """Its copy, directory and variables; only the daemon's user can read the copy."""
    told = tmp_path / "told"
    script = f"pwd > {told}; echo $ZONE >> {told}; stat -c %a $EMPERORD_CONFIG >> {told};"
    script += f" cat $EMPERORD_CONFIG >> {told}"
    settings = {"directory": str(tmp_path), "environment": "ZONE=a"}
    text = config(script, **settings)
    (daemon.vassals / "a.ini").write_text(text)
    daemon.start()
    daemon.phase("a.ini", "ready")
    assert told.read_text() == f"{tmp_path}\na\n400\n{text}"
    daemon.stop()


def test_a_first_start_waits_for_it(daemon: Daemon, tmp_path: Path) -> None:
    path = daemon.vassals / "a.ini"
    path.write_text(config(f"test -e {tmp_path}/well"))
    daemon.start()
    vassal = daemon.phase("a.ini", "barred")
    assert vassal.reason == "its config was refused: its preflight ended with exit code 1"
    assert daemon.events("spawned", "a.ini") == []
    (tmp_path / "well").touch()
    path.touch()
    daemon.phase("a.ini", "ready")
    daemon.stop()


FAULTS = {
    "a program that is not there": ("/nowhere/check", "its preflight cannot be executed"),
    "killed": ("sh -c 'kill -9 $$'", "its preflight was killed by signal 9"),
    "late": ("sleep 1000", "its preflight took longer than 300ms, and was killed"),
}


@pytest.mark.parametrize(("check", "reason"), FAULTS.values(), ids=FAULTS)
def test_what_refuses_a_change(daemon: Daemon, check: str, reason: str) -> None:
    settings = {"preflight": check, "preflight-timeout": "300ms"}
    (daemon.vassals / "a.ini").write_text(shell(SLEEP, **settings))
    daemon.start()
    assert refusal(daemon)["reason"].startswith(reason)
    assert daemon.phase("a.ini", "barred").refused is not None
    daemon.stop()


def test_one_that_hangs_is_killed_with_its_tree(daemon: Daemon, tmp_path: Path) -> None:
    """Also what left its session and its group, and what floods its output."""
    pids = tmp_path / "pids"
    hostile = f"setsid sleep 1000 & echo $! > {pids}; (yes & echo $! >> {pids}); yes flood"
    (daemon.vassals / "a.ini").write_text(config(hostile, preflight_timeout="1s"))
    daemon.start()
    said = refusal(daemon)
    assert "took longer than 1s" in said["reason"]
    assert len(said["log"].splitlines()) == 10
    assert len(said["log"]) < 5000
    left = [int(pid) for pid in pids.read_text().split()]
    assert len(left) == 2
    assert not any(map(processes.alive, left))
    daemon.stop()


def test_the_next_change_ends_the_check_of_the_last(daemon: Daemon, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    path = daemon.vassals / "a.ini"
    path.write_text(config(f"echo $$ > {pid}; exec sleep 1000"))
    daemon.start()
    daemon.until(lambda: pid.exists() and pid.read_text(), "the check runs")
    path.write_text(config("true"))
    daemon.phase("a.ini", "ready")
    assert not processes.alive(int(pid.read_text()))
    assert daemon.events("deploy_refused", "a.ini") == []
    daemon.stop()


@pytest.mark.parametrize("removed", [True, False], ids=["removed", "stopped"])
def test_a_check_ends_with_its_vassal_and_with_the_daemon(
    daemon: Daemon, tmp_path: Path, removed: bool
) -> None:
    pid = tmp_path / "pid"
    path = daemon.vassals / "a.ini"
    path.write_text(config(f"echo $$ > {pid}; exec sleep 1000"))
    daemon.start()
    daemon.until(lambda: pid.exists() and pid.read_text(), "the check runs")
    if removed:
        path.unlink()
        daemon.gone("a.ini")
        daemon.until(lambda: not processes.alive(int(pid.read_text())), "the check is ended")
    daemon.stop()
    assert not processes.alive(int(pid.read_text()))


def test_a_daemon_that_is_killed_midway(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    """The next one ends the check of the one before, and checks again."""
    emperor = make_emperor()
    pids, go = tmp_path / "pids", tmp_path / "go"
    path = emperor.vassals / "a.ini"
    path.write_text(shell(SLEEP))
    emperor.start()
    emperor.phase("a.ini", "ready")
    pid = emperor.pid_of("a.ini")
    path.write_text(config(f"echo $$ >> {pids}; test -e {go} || exec sleep 1000; exit 1"))
    emperor.until(lambda: pids.exists() and pids.read_text(), "the check runs")
    go.touch()
    emperor.restart()
    assert refusal(emperor)["code"] == 1
    first, second = map(int, pids.read_text().split())
    assert not processes.alive(first)
    assert first != second
    assert emperor.phase("a.ini", "ready").pid == pid
    emperor.stop()


def test_uwsgi_runs_the_former_text_from_a_copy(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    """After a crash, a reload by an operator, and a start of the daemon."""
    emperor = make_emperor("--throttle", "50")
    app = Application(tmp_path)
    path = emperor.vassals / "a.ini"
    path.write_text(app.config("old"))
    emperor.start()
    emperor.phase("a.ini", "accepting")
    path.write_text(app.config("new") + "[emperor]\npreflight = false\n")
    refusal(emperor)
    assert says(emperor, app) == "old"
    os.kill(emperor.pid_of("a.ini"), signal.SIGKILL)
    emperor.event("vassal_accepting", "a.ini", count=2)
    assert says(emperor, app) == "old"
    [copy] = copies(emperor)
    assert (copy.name, stat.S_IMODE(copy.stat().st_mode)) == ("a.ini", 0o400)
    emperor.restart()
    assert says(emperor, app) == "old"
    assert copies(emperor) == [copy]
    path.write_text(app.config("new"))
    emperor.until(lambda: (answer := app.answers()) and answer.says == "new", "the new one serves")
    assert emperor.phase("a.ini", "accepting").kept is None
    assert copies(emperor) == []
    emperor.stop()


def says(daemon: Daemon, app: Application) -> str | None:
    """The config that serves."""
    answer = daemon.until(app.answers, "it answers")
    return answer.says


def test_a_text_that_has_no_copy_is_told_before_it_matters(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    """Without a target the process runs on. Once it has ended, it is barred."""
    daemon = make_daemon("--throttle", "50", speakers=True)
    path = daemon.vassals / "a.ini"
    text = "[uwsgi]\nset-placeholder = x=%d\n[emperor]\npreflight = sh -c 'exit $(cat code)'\n"
    (daemon.vassals / "code").write_text("0")
    path.write_text(text)
    daemon.start()
    daemon.event("spawned", "a.ini")
    why = "its text has %d, which means another thing in a copy"
    assert why in daemon.log()
    assert ask(daemon, "list")["vassals"][0]["unkept"].startswith(why)
    (daemon.vassals / "code").write_text("1")
    path.write_text(text + "# another\n")
    refusal(daemon)
    os.kill(daemon.pid_of("a.ini"), signal.SIGKILL)
    assert "its config was refused" in (daemon.phase("a.ini", "barred").reason or "")
    assert len(daemon.events("spawned", "a.ini")) == 1
    daemon.stop()


def test_operators_see_it_and_try_it_again(emperor: Emperor, tmp_path: Path) -> None:
    path = emperor.vassals / "a.ini"
    path.write_text(shell(SLEEP))
    emperor.start()
    emperor.phase("a.ini", "ready")
    assert "nothing to retry" in emperor.ctl("retry", "a.ini").stderr
    path.write_text(config(f"test -e {tmp_path}/well"))
    refusal(emperor)
    reason = "its preflight ended with exit code 1"
    shown = asked(emperor, "show", "a.ini")
    assert shown["refused"]["reason"] == reason
    assert (shown["target"], shown["check"]) == (shown["running"], None)
    assert shown["target"] != shown["config"]
    [entry] = asked(emperor, "status", code=3)["attention"]
    assert (entry["what"], entry["vassal"], entry["reason"]) == ("refused", "a.ini", reason)
    assert f"its change was refused: {reason}" in emperor.ctl("list").stdout
    notes = asked(emperor, "explain", "a.ini")["notes"]
    assert f"until a preflight passes, a start uses config {shown['target']}" in notes
    again = emperor.ctl("retry", "a.ini")
    assert (again.returncode, again.stdout) == (1, "")
    assert f"its change was refused: {reason}" in again.stderr
    (tmp_path / "well").touch()
    assert emperor.ctl("retry", "a.ini").returncode == 0
    assert asked(emperor, "show", "a.ini")["refused"] is None
    emperor.until(lambda: outcomes(emperor)[1] == "running", "it is carried out")
    emperor.stop()

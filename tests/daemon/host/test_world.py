"""The world of a program: directory, variables, umask, and the time that its stop has."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from support import processes
from support.daemon import Daemon
from support.tyrant import ALICE, ALICES, BOB, TyrantDaemon
from support.vassals import Application, program, shell

from ..conftest import MakeDaemon

MakeTyrant = Callable[..., TyrantDaemon]
SECRET = "a-value-that-is-nowhere-else"  # noqa: S105
LOYAL = "trap '' TERM; echo up; while :; do sleep 1000 & wait; done"


def said(daemon: Daemon, name: str, lines: int) -> list[str]:
    """The lines of a vassal's log, as soon as there are so many."""
    daemon.until(lambda: len(daemon.vassal_log(name).splitlines()) >= lines, "it has said all")
    return daemon.vassal_log(name).splitlines()


def test_directory_umask_and_variables(daemon: Daemon, tmp_path: Path) -> None:
    home = tmp_path / "a home"
    home.mkdir()
    run = home / "run"
    run.write_text('#!/bin/sh\npwd; umask; echo "$A|$B|$C|$EMPERORD_WORLD"; exec sleep 1000\n')
    run.chmod(0o755)
    file = tmp_path / "app.env"
    file.write_text('# a comment\n\nB = "from \\"the\\" file"\nC=\'c # c\'\nEMPERORD_VASSAL=x\n')
    config = daemon.vassals / "a.ini"
    config.write_text(
        program(
            "./run",
            directory=str(home),
            umask="0137",
            environment="A='a a' B=b",
            environment_file=str(file),
        )
    )
    daemon.start()
    assert said(daemon, "a.ini", 3) == [str(home), "0137", 'a a|from "the" file|c # c|']
    pid = daemon.phase("a.ini", "ready").pid or 0
    assert processes.environment_of(pid)["EMPERORD_VASSAL"] == "a.ini"
    daemon.stop()


def test_a_change_is_a_restart_and_the_file_is_read_again(daemon: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "app.env"
    file.write_text("A=1\n")
    config = daemon.vassals / "a.ini"
    more = {"environment_file": str(file)}
    config.write_text(shell('echo "$A$B"; exec sleep 1000', **more))
    daemon.start()
    assert said(daemon, "a.ini", 1) == ["1"]
    file.write_text("A=2\n")
    config.write_text(shell('echo "$A$B"; exec sleep 1000', environment="B=b", **more))
    assert said(daemon, "a.ini", 2) == ["1", "2b"]
    assert daemon.event("vassal_changed", "a.ini").actions[0]["do"] == "stop"
    daemon.stop()


def test_files_add_up_and_a_later_one_wins(daemon: Daemon, tmp_path: Path) -> None:
    one, two = tmp_path / "one file.env", tmp_path / "two.env"
    one.write_text("A=one\nB=one\nC=one\n")
    two.write_text("B=two\n")
    text = shell('echo "$A|$B|$C"; exec sleep 1000', environment="A=own C=own")
    lines = (f"environment-file = {path}\n" for path in (one, f"-{tmp_path}/none.env", two))
    (daemon.vassals / "a.ini").write_text(text + "".join(lines))
    daemon.start()
    assert said(daemon, "a.ini", 1) == ["one|two|one"]
    daemon.stop()


def test_a_value_of_the_file_is_in_no_record(daemon: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "app.env"
    file.write_text(f"A={SECRET}\n{SECRET}\n")
    config = daemon.vassals / "a.ini"
    config.write_text(shell("echo up; exec sleep 1000", environment_file=str(file)))
    daemon.start()
    died = daemon.event("exited", "a.ini")
    assert (died.body["code"], died.body["log"]) == (
        126,
        f"emperor: {file}: line 2 is no NAME=VALUE",
    )
    file.write_text(f"A={SECRET}\n")
    pid = daemon.phase("a.ini", "ready").pid or 0
    daemon.until(lambda: processes.argv_of(pid)[:1] == ["sleep"], "it runs")
    assert processes.environment_of(pid)["A"] == SECRET
    daemon.stop()
    assert SECRET not in daemon.vassal_log("a.ini")
    with sqlite3.connect(daemon.journal) as journal:
        dump = "\n".join(journal.iterdump())
    assert SECRET not in dump


MISSING = {
    "a file": ("environment_file", "{}/x", 126, "emperor: {}/x: No such file or directory"),
    "a directory": ("directory", "{}/x", 126, "emperor: {}/x: No such file or directory"),
    "a file that is none": ("environment_file", "{}", 126, "emperor: {}: Is a directory"),
}


@pytest.mark.parametrize(("key", "value", "code", "words"), MISSING.values(), ids=MISSING)
def test_something_is_missing(
    daemon: Daemon, tmp_path: Path, key: str, value: str, code: int, words: str
) -> None:
    text = shell("exec sleep 1000", **{key: value.format(tmp_path)})
    (daemon.vassals / "a.ini").write_text(text)
    daemon.start()
    died = daemon.event("exited", "a.ini")
    assert (died.body["code"], died.body["log"]) == (code, words.format(tmp_path))
    daemon.stop()


def test_a_file_that_may_be_missing(daemon: Daemon, tmp_path: Path) -> None:
    text = shell("echo up; exec sleep 1000", environment_file=f"-{tmp_path}/x")
    (daemon.vassals / "a.ini").write_text(text)
    daemon.start()
    assert said(daemon, "a.ini", 1) == ["up"]
    daemon.stop()


def test_a_program_is_found_on_its_own_path(daemon: Daemon, tmp_path: Path) -> None:
    run = tmp_path / "run-this"
    run.write_text("#!/bin/sh\necho found; exec /bin/sleep 1000\n")
    run.chmod(0o755)
    path = f"PATH={tmp_path}"
    (daemon.vassals / "a.ini").write_text(program("run-this", environment=path))
    (daemon.vassals / "b.ini").write_text(program("run-that", environment=path))
    daemon.start()
    assert said(daemon, "a.ini", 1) == ["found"]
    assert "run-that: No such file" in (daemon.phase("b.ini", "barred").reason or "")
    daemon.stop()


def test_uwsgi_has_them_too(daemon: Daemon, tmp_path: Path) -> None:
    app = Application(tmp_path)
    config = app.config("x") + "[emperor]\nenvironment = COLOUR=blue\n"
    (daemon.vassals / "a.ini").write_text(config)
    daemon.start()
    daemon.phase("a.ini", "accepting")
    answer = app.answers()
    assert answer is not None
    assert answer.environ["COLOUR"] == "blue"
    daemon.stop()


def test_a_stop_has_its_own_time(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--mercy", "1000")
    config = daemon.vassals / "a.ini"
    config.write_text(shell(LOYAL, stop_timeout="300ms"))
    daemon.start()
    said(daemon, "a.ini", 1)
    config.unlink()
    daemon.event("exited", "a.ini", signal=9)
    daemon.stop()


def test_a_tenants_files_are_read_with_its_rights(tyrant: TyrantDaemon) -> None:
    """Its variables do not get to a program of root's, and root reads no file for it."""
    mine, roots = tyrant.folder / "mine", tyrant.folder / "roots"
    for file, owner in ((mine, ALICE), (roots, 0)):
        file.write_text(f"A={SECRET}\n")
        file.chmod(0o600)
        os.chown(file, owner, owner)
    spy = tyrant.folder / "spy.so"  # no library: the loader complains to standard error
    spy.write_text("x")
    show = 'echo "$(id -u) $(id -g) $(id -G) $A"; grep -E "CapEff|NoNewPrivs" /proc/self/status'
    tyrant.put("a.ini", shell(f"{show}; exec sleep 1000", environment_file=str(mine), nofile="100"))
    tyrant.put("b.ini", shell(f"{show}; exec sleep 1000", environment_file=str(roots)))
    tyrant.put("c.ini", program("sleep", "1000", environment=f"LD_PRELOAD={spy}"))
    tyrant.start()
    assert said(tyrant, "a.ini", 3) == [
        f"{ALICE} {ALICES} {ALICES} {SECRET}",
        "CapEff:\t0000000000000000",
        "NoNewPrivs:\t1",
    ]
    died = tyrant.event("exited", "b.ini")
    assert died.body["log"] == f"emperor: {roots}: Permission denied"
    # Only sleep, as the user; neither setpriv nor Python, which root runs.
    pid = tyrant.phase("c.ini", "ready").pid or 0
    tyrant.until(lambda: processes.argv_of(pid)[:1] == ["sleep"], "it runs")
    assert tyrant.vassal_log("c.ini").count("from LD_PRELOAD cannot be preloaded") == 1
    tyrant.stop()


def test_a_tenant_can_only_shorten_its_stop(make_tyrant: MakeTyrant) -> None:
    tyrant = make_tyrant("--mercy", "300ms")
    path = tyrant.put("a.ini", shell(LOYAL, stop_timeout="1d"), BOB)
    tyrant.start()
    said(tyrant, "a.ini", 1)
    path.unlink()
    tyrant.event("exited", "a.ini", signal=9)
    tyrant.stop()

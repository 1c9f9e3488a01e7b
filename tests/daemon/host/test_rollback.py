"""Rollbacks under a real daemon: a change that fails goes back to the last good config."""

import os
import signal
from pathlib import Path

from support.asking import asked
from support.daemon import Daemon
from support.serving import serving
from support.vassals import Application, shell

from ..conftest import MakeDaemon, MakeEmperor

REASON = "2 failures in a row, the last one: exit code 1"


def program(tmp_path: Path, says: str) -> str:
    """The config of a program that notes each start of it. It is up unless it is a bad one."""
    up = tmp_path / f"{says}.up"
    then = "exit 1" if says == "bad" else f"touch {up}; exec sleep 1000"
    return shell(
        f"echo {says} >> {tmp_path}/starts; {then}",
        ready=f"exec:test -e {up}", ready_timeout="5s", rollback="2",
    )  # fmt: skip


def starts(tmp_path: Path) -> list[str]:
    return (tmp_path / "starts").read_text().split()


def copies(daemon: Daemon) -> list[Path]:
    """The private copies that exist."""
    folder = daemon.journal.with_name(f"{daemon.journal.name}.configs")
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_program_goes_back_and_stays_so(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    """Over a kill -9 of the daemon, of the program, and a stop and start; until the next change."""
    emperor = make_emperor("--throttle", "50")
    path = emperor.vassals / "a.ini"
    path.write_text(program(tmp_path, "good"))
    emperor.start()
    emperor.phase("a.ini", "accepting")
    emperor.put("a.ini", program(tmp_path, "bad"))
    emperor.until(lambda: starts(tmp_path)[-1:] == ["bad"], "the new one is tried")
    emperor.until(lambda: asked(emperor, "show", "a.ini")["rolled_back"], "it goes back")
    assert "a.ini: its change was rolled back to config" in emperor.log()
    emperor.phase("a.ini", "accepting")
    shown = asked(emperor, "show", "a.ini")
    assert (shown["rolled_back"]["reason"], shown["refused"]) == (REASON, None)
    assert shown["running"] == shown["target"] != shown["config"]
    [entry] = asked(emperor, "status", code=3)["attention"]
    assert (entry["what"], entry["reason"]) == ("rolled back", REASON)
    assert f"its change was rolled back: {REASON}" in emperor.ctl("list").stdout
    assert "nothing to retry" in emperor.ctl("retry", "a.ini").stderr
    emperor.restart()
    os.kill(emperor.pid_of("a.ini"), signal.SIGKILL)
    emperor.until(lambda: len(starts(tmp_path)) == 5, "it is started again")
    emperor.stop()
    emperor.start()
    emperor.until(lambda: len(starts(tmp_path)) == 6, "it is started again")
    assert starts(tmp_path) == ["good", "bad", "bad", "good", "good", "good"]
    emperor.put("a.ini", program(tmp_path, "better"))
    emperor.until(lambda: starts(tmp_path)[-1:] == ["better"], "the next change is tried")
    emperor.phase("a.ini", "accepting")
    assert asked(emperor, "show", "a.ini")["rolled_back"] is None
    emperor.stop()


def test_one_that_accepts_and_dies_goes_back(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    """Its ready check passes each time. It ends a moment later, when a file is there."""
    emperor = make_emperor("--throttle", "50")
    end = tmp_path / "end"
    emperor.put("a.ini", shell("exec sleep 1000", ready="exec:true"))
    emperor.start()
    emperor.phase("a.ini", "accepting")
    seq = emperor.last_seq()
    waits = f"until test -e {end}; do sleep 0.05; done; rm {end}; exit 1"
    emperor.put("a.ini", shell(waits, ready="exec:true", rollback="2"))
    seq = emperor.event("vassal_changed", "a.ini", after=seq).seq
    for _ in range(2):
        assert asked(emperor, "show", "a.ini")["rolled_back"] is None
        seq = emperor.event("vassal_accepting", "a.ini", after=seq).seq
        end.touch()
        seq = emperor.event("exited", "a.ini", after=seq).seq
    emperor.phase("a.ini", "accepting")
    shown = asked(emperor, "show", "a.ini")
    assert (shown["rolled_back"]["reason"], shown["rolled_back"]["seq"]) == (REASON, seq)
    assert shown["running"] == shown["target"] != shown["config"]
    emperor.stop()


def test_uwsgi_goes_back_to_a_copy_of_its_file(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    """The reload in place ends it, as the application of the new text is not there."""
    daemon = make_daemon("--throttle", "50", "--rollback", "2")
    app = Application(tmp_path)
    path = daemon.vassals / "a.ini"
    path.write_text(app.config("good"))
    daemon.start()
    serving(daemon, app, "good")
    daemon.phase("a.ini", "accepting")
    path.write_text(app.config("bad", wsgi_file="/nowhere.py"))
    daemon.until(lambda: copies(daemon), "it runs from a copy")
    vassal = daemon.phase("a.ini", "accepting")
    assert vassal.refused is not None
    assert vassal.refused.rolled_back
    serving(daemon, app, "good")
    assert [copy.name for copy in copies(daemon)] == ["a.ini"]
    path.write_text(app.config("better"))
    serving(daemon, app, "better")
    daemon.until(lambda: copies(daemon) == [], "the copy is removed")
    daemon.stop()

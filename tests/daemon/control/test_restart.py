"""A restart is one request: in any phase, of any vassal, and of many a few at a time."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from support.asking import asked, refused
from support.kept import Emperor
from support.vassals import program, shell, speaker_path

from ..conftest import MakeEmperor

# It ends when a file is there, and not before.
STUBBORN = (
    "trap 'echo farewell; while [ ! -e ok ]; do sleep 0.05; done; exit' TERM;"
    " echo up; sleep 1000 & wait"
)


def test_a_program_restarts_whatever_its_reload_is(emperor: Emperor) -> None:
    (emperor.vassals / "a.ini").write_text(program("sleep", "1000", reload="none"))
    emperor.start()
    emperor.phase("a.ini", "ready")
    pid = emperor.pid_of("a.ini")
    done = emperor.ctl("restart", "a.ini", "--reason", "leaks")
    assert (done.returncode, done.stdout, done.stderr) == (0, "a.ini: now ready\n", "")
    assert emperor.pid_of("a.ini") != pid
    request = emperor.event("operator_requested", "a.ini")
    assert (request.body["request"], request.body["reason"]) == ("restart", "leaks")
    assert emperor.event("exited", "a.ini").seq > request.seq
    emperor.stop()


def test_a_throttled_one_starts_and_a_held_one_is_refused(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor("--throttle", "60000", "--max-throttle", "60000", keeper=False)
    (emperor.vassals / "a.ini").write_text(shell("[ -e ok ] && exec sleep 1000; exit 1"))
    emperor.start()
    emperor.phase("a.ini", "throttled")
    (emperor.vassals / "ok").touch()
    assert asked(emperor, "restart", "a.ini")["phase"] == "ready"
    assert emperor.ctl("stop", "a.ini").returncode == 0
    held = "a.ini is held, as an operator stopped it; 'emperor-ctl start' starts it"
    assert refused(emperor, "restart", "a.ini") == held
    assert emperor.event("request_refused", "a.ini").body["error"] == held
    emperor.stop()


def test_one_waits_for_the_other_also_over_a_death_of_the_daemon(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    """With one slot, the second is stopped when the first accepts again."""
    gate = tmp_path / "gate"
    emperor = make_emperor("--max-starting", "1", "--uwsgi", speaker_path(tmp_path))
    for name in ("a.ini", "b.ini"):
        (emperor.vassals / name).write_text(f"say 1\nawait {gate}\nsay 5\n")
    gate.touch()
    emperor.start()
    for name in ("a.ini", "b.ini"):
        emperor.phase(name, "accepting")
    gate.unlink()
    pid = emperor.pid_of("b.ini")
    for name in ("a.ini", "b.ini"):
        assert emperor.ctl("restart", "--no-wait", name).returncode == 0
    emperor.event("spawned", "a.ini", count=2)
    emperor.kill_daemon(signal.SIGKILL)
    emperor.event("daemon_ready", count=2)
    assert asked(emperor, "show", "b.ini")["due"] == "restart"
    assert emperor.pid_of("b.ini") == pid
    gate.touch()
    emperor.event("spawned", "b.ini", count=2)
    assert emperor.event("operator_requested", "b.ini").seq < emperor.event("exited", "b.ini").seq
    first = emperor.events("vassal_accepting", "a.ini")[-1]
    assert first.seq < emperor.event("exited", "b.ini").seq
    emperor.stop()


def test_an_operator_is_told_that_another_has_stopped_it_meanwhile(emperor: Emperor) -> None:
    """Its log does not say why its restart came to nothing, so no line of it is told."""
    emperor.put("a.ini", shell(STUBBORN))
    emperor.start()
    emperor.until(lambda: "up" in emperor.vassal_log("a.ini"), "it can be stopped")
    argv = [sys.executable, "-m", "emperord.daemon.ctl", "--control", str(emperor.control)]
    with subprocess.Popen([*argv, "restart", "a.ini"], stderr=subprocess.PIPE) as restart:
        request = emperor.event("operator_requested", "a.ini")
        emperor.until(lambda: "farewell" in emperor.vassal_log("a.ini"), "it is being stopped")
        assert emperor.ctl("stop", "--no-wait", "a.ini").returncode == 0
        _, errors = restart.communicate(timeout=30)
    stop = emperor.event("operator_requested", "a.ini", count=2)
    assert (request.body["request"], stop.body["request"]) == ("restart", "stop")
    by = f"uid {os.getuid()} stopped it (event {stop.seq})"
    told = f"emperor-ctl: a.ini is stopping: {by}; 'emperor-ctl start' starts it\n"
    assert (restart.returncode, errors.decode()) == (1, told)
    emperor.put("ok", "")
    emperor.stop()

"""Hooks around starts and ends: when they run, as whom, with what, and what their failure does."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from emperord.daemon.host import enter, hooks
from emperord.daemon.main import main
from support import processes
from support.tyrant import ALICE, ALICES, TyrantDaemon, status_of
from support.vassals import SLEEPER
from support.waiting import until

from ..conftest import MakeDaemon

NOTE = """\
import json, os, sys
with open(sys.argv[1], "a") as file:
    told = {"argv": sys.argv[2:], "uid": os.getuid(), "environ": dict(os.environ)}
    told["session"] = os.getsid(0)
    told["open"] = [each for each in os.listdir("/proc/self/fd") if int(each) > 2]
    told["stdin"] = os.readlink("/proc/self/fd/0")
    file.write(json.dumps(told) + "\\n")
"""


@pytest.fixture
def note(tmp_path: Path) -> str:
    """A command that notes its arguments and its environment in the file that follows."""
    script = tmp_path / "note.py"
    script.write_text(NOTE)
    return f"{sys.executable} -I -S {script}"


def noted(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_hooks_run_around_the_life_of_a_vassal(
    make_daemon: MakeDaemon, tmp_path: Path, note: str
) -> None:
    start, stop, before, after = (tmp_path / name for name in ("start", "stop", "before", "after"))
    daemon = make_daemon(
        *("--start-hook", f"{note} {start}", "--vassals-stop-hook", f"{note} {stop}"),
        *("--exec-as-vassal", f"{note} {before}", "--exec-as-emperor", f"{note} {after} x >&2"),
    )
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    daemon.start()
    pid = daemon.pid_of("a.ini")
    (started,) = until(lambda: noted(start), "the start hook ran")
    assert started["argv"] == ["a.ini"]
    assert started["stdin"] == os.devnull
    assert len(started["open"]) == 2  # its file, and that by which it lists them
    environ = started["environ"]
    assert environ["UWSGI_VASSALS_DIR"] == str(daemon.vassals)
    assert not any(name.startswith("UWSGI_EMPEROR") for name in environ)
    (checked,) = until(lambda: noted(before), "the other one ran")
    assert checked["argv"] == []
    (told,) = until(lambda: noted(after), "the emperor's hook ran")
    assert told["argv"] == ["x"]
    assert told["session"] == os.getsid(daemon.pid)  # it is known as the daemon's own
    environ = told["environ"]
    names = ("CONFIG", "PID", "UID", "GID")
    assert [environ[f"UWSGI_VASSAL_{name}"] for name in names] == [
        "a.ini", str(pid), str(os.getuid()), str(os.getgid()),
    ]  # fmt: skip
    assert not stop.exists()
    daemon.stop()
    (ended,) = noted(stop)  # the daemon has waited for it
    assert ended["argv"] == ["a.ini"]


def test_what_failures_do(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    daemon = make_daemon(
        *("--start-hook", "false", "--exec-as-emperor", "exit 7", "--stop-hook", "nosuchprogram"),
        *("--exec-as-vassal", f"test -e {ready}"),
    )
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    daemon.start()
    exited = daemon.event("exited")
    assert exited.body["code"] == 1
    assert "hook false: it ended with status 1" in exited.body["log"]
    assert f"hook test -e {ready}: it ended with status 1" in exited.body["log"]
    ready.touch()
    daemon.phase("a.ini", "ready")
    daemon.until(lambda: "exec-as-emperor" in daemon.log(), "it is told")
    log = daemon.log()
    assert "a.ini: --exec-as-emperor: it ended with status 7" in log
    assert "a.ini: --stop-hook: No such file or directory" in log
    daemon.stop()


def test_a_hook_that_hangs_delays_its_vassal_alone(make_daemon: MakeDaemon) -> None:
    hang = "case $EMPERORD_VASSAL in a.ini) sleep 1000;; esac"
    daemon = make_daemon("--exec-as-vassal", hang)
    for name in ("a.ini", "b.ini"):
        (daemon.vassals / name).write_text(SLEEPER)
    daemon.start()
    daemon.phase("b.ini", "ready")
    several = 3  # the process itself, its shell, and that one's sleep
    until(lambda: len(daemon.running_for("a.ini")) >= several, "the hook runs")
    found = daemon.running_for("a.ini")
    # It is a part of its vassal: a stop ends it as well.
    (daemon.vassals / "a.ini").unlink()
    daemon.event("exited")
    assert not any(map(processes.alive, found))
    daemon.stop()


def test_limits_are_the_same() -> None:
    assert enter._HOOK_LIMIT == hooks.LIMIT


def test_tenants_run_their_hooks_as_themselves(tyrant: TyrantDaemon) -> None:
    daemon = tyrant
    out = daemon.folder / "out"
    out.mkdir()
    out.chmod(0o777)
    as_whom = 'id -u > "{}/$EMPERORD_HOOK"'
    for option, name in (("--exec-as-vassal", "vassal"), ("--exec-as-emperor", "emperor")):
        command = f"EMPERORD_HOOK={name}; {as_whom.format(out)}"
        daemon.options += [option, command]
    daemon.put("a.ini")
    daemon.start()
    pid = daemon.phase("a.ini", "ready").pid or 0
    until(lambda: status_of(pid)["Uid"] == [str(ALICE)] * 4, "it runs as its user")
    assert status_of(pid)["Gid"] == [str(ALICES)] * 4
    for name, uid in (("vassal", ALICE), ("emperor", 0)):
        file = out / name
        until(lambda: file.exists() and file.read_text(), f"{name} ran")  # noqa: B023
        assert file.read_text() == f"{uid}\n"
    daemon.stop()


def test_a_program_that_a_tenant_can_write_is_refused(tyrant: TyrantDaemon) -> None:
    daemon = tyrant
    hook = daemon.folder / "hook"
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o755)
    os.chown(hook, ALICE, ALICES)
    daemon.options += ["--stop-hook", f"{hook} x"]
    daemon.launch()
    assert daemon.wait() == 3
    assert f"--stop-hook {hook} is run for every vassal, but" in daemon.log()


@pytest.mark.parametrize(
    ("options", "runs"),
    [
        pytest.param(["--wrapper-override", "{}", "--wrapper-override", "/bin/no"], True, id="it"),
        pytest.param(["--wrapper-override", "/nowhere/x"], False, id="none is there"),
        pytest.param(["--wrapper-fallback", "{}"], False, id="uWSGI is there"),
        pytest.param(["--wrapper", "/nowhere/x", "--wrapper-fallback", "{}"], True, id="none"),
    ],
)
def test_the_first_wrapper_that_is_there_runs(
    options: list[str], runs: bool, make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    wrapper = tmp_path / "wrapper"
    wrapper.write_text("#!/bin/sh\nexec sleep 1000\n")
    wrapper.chmod(0o755)
    given = [each.format(wrapper) for each in options]
    daemon = make_daemon("--uwsgi", "/bin/true", *given, "--check")
    (daemon.vassals / "a.ini").write_text("[uwsgi]\n")
    daemon.launch()
    assert daemon.wait() == 0
    program = wrapper if runs else "/bin/true"
    assert f"a.ini: {program} --ini a.ini" in daemon.log()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(["--stop-hook", "it's"], "is no command: No closing quotation", id="a quote"),
        pytest.param(["--stop-hook", " "], "it has no word", id="blank"),
        pytest.param(["--exec-as-vassal", "\n"], "it is no command of one line", id="lines"),
        pytest.param(["--exec-as-vassal", "echo x # it's fine"], None, id="a line for a shell"),
    ],
)
def test_which_texts_are_commands(arguments: list[str], told: str | None, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--check", "--as-root", *arguments, str(tmp_path)])
    assert result.exit_code == (0 if told is None else 2), result.output
    assert (told or "") in result.stderr

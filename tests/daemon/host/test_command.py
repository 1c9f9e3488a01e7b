"""A vassal's argv, environment and signals."""

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from emperord.daemon.host import command
from emperord.journal.events import Spec
from emperord.journal.policy import Policy

U = "/bin/true"  # stands for uWSGI: only looked up, never run here
PLAIN = Policy(uwsgi=U)
FILE = Spec(ts=1, path="/v/a.ini", cwd="/v")
INLINE = Spec(ts=1)
ALL = Policy(
    uwsgi=U,
    vassals_inherit_before=("ib1", "ib2"),
    vassals_include_before=("cb",),
    vassal_set=("k=v", "x=y"),
    vassals_inherit=("ia",),
    vassals_include=("ca",),
    extra_extension=(".conf", ".ini.off"),
)


@pytest.mark.parametrize(
    ("name", "spec", "policy", "argv"),
    [
        pytest.param("a.ini", FILE, PLAIN, "--ini a.ini", id="ini"),
        pytest.param("a.xml", FILE, PLAIN, "--xml a.xml", id="xml"),
        pytest.param("a.yml", FILE, PLAIN, "--yaml a.yml", id="yml"),
        pytest.param("a.yaml", FILE, PLAIN, "--yaml a.yaml", id="yaml"),
        pytest.param("a.json", FILE, PLAIN, "--json a.json", id="json"),
        pytest.param("a.js", FILE, PLAIN, "--json a.js", id="js"),
        pytest.param("a.conf", FILE, ALL, None, id="extra extension"),
        pytest.param("/etc/v/a.ini", FILE, PLAIN, "--ini /etc/v/a.ini", id="glob"),
        pytest.param("a.ini", INLINE, PLAIN, "--ini emperor://a.ini", id="inline"),
        pytest.param("a:b.ini", FILE, PLAIN, "--ini a:b.ini:uwsgi", id="colon"),
        pytest.param("a:b.yml", FILE, PLAIN, "--yaml a:b.yml:uwsgi", id="colon yaml"),
        pytest.param("a:b.ini", INLINE, PLAIN, "--ini emperor://a:b.ini:uwsgi", id="colon inline"),
        pytest.param("-x.ini", FILE, PLAIN, "--ini -x.ini", id="dash"),
    ],
)
def test_argv(name: str, spec: Spec, policy: Policy, argv: str | None) -> None:
    expected = [U, *(argv or "").split()]
    if argv is None:
        assert command.argv(name, spec, policy)[-6:-4] == ["--config", name]
    else:
        assert command.argv(name, spec, policy) == expected


def test_order_is_upstreams() -> None:
    assert command.argv("a.ini", FILE, ALL) == (
        f"{U} --inherit ib1 --inherit ib2 --include cb --set k=v --set x=y"
        " --ini a.ini --inherit ia --include ca"
    ).split(" ")


@pytest.mark.parametrize(
    ("told", "run"),
    [
        pytest.param("/bin/true", "/bin/true", id="absolute"),
        pytest.param("./wrap", "{}/wrap", id="relative to the daemon's directory"),
        pytest.param("true", "/usr/bin/true", id="on PATH"),
    ],
)
def test_a_wrapper_takes_the_place_of_uwsgi(
    told: str, run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wrap").touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    policy = Policy(uwsgi="/nowhere/uwsgi", wrapper=told)
    assert command.argv("a.ini", FILE, policy) == [run.format(tmp_path), "--ini", "a.ini"]


@pytest.mark.parametrize("told", ["/nowhere/wrap", "./wrap", "nosuchwrap"])
def test_a_wrapper_that_is_not_there(told: str, tmp_path: Path) -> None:
    policy = Policy(wrapper=told)
    with pytest.raises(command.CannotRun, match=f"--wrapper {told}: there is no such program"):
        command.argv("a.ini", FILE, policy)


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        pytest.param("gunicorn app:app", ["gunicorn", "app:app"], id="words"),
        pytest.param("sh -c 'a b; c'", ["sh", "-c", "a b; c"], id="quotes"),
        pytest.param('run "$(touch x)"', ["run", "$(touch x)"], id="no shell"),
    ],
)
def test_a_command_replaces_it_all(text: str, argv: list[str]) -> None:
    spec = Spec(ts=1, path="/v/a.ini", settings={"command": text})
    assert command.argv("a.ini", spec, ALL) == argv


def test_uwsgi_is_looked_for_beside_python_then_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside, on_path = tmp_path / "beside", tmp_path / "path"
    for folder in (beside, on_path):
        folder.mkdir()
        (folder / "uwsgi").write_text("")
        (folder / "uwsgi").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(beside / "python"))
    monkeypatch.setenv("PATH", str(on_path))
    assert command.find_uwsgi(Policy()) == str(beside / "uwsgi")
    (beside / "uwsgi").chmod(0o644)
    assert command.find_uwsgi(Policy()) == str(on_path / "uwsgi")
    (on_path / "uwsgi").unlink()
    with pytest.raises(command.CannotRun, match="--uwsgi"):
        command.find_uwsgi(Policy())


def test_a_relative_uwsgi_is_relative_to_the_daemon_not_the_vassal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").symlink_to("/bin/true")
    assert command.find_uwsgi(Policy(uwsgi="./mine")) == str(tmp_path / "mine")


@pytest.mark.parametrize("path", ["/nowhere/uwsgi", "/etc/passwd", "/etc"])
def test_a_uwsgi_that_is_no_program(path: str) -> None:
    with pytest.raises(command.CannotRun, match=path):
        command.argv("a.ini", FILE, Policy(uwsgi=path))


def environment(own: dict[str, str], config_fd: int | None = None) -> dict[str, str]:
    return command.environment(command.Inherited(own), "a.ini", FILE, "7.8.a.ini", 5, config_fd)


def test_environment_says_who_it_is() -> None:
    assert environment({}) == {
        "UWSGI_EMPEROR_FD": "5",
        "EMPERORD_ATTEMPT": "7.8.a.ini",
        "EMPERORD_VASSAL": "a.ini",
    }
    assert environment({}, 6)["UWSGI_EMPEROR_FD_CONFIG"] == "6"


@pytest.mark.parametrize(
    ("own", "passed"),
    [
        pytest.param({"PATH": "/bin"}, {"PATH": "/bin"}, id="the rest gets through"),
        pytest.param({"UWSGI_X": "1"}, {"UWSGI_X": "1"}, id="uWSGI's own too"),
        *(
            pytest.param({f"{kind}_DIRECTORY": "/u"}, {}, id=f"the unit's {kind}_DIRECTORY")
            for kind in ("STATE", "LOGS", "CONFIGURATION")
        ),
        pytest.param(
            {"RUNTIME_DIRECTORY": "/u"}, {"RUNTIME_DIRECTORY": "/u"}, id="RUNTIME_DIRECTORY"
        ),
        pytest.param({"UWSGI_VASSAL_X": "1"}, {"UWSGI_X": "1"}, id="vassal's"),
        pytest.param(
            {"UWSGI_X": "ours", "UWSGI_VASSAL_X": "its"}, {"UWSGI_X": "its"}, id="vassal's wins"
        ),
        pytest.param(
            {"UWSGI_VASSAL_X": "its", "UWSGI_X": "ours"},
            {"UWSGI_X": "its"},
            id="vassal's wins whatever the order",
        ),
        pytest.param({"UWSGI_RELOADS": "3"}, {}, id="UWSGI_RELOADS"),
        pytest.param({"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "1"}, {}, id="systemd"),
        pytest.param({"LISTEN_FDS": "1", "LISTEN_PID": "2"}, {}, id="socket activation"),
        pytest.param({"EMPEROR_FREQ": "1"}, {}, id="the daemon's options"),
        pytest.param(
            {"UWSGI_EMPEROR_FD_CONFIG": "9", "UWSGI_EMPEROR_FD": "8"}, {}, id="another emperor's"
        ),
        pytest.param({"EMPERORD_ATTEMPT": "1.1.x"}, {}, id="another daemon's mark"),
    ],
)
def test_environment_passes(own: dict[str, str], passed: dict[str, str]) -> None:
    assert environment(own) == {**passed, **environment({})}


@pytest.mark.parametrize("control", ["UWSGI_VASSAL_EMPEROR_FD", "UWSGI_VASSAL_EMPEROR_FD_CONFIG"])
def test_the_control_socket_cannot_be_talked_away(control: str) -> None:
    assert environment({control: "99"}) == environment({})


def spec(**settings: str) -> Spec:
    return Spec(ts=1, settings={key.replace("_", "-"): value for key, value in settings.items()})


@pytest.mark.parametrize(
    ("settings", "reload", "stop"),
    [
        pytest.param({}, signal.SIGHUP, signal.SIGQUIT, id="uWSGI"),
        pytest.param({"command": "x"}, signal.SIGHUP, signal.SIGTERM, id="program"),
        pytest.param(
            {"command": "x", "reload_signal": "USR2", "stop_signal": "SIGINT"},
            signal.SIGUSR2,
            signal.SIGINT,
            id="named",
        ),
        pytest.param(
            {"command": "x", "reload_signal": "10", "stop_signal": "sigquit"},
            signal.SIGUSR1,
            signal.SIGQUIT,
            id="number and lower case",
        ),
        pytest.param(
            {"command": "x", "stop_signal": "SIGRTMIN"}, signal.SIGHUP, signal.SIGRTMIN, id="real"
        ),
    ],
)
def test_signals(settings: dict[str, Any], reload: int, stop: int) -> None:
    assert command.reload_signal(spec(**settings)) == reload
    assert command.stop_signal(spec(**settings)) == stop


@pytest.mark.parametrize("text", ["1", "34", "35", "36", "63", "64", "HUP", "RTMIN", "sigrtmax"])
def test_any_signal_that_a_config_may_name_can_be_sent(text: str) -> None:
    """Real-time signals have numbers without a name of their own."""
    from emperord.monitors.settings import signal_number

    assert command.stop_signal(spec(command="x", stop_signal=text)) == signal_number(text)


# Limits of open files


@pytest.mark.parametrize("name", ["true", "/bin/true"])
def test_a_program_gets_its_limits_back(name: str) -> None:
    assert command.limited([name, "x"], None, None) == [name, "x"]
    assert command.limited([name, "x"], (7, 8), None) == [
        shutil.which("prlimit"),
        "--nofile=7:8",
        "--",
        name,
        "x",
    ]


@pytest.mark.parametrize("argv", [["/nowhere/x"], ["no-such-program"], ["/etc/passwd"], ["./true"]])
def test_a_missing_program_is_told_as_if_it_had_been_executed(argv: list[str]) -> None:
    with pytest.raises(OSError, match=r"No such file|Permission"):
        command.limited(argv, (7, 8), "/")


def test_a_script_whose_interpreter_is_missing(tmp_path: Path) -> None:
    script = tmp_path / "run"
    script.write_text("#! /nowhere/python -u\n")
    script.chmod(0o755)
    with pytest.raises(FileNotFoundError, match=str(script)):
        command.limited([str(script)], (7, 8), None)
    script.write_text("#!/bin/sh\n")
    assert command.limited([str(script)], (7, 8), None)[-1] == str(script)


def test_a_program_is_looked_at_once_for_several_starts(tmp_path: Path) -> None:
    program = tmp_path / "run"
    program.symlink_to("/bin/true")
    argv, its, looked = [str(program)], spec(), set[str]()
    assert command.of_attempt(argv, its, None, None, None, looked=looked) == argv
    program.unlink()
    assert command.of_attempt(argv, its, None, None, None, looked=looked) == argv
    with pytest.raises(FileNotFoundError):
        command.of_attempt(argv, its, None, None, None, looked=set())


def test_only_a_regular_file_is_opened(tmp_path: Path) -> None:
    """No process ever writes to this FIFO, and to open some devices has effects."""
    os.mkfifo(tmp_path / "fifo", 0o777)
    for path in (tmp_path / "fifo", tmp_path, Path("/dev/null")):
        with pytest.raises(PermissionError):
            command.limited([str(path)], (7, 8), None)


def test_a_relative_program_is_found_where_the_vassal_runs(tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to("/bin/true")
    assert command.limited(["./run"], (7, 8), str(tmp_path))[-1] == "./run"
    assert os.getcwd() != str(tmp_path)

"""emperor-ctl about many vassals: patterns, --all, a line for each, states, and a dead daemon."""

import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from emperord.daemon.ctl import cli
from support.kept import Emperor
from support.terminals import Terminal
from support.vassals import DEAF, SLEEPER, shell

from ..conftest import MakeEmperor
from .test_waiting import Asking, said


@pytest.fixture
def fleet(make_emperor: MakeEmperor) -> Emperor:
    """Two vassals that run, and one that does not."""
    emperor = make_emperor("--throttle", "60000", "--max-throttle", "60000", keeper=False)
    for name in ("app-1.ini", "app-2.ini"):
        (emperor.vassals / name).write_text(SLEEPER)
    (emperor.vassals / "down.ini").write_text(shell("echo no database; exit 3"))
    emperor.start()
    for name in ("app-1.ini", "app-2.ini"):
        emperor.phase(name, "ready")
    emperor.phase("down.ini", "throttled")
    return emperor


def test_many_are_named_by_names_patterns_and_all(fleet: Emperor) -> None:
    code, out, error = said(fleet.ctl("restart", "app-1.ini", "app-*"))
    assert (code, sorted(out.splitlines()), error) == (
        0,
        ["app-1.ini: now ready", "app-2.ini: now ready"],
        "",
    )
    code, out, error = said(fleet.ctl("restart", "--all"))
    assert code == 1
    assert sorted(out.splitlines()) == ["app-1.ini: now ready", "app-2.ini: now ready"]
    assert error.splitlines() == [
        "emperor-ctl: down.ini is throttled: exit code 3",
        "the last lines of its log:",
        *["  no database"] * 2,
        "emperor-ctl: 1 of 3 vassals failed",
    ]
    assert said(fleet.ctl("retry", "--all", "--no-wait"))[1] == (
        "down.ini: now starting\n2 left as they are: 2 ready\n"
    )
    fleet.stop()


def test_as_json_each_outcome_is_an_object_a_line(fleet: Emperor) -> None:
    done = fleet.ctl("restart", "app-1.ini", "down.ini", "--json")
    outcomes = {each["name"]: each for each in map(json.loads, done.stdout.splitlines())}
    assert outcomes["app-1.ini"] == {"name": "app-1.ini", "phase": "ready"}
    assert list(outcomes["down.ini"]) == ["name", "phase", "error", "log"]
    assert done.returncode == 1
    fleet.stop()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("stop", "ap-1"), "there is no vassal ap-1; did you mean app-1.ini or app-2.ini?"),
        (("stop", "web-*"), "no vassal fits web-*"),
        (("stop", "app-1.ini", "zz"), "there is no vassal zz"),
        (("wait", "web-*"), "no vassal fits web-*"),
    ],
    ids=["a name", "a pattern", "one of two", "waiting"],
)
def test_what_fits_nothing_changes_nothing(
    fleet: Emperor, words: tuple[str, ...], error: str
) -> None:
    assert said(fleet.ctl(*words)) == (1, "", f"emperor-ctl: {error}\n")
    assert fleet.events("operator_requested") == []
    fleet.stop()


def test_wait_for_states(fleet: Emperor) -> None:
    assert said(fleet.ctl("wait", "app-1.ini")) == (0, "app-1.ini: now ready\n", "")
    code, _, error = said(fleet.ctl("wait", "app-1.ini", "--for", "accepting"))
    cannot = "emperor-ctl: app-1.ini is ready, and cannot say that it accepts\n"
    assert (code, error) == (1, cannot)
    code, _, error = said(fleet.ctl("wait", "down.ini", "--timeout", "200ms"))
    assert code == 1
    assert error.splitlines() == [
        "emperor-ctl: down.ini is still throttled after 0.2 s (exit code 3)",
        "the last lines of its log:",
        "  no database",
    ]
    (fleet.vassals / "app-1.ini").unlink()
    done = fleet.ctl("wait", "app-1.ini", "--for", "gone")
    assert said(done) == (0, "app-1.ini: now forgotten\n", "")
    assert fleet.events("operator_requested") == []
    fleet.stop()


def test_wait_says_that_a_vassal_is_not_there_yet(emperor: Emperor) -> None:
    emperor.start()
    client = Asking(emperor, "wait", "new")
    assert client.process.stderr is not None
    line = client.process.stderr.readline()
    assert line == "emperor-ctl: there is no vassal new; waiting for it\n"
    client.process.kill()
    client.process.communicate()
    client = Asking(emperor, "wait", "new.ini", "--for", "up")
    (emperor.vassals / "new.ini").write_text(SLEEPER)
    assert client.said()[:2] == (0, "new.ini: now ready\n")
    emperor.stop()


def test_names_of_any_length_and_of_other_letters(emperor: Emperor) -> None:
    names = ("x" * 196 + ".ini", "-ü \u202e.ini", "a'b\"$(c).ini")
    for name in names:
        (emperor.vassals / name).write_text(SLEEPER)
    emperor.start()
    for name in names:
        emperor.phase(name, "ready")
    code, out, error = said(emperor.ctl("restart", "--", *names))
    assert (code, error) == (0, "")
    shown = {"x" * 196 + ".ini", "-ü \\u202e.ini", "a'b\"$(c).ini"}
    assert {line.removesuffix(": now ready") for line in out.splitlines()} == shown
    done = emperor.ctl("stop", "y" * 200, "\x1b[2J.ini")
    assert "\x1b" not in done.stderr
    assert done.returncode == 1
    emperor.stop()


def test_reopen(fleet: Emperor) -> None:
    assert said(fleet.ctl("reopen", "--reason", "rotated")) == (0, "reopened\n", "")
    assert fleet.event("operator_requested").body["reason"] == "rotated"
    fleet.stop()


@pytest.mark.parametrize("how", ["kill", "upgrade"])
def test_the_next_daemon_tells_the_rest(make_emperor: MakeEmperor, how: str) -> None:
    emperor = make_emperor("--mercy", "300")
    (emperor.vassals / "quick.ini").write_text(SLEEPER)
    (emperor.vassals / "slow.ini").write_text(DEAF)
    emperor.start()
    emperor.phase("quick.ini", "ready")
    emperor.phase("slow.ini", "ready")
    client = Asking(emperor, "stop", "--all")
    assert client.process.stdout is not None
    assert client.process.stdout.readline() == "quick.ini: now held\n"
    seq = emperor.last_seq()
    if how == "kill":
        emperor.kill_daemon(signal.SIGKILL)
    else:
        assert emperor.ctl("upgrade").returncode == 0
    emperor.next_ready(seq)
    os.kill(emperor.pid_of("slow.ini"), signal.SIGKILL)
    assert client.said() == (0, "slow.ini: now held\n", "")
    assert len(emperor.events("operator_requested", "slow.ini")) == 1
    emperor.stop()


def test_a_daemon_that_hangs_is_told_when_the_time_is_over(fleet: Emperor) -> None:
    os.kill(fleet.daemon_pid(), signal.SIGSTOP)
    try:
        code, out, error = said(fleet.ctl("stop", "--all", "--timeout", "300ms"))
    finally:
        os.kill(fleet.daemon_pid(), signal.SIGCONT)
    assert (code, out) == (4, "")
    late = f"the daemon at {fleet.control} has not answered within 5.3 s"
    dropped = "it drops the request when it goes on, unless that is recorded already"
    assert error == f"emperor-ctl: {late}; {dropped}\n"
    assert fleet.ctl("restart", "app-1.ini").returncode == 0
    assert [each.body["request"] for each in fleet.events("operator_requested")] == ["restart"]
    fleet.stop()


def test_a_bar_on_a_terminal_is_gone_at_the_end(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor("--mercy", "300", keeper=False)
    names = [f"{n}.ini" for n in range(6)]
    for name in names[1:]:
        (emperor.vassals / name).write_text(SLEEPER)
    (emperor.vassals / names[0]).write_text(DEAF)
    emperor.start()
    for name in names:
        emperor.phase(name, "ready")
    argv = [sys.executable, "-m", "emperord.daemon.ctl", "--control", str(emperor.control)]
    with Terminal([*argv, "stop", "--all"], environ=emperor.environ) as terminal:
        terminal.until("5/6")
        os.kill(emperor.pid_of(names[0]), signal.SIGKILL)
        terminal.until("0.ini: now held")
        code, _ = terminal.end()
    assert code == 0
    emperor.stop()


def serve(path: Path, *lines: dict[str, Any]) -> threading.Thread:
    """A daemon that gives one client these lines, and ends."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def answer() -> None:
        with listener, listener.accept()[0] as client:
            client.recv(65536)
            client.sendall(b"".join(json.dumps(line).encode() + b"\n" for line in lines))

    thread = threading.Thread(target=answer)
    thread.start()
    return thread


HALF: dict[str, tuple[tuple[dict[str, Any], ...], int, str]] = {
    "nothing was recorded": ((), 4, "ended before it answered"),
    "a former version": (
        ({"ok": False, "error": "there is no vassal None"},),
        1,
        "is of a former version and takes no such request; 'emperor-ctl upgrade' replaces it",
    ),
    "a refusal": (({"ok": False, "error": "no\x1b[2J"},), 1, "no\\x1b[2J"),
}


@pytest.mark.parametrize(("lines", "code", "error"), HALF.values(), ids=HALF)
def test_answers_that_are_cut(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    lines: tuple[dict[str, Any], ...],
    code: int,
    error: str,
) -> None:
    server = serve(tmp_path / "s", *lines)
    with pytest.raises(SystemExit) as ended:
        cli(["--control", str(tmp_path / "s"), "stop", "a.ini"])
    server.join()
    assert ended.value.code == code
    assert error in capsys.readouterr().err

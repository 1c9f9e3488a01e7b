"""Verbs wait until a vassal has come to what was asked, or say why it will not.

Whole emperors; the verdicts themselves are in test_verdicts.py.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.descriptors import sockets
from support.kept import Emperor
from support.vassals import DEAF, SLEEPER, Application, program, shell

from ..conftest import MakeEmperor

LAZY = shell("trap 'sleep 0.5; exit' TERM; while :; do sleep 1000 & wait $!; done")


def said(done: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return done.returncode, done.stdout, done.stderr


def run(emperor: Emperor, name: str, text: str) -> int:
    (emperor.vassals / name).write_text(text)
    emperor.start()
    emperor.phase(name, "ready")
    return emperor.pid_of(name)


def test_each_verb_finds_what_the_one_before_has_done(emperor: Emperor) -> None:
    pid = run(emperor, "a.ini", LAZY)
    for _ in range(2):
        assert said(emperor.ctl("stop", "a.ini")) == (0, "a.ini: now held\n", "")
        assert emperor.running() == []
        assert said(emperor.ctl("start", "a.ini")) == (0, "a.ini: now ready\n", "")
        assert emperor.pid_of("a.ini") != pid
    assert emperor.ctl("stop", "a.ini").returncode == 0
    start = "'emperor-ctl start' starts it, with the config that is wanted"
    refused = f"emperor-ctl: a.ini is held, so there is nothing to reload; {start}\n"
    assert said(emperor.ctl("reload", "a.ini")) == (1, "", refused)
    assert said(emperor.ctl("stop", "a.ini")) == (0, "a.ini: now held\n", "")
    emperor.stop()


def test_without_waiting_it_is_enough_that_it_is_recorded(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor("--mercy", "300", keeper=False)
    pid = run(emperor, "a.ini", DEAF)  # stops only when the test has it stop
    assert said(emperor.ctl("stop", "--no-wait", "a.ini")) == (0, "a.ini: now stopping\n", "")
    assert said(emperor.ctl("start", "--no-wait", "a.ini")) == (0, "a.ini: now stopping\n", "")
    os.kill(pid, signal.SIGKILL)
    emperor.event("spawned", "a.ini", count=2)
    emperor.ctl("stop", "--no-wait", "a.ini")
    os.kill(emperor.pid_of("a.ini"), signal.SIGKILL)
    emperor.phase("a.ini", "held")
    emperor.stop()


def test_a_reload_of_uwsgi_is_over_when_it_accepts(emperor: Emperor, tmp_path: Path) -> None:
    app = Application(tmp_path)
    (emperor.vassals / "app.ini").write_text(app.config("hello"))
    emperor.start()
    emperor.phase("app.ini", "accepting")
    seq = emperor.last_seq()
    assert said(emperor.ctl("reload", "app.ini")) == (0, "app.ini: now accepting\n", "")
    assert emperor.kinds("app.ini", seq) == ["operator_requested", "vassal_accepting"]
    assert app.answers() is not None
    emperor.stop()


def test_a_reload_of_uwsgi_that_hangs_is_told(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    """Its application waits at its import, so no client is served. The vassal is *ready* then."""
    emperor = make_emperor("--start-patience", "2")
    app = Application(tmp_path)
    (emperor.vassals / "app.ini").write_text(app.config("hello"))
    emperor.start()
    emperor.phase("app.ini", "accepting")
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    code = app.module.read_text()
    app.module.write_text(f"open({str(gate)!r}).close()\n{code}")
    unsaid = "app.ini: has not said that it accepts"
    failed, out, error = said(emperor.ctl("reload", "app.ini"))
    assert (failed, out, error.splitlines()[0]) == (1, "", f"emperor-ctl: {unsaid}")
    status = emperor.ctl("status", "--json")
    assert status.returncode == 3
    [trouble] = json.loads(status.stdout)["attention"]
    assert (trouble["what"], trouble["vassal"]) == ("hanging", "app.ini")
    assert emperor.ctl("check", "-c", "0").returncode == 2
    late, _, error = said(emperor.ctl("wait", "app.ini", "--timeout", "300ms"))
    assert (late, "app.ini is still ready after 0.3 s (has not said" in error) == (1, True)
    gate.write_text("")
    assert said(emperor.ctl("wait", "app.ini")) == (0, "app.ini: now accepting\n", "")
    assert emperor.ctl("status").returncode == 0
    emperor.stop()


FAILING = {
    "it dies": (shell("echo first; echo no database; exit 3"), "throttled: exit code 3", True),
    "it cannot be executed": (program("/nowhere/program"), "barred: ", False),
}


@pytest.mark.parametrize(("text", "reason", "logs"), FAILING.values(), ids=FAILING)
def test_a_start_that_fails_says_why_and_what_was_logged(
    make_emperor: MakeEmperor, text: str, reason: str, logs: bool
) -> None:
    emperor = make_emperor("--throttle", "60000", "--max-throttle", "60000", keeper=False)
    run(emperor, "a.ini", SLEEPER)
    assert emperor.ctl("stop", "a.ini").returncode == 0
    (emperor.vassals / "a.ini").write_text(text)
    emperor.event("vassal_changed", "a.ini")
    code, out, error = said(emperor.ctl("start", "a.ini"))
    assert (code, out) == (1, "")
    first, *rest = error.splitlines()
    assert first.startswith(f"emperor-ctl: a.ini is {reason}")
    assert rest == (["the last lines of its log:", "  first", "  no database"] if logs else [])
    emperor.stop()


def test_what_takes_longer_is_told_as_it_stands(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor("--mercy", "300", keeper=False)
    pid = run(emperor, "a.ini", DEAF)
    code, out, error = said(emperor.ctl("stop", "--timeout", "300ms", "a.ini"))
    assert (code, out) == (1, "")
    assert error.startswith("emperor-ctl: a.ini is still stopping after 0.3 s (stopped by an op")
    os.kill(pid, signal.SIGKILL)
    assert emperor.ctl("stop", "a.ini").returncode == 0
    emperor.stop()


class Asking:
    """A command that runs."""

    def __init__(self, emperor: Emperor, *words: str) -> None:
        argv = [sys.executable, "-m", "emperord.daemon.ctl", "--control", str(emperor.control)]
        self.process = subprocess.Popen(
            [*argv, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=emperor.environ,
        )

    def said(self) -> tuple[int, str, str]:
        out, error = self.process.communicate(timeout=30)
        return self.process.returncode, out, error


@pytest.fixture
def asking(make_emperor: MakeEmperor) -> Iterator[tuple[Emperor, Asking, int]]:
    """A client that waits for a stop, and the vassal's pid, which is deaf to it."""
    emperor = make_emperor("--mercy", "300")
    pid = run(emperor, "a.ini", DEAF)
    asking = Asking(emperor, "stop", "a.ini")
    emperor.phase("a.ini", "stopping")
    emperor.catch_up()  # the client is told that its request is recorded
    yield emperor, asking, pid
    asking.process.kill()
    asking.process.communicate()


@pytest.mark.parametrize("how", ["kill", "upgrade"])
def test_the_next_daemon_answers_who_waits(asking: tuple[Emperor, Asking, int], how: str) -> None:
    emperor, client, pid = asking
    if how == "kill":
        emperor.restart()
    else:
        seq = emperor.last_seq()
        assert emperor.ctl("upgrade").returncode == 0
        emperor.next_ready(seq)
    os.kill(pid, signal.SIGKILL)
    assert client.said() == (0, "a.ini: now held\n", "")
    requests = [event.body["request"] for event in emperor.events("operator_requested", "a.ini")]
    assert requests == ["stop"]
    emperor.stop()


def test_who_waits_for_an_emperor_that_is_gone_is_told(
    asking: tuple[Emperor, Asking, int],
) -> None:
    emperor, client, _ = asking
    emperor.send(signal.SIGKILL)
    assert emperor.process is not None
    emperor.process.wait()
    emperor.process = None
    for daemon in emperor.daemons():
        os.kill(daemon, signal.SIGKILL)
    code, out, error = client.said()
    assert (code, out) == (4, "")
    assert "Traceback" not in error
    assert len(error.splitlines()) == 1


def test_who_waits_while_the_journal_cannot_be_written_is_told(
    asking: tuple[Emperor, Asking, int],
) -> None:
    emperor, client, pid = asking
    limit = ["prlimit", "--pid", str(emperor.daemon_pid())]
    subprocess.run([*limit, "--fsize=16384:"], check=True)
    os.kill(pid, signal.SIGKILL)
    code, _, error = client.said()
    assert code == 1
    assert error.startswith("emperor-ctl: a.ini is stopping, and goes no further: ")
    subprocess.run([*limit, "--fsize=unlimited:"], check=True)
    emperor.phase("a.ini", "held")
    emperor.stop()


def test_an_upgrade_is_over_when_the_next_daemon_answers(kept: Emperor) -> None:
    pid = run(kept, "a.ini", SLEEPER)
    former = kept.daemon_pid()
    done = kept.ctl("upgrade", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    upgraded = json.loads(done.stdout)
    status = json.loads(kept.ctl("status", "--json").stdout)
    assert upgraded == {"version": status["version"], "pid": status["pid"]}
    assert status["pid"] != former
    done = kept.ctl("upgrade", "--no-wait")
    assert said(done) == (0, "", "")
    kept.until(lambda: status["pid"] not in kept.daemons(), "it leaves")
    assert kept.pid_of("a.ini") == pid
    kept.daemon_pid()
    kept.stop()


# The protocol


def exchange(emperor: Emperor, *requests: Any, half_closed: bool = False) -> list[Any]:
    """The answers to these requests over one connection."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(emperor.control))
        client.sendall(b"".join(json.dumps(each).encode() + b"\n" for each in requests))
        if half_closed:
            client.shutdown(socket.SHUT_WR)
        answers = client.makefile("rb")
        return [json.loads(answers.readline()) for _ in requests]


def test_a_request_can_wait_by_itself(emperor: Emperor) -> None:
    """As from a shell: ``echo ... | socat``, which closes its half at once."""
    run(emperor, "a.ini", LAZY)
    stop = {"do": "stop", "name": "a.ini", "wait": True, "timeout": 20}
    assert exchange(emperor, stop, half_closed=True) == [{"ok": True, "phase": "held"}]
    start = {"do": "start", "name": "a.ini"}
    started, waited = exchange(emperor, start, {"do": "wait", "name": "a.ini", "for": "start"})
    assert started["phase"] in ("starting", "ready")
    assert waited == {"ok": True, "phase": "ready"}
    (late,) = exchange(emperor, {"do": "wait", "name": "a.ini", "for": "stop", "timeout": 0.1})
    assert late["ok"] is False
    assert late["phase"] == "ready"
    emperor.stop()


NONSENSE = {
    "no time": {"do": "wait", "name": "a.ini", "for": "stop", "timeout": "soon"},
    "no time at all": {"do": "wait", "name": "a.ini", "for": "stop", "timeout": 0},
    "a truth": {"do": "stop", "name": "a.ini", "wait": True, "timeout": True},
    "for ever": {"do": "wait", "name": "a.ini", "for": "stop", "timeout": 1e300},
    "for nothing": {"do": "wait", "name": "a.ini"},
    "for what is no request": {"do": "wait", "name": "a.ini", "for": ["stop"]},
}


def test_nonsense_is_refused_before_anything_is_done(emperor: Emperor) -> None:
    run(emperor, "a.ini", SLEEPER)
    for case, answer in zip(NONSENSE, exchange(emperor, *NONSENSE.values()), strict=True):
        assert answer["ok"] is False, case
        assert answer["error"].startswith(("timeout: ", "for: ")), case
    assert emperor.kinds().count("operator_requested") == 0
    emperor.stop()


def test_many_who_wait_hold_up_nobody_and_leave_nothing_behind(make_emperor: MakeEmperor) -> None:
    """More than are served at a time. Some of them lose patience."""
    emperor = make_emperor("--mercy", "300", keeper=False)
    pid = run(emperor, "a.ini", DEAF)
    daemon = emperor.daemon_pid()
    before = sockets(daemon)
    assert emperor.ctl("stop", "--no-wait", "a.ini").returncode == 0
    wait = b'{"do": "wait", "name": "a.ini", "for": "stop"}\n'
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(200)]
        for client in clients:
            client.settimeout(20)
            client.connect(str(emperor.control))
            client.sendall(wait)
        emperor.until(lambda: sockets(daemon) >= before + 200, "all are being served")
        assert emperor.ctl("status").returncode == 0
        for client in clients[100:]:
            client.close()
        emperor.until(lambda: sockets(daemon) < before + 105, "those who left are forgotten")
        os.kill(pid, signal.SIGKILL)
        for client in clients[:100]:
            assert json.loads(client.makefile("rb").readline()) == {"ok": True, "phase": "held"}
    emperor.until(lambda: sockets(daemon) <= before, "nothing is left of them")
    emperor.stop()

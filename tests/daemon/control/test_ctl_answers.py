"""emperor-ctl when no daemon answers: absent, hung, restarting, or not the daemon at all."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from emperord.daemon.client import asking
from support.asking import asked, refused
from support.kept import Emperor
from support.vassals import SLEEPER


def test_no_daemon_there(emperor: Emperor) -> None:
    emperor.state.mkdir()
    done = emperor.ctl("status")
    assert done.returncode == 4
    assert str(emperor.control) in done.stderr
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(emperor.control))
    assert emperor.ctl("list").returncode == 4


def test_who_may_not_ask_is_refused_and_not_told_that_nobody_is_there(control: str) -> None:
    """A script that starts what is not there would start a second one."""
    done = subprocess.run(
        [sys.executable, "-c", ASKS_AS_ANOTHER, control],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "permission denied" in done.stderr


ASKS_AS_ANOTHER = """
import os, sys
from emperord.daemon.client import asking
os.setgroups([])
os.setuid(61_009)
asking.ask(sys.argv[1], {"do": "status"})
"""


@pytest.mark.parametrize(
    "said", [b"220 mail.example.org ESMTP\n", b"{}\n", b"[]\n", b"3\n", b'{"ok": "yes"}\n']
)
def test_a_stranger_that_listens_there(emperor: Emperor, said: bytes) -> None:
    emperor.state.mkdir()
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(emperor.control))
        stranger.listen()

        def answer() -> None:
            with stranger.accept()[0] as client:
                client.recv(100)
                client.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        done = emperor.ctl("list")
        thread.join()
    assert done.returncode == 4
    assert "no emperor" in done.stderr


def test_a_daemon_that_does_not_answer_is_not_called_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(asking, "PATIENCE", 0.1)
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(str(tmp_path / "s"))
        hanging.listen()
        with pytest.raises(SystemExit, match="4"):
            asking.ask(str(tmp_path / "s"), {"do": "status"})
    advice = "it may hang or be stopped; if it is killed, its keeper starts another"
    late = f"the daemon at {tmp_path}/s has not answered within 0.1 s; {advice}"
    said = f"emperor-ctl: {late}, and vassals run on\n"
    assert capsys.readouterr().err == said


def test_asked_while_it_is_restarted_it_waits(kept_running: Emperor) -> None:
    """The keeper holds the control socket too, so no client is refused."""
    daemon = kept_running.daemon_pid()
    kept_running.send(signal.SIGSTOP)
    os.kill(daemon, signal.SIGKILL)
    with socket.socket(socket.AF_UNIX) as early:
        early.connect(str(kept_running.control))
        early.sendall(b'{"do": "status"}\n')
        kept_running.send(signal.SIGCONT)
        early.settimeout(20)
        answer = json.loads(early.makefile().readline())
    assert answer["status"]["pid"] != daemon
    kept_running.stop()


def test_while_the_journal_cannot_be_written(running: Emperor) -> None:
    limit = str(16384)
    subprocess.run(["prlimit", "--pid", str(running.daemon_pid()), f"--fsize={limit}:"], check=True)
    (running.vassals / "b.ini").write_text(SLEEPER)
    running.until(lambda: "paused" in running.log(), "it is paused")
    done = running.ctl("status")
    assert (done.returncode, done.stderr) == (3, "")
    assert "\n  paused since " in done.stdout
    assert asked(running, "status", code=3)["paused"] is not None
    assert "cannot be recorded" in refused(running, "stop", "a.ini")
    subprocess.run(
        ["prlimit", "--pid", str(running.daemon_pid()), "--fsize=unlimited:"], check=True
    )
    running.event("spawned", "b.ini")
    assert asked(running, "status")["paused"] is None
    running.stop()

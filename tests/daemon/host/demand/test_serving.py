"""Vassals on demand, with real uWSGI: the first client starts one, and none is refused."""

import os
import stat
import sys
from pathlib import Path

import pytest
from support import clients
from support.daemon import Daemon
from support.descriptors import descriptors
from support.on_demand import App
from support.ports import free_port
from support.vassals import APP, program


def test_a_cold_first_request(daemon: Daemon) -> None:
    app = App(daemon).start()
    assert app.running() == []
    mode = os.stat(app.address).st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o666
    assert clients.curl(app.address)["says"] == "hello"
    first = daemon.phase(app.name, "accepting")
    waiting = daemon.event("connection_waiting", app.name)
    spawned = daemon.event("spawned", app.name)
    assert waiting.actions[0]["do"] == "spawn"
    assert spawned.cause == waiting.seq
    assert waiting.cause == daemon.event("daemon_ready").seq  # which had the daemon listen
    assert app.says() == "hello"
    assert daemon.pid_of(app.name) == first.pid
    daemon.stop()
    assert not os.path.exists(app.address)


@pytest.mark.few(2)
@pytest.mark.parametrize("kind", ["path", "long path", "abstract", "v4", "any", "v6", "localhost"])
def test_every_kind_of_address(daemon: Daemon, kind: str, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    port = free_port()
    app = App(daemon)
    app.address = {
        "path": str(tmp_path / "x.sock"),
        "long path": str(deep / "x.sock"),
        "abstract": f"@emperord-test-{daemon.stamp}",
        "v4": f"127.0.0.1:{port}",
        "any": f":{port}",
        "v6": f"[::1]:{port}",
        "localhost": f"localhost:{port}",
    }[kind]
    app.start()
    reachable = app.address
    if kind == "long path":
        reachable = os.path.relpath(app.address, os.getcwd())
        os.symlink(deep, tmp_path / "s")
        reachable = str(tmp_path / "s" / "x.sock")
    assert clients.ask(reachable)["says"] == "hello"
    daemon.stop()


SLOW = "import time; time.sleep(1)\n" + APP


@pytest.mark.slow
def test_a_hundred_clients_during_the_start(daemon: Daemon) -> None:
    app = App(daemon, code=SLOW).start()
    answers = clients.ask_at_once(app.address, 100)
    assert {answer["says"] for answer in answers} == {"hello"}
    assert daemon.kinds(app.name).count("spawned") == 1
    daemon.stop()


@pytest.mark.slow
def test_they_go_to_sleep_and_wake(daemon: Daemon) -> None:
    """Thirty times: five turns of each of six, side by side, as uWSGI counts whole seconds."""
    turns = 5
    apps = [App(daemon, f"web{number}") for number in range(6)]
    for app in apps:
        app.listen()
        app.write(app.name, idle="1", die_on_idle="true")
    daemon.start()
    for app in apps:
        app.wait()
    held = 0
    for turn in range(1, turns + 1):
        assert [clients.curl(app.address)["says"] for app in apps] == [app.name for app in apps]
        for app in apps:
            daemon.event("vassal_resigned", app.name, count=turn)
            daemon.event("exited", app.name, count=turn)
            daemon.phase(app.name, "listening")
            assert app.running() == []
        if turn == 2:  # by then the daemon has looked at the logs, and locked their directory
            held = len(descriptors(daemon.pid))
    daemon.until(lambda: len(descriptors(daemon.pid)) <= held, "it has no more than then")
    for app in apps:
        kinds = daemon.kinds(app.name)
        for kind in ("connection_waiting", "spawned", "vassal_resigned", "exited"):
            assert kinds.count(kind) == turns
        assert "deadline_passed" not in kinds  # no death is held against it
    daemon.stop()


# It resigns at once when it has answered, so that thirty turns of one take no time.
BRIEF = """
import json, os, socket
from wsgiref.handlers import SimpleHandler
control = int(os.environ["UWSGI_EMPEROR_FD"])
listening = socket.socket(fileno=0)
connection, _ = listening.accept()
connection.recv(65536)
body = json.dumps({"pid": os.getpid()}).encode()
connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + body)
connection.close()
os.write(control, bytes([22]))
os.read(control, 1)
"""


def brief(folder: Path) -> str:
    path = folder / "brief.py"
    path.write_text(BRIEF)
    return program(sys.executable, str(path))


@pytest.mark.slow
def test_thirty_turns(daemon: Daemon, tmp_path: Path) -> None:
    app = App(daemon)
    app.listen()
    (daemon.vassals / app.name).write_text(brief(tmp_path))
    daemon.start()
    app.wait()
    pids = [clients.ask(app.address)["pid"] for _ in range(30)]
    assert len(set(pids)) == 30
    daemon.event("exited", app.name, count=30)
    daemon.phase(app.name, "listening")
    assert daemon.running() == []
    daemon.stop()


def test_reloads_keep_the_socket(daemon: Daemon) -> None:
    app = App(daemon).start("one")
    assert app.says() == "one"
    daemon.phase(app.name, "accepting")
    pid = daemon.pid_of(app.name)
    app.write("two")
    daemon.until(lambda: app.says() == "two", "the change is served")
    assert daemon.pid_of(app.name) == pid
    daemon.stop()

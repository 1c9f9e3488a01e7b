"""Vassals on demand that die, resign, or shut their socket down."""

import os
import signal
import socket
import sys
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest
from support import clients, processes
from support.daemon import Daemon
from support.on_demand import App
from support.ports import free_port
from support.vassals import APP, program, shell

# Clients wait, whatever becomes of the vassal


def test_a_crash_at_start_under_load(daemon: Daemon) -> None:
    """A client in the backlog is not refused, and gets an answer when the app is mended."""
    app = App(daemon, code="raise SystemExit('broken')\n").start()
    with ExitStack() as stack:
        early = [stack.enter_context(clients.dial(app.address)) for _ in range(100)]
        for each in early:
            each.sendall(clients.REQUEST)
        died = daemon.event("exited", app.name, count=2)
        throttled = daemon.event("deadline_passed", app.name)
        assert throttled.at < died.at
        app.module.write_text(APP)
        app.write("mended")
        assert clients.ask(app.address)["says"] == "mended"
        assert [clients.answer(each)["says"] for each in early] == ["mended"] * 100
    deaths = [event.at for event in daemon.events("exited", app.name)]
    starts = [event.at for event in daemon.events("spawned", app.name)]
    # A client always waits, yet it starts no sooner than the throttle says.
    pairs = list(zip(deaths, starts[1:-1], strict=False))
    assert all(start - death >= 200_000_000 for death, start in pairs)
    assert len(starts) <= len(deaths) + 1
    daemon.stop()


RESIGNS = "; ".join(
    (
        "import os, time",
        "os.write(int(os.environ['UWSGI_EMPEROR_FD']), bytes([22]))",
        "time.sleep(1000)",
    )
)


@pytest.mark.slow
def test_who_resigns_before_taking_the_client_is_not_started_in_a_loop(daemon: Daemon) -> None:
    """The client waits on, and is served when the app is mended, which waits for nothing."""
    app = App(daemon)
    app.listen()
    (daemon.vassals / app.name).write_text(program(sys.executable, "-c", RESIGNS))
    daemon.start()
    app.wait()
    with clients.dial(app.address) as waiting:
        daemon.event("vassal_resigned", app.name, count=4)
        app.write("mended")
        assert clients.finish(waiting)["says"] == "mended"
    ordered = [
        event.at
        for event in daemon.events(vassal=app.name)
        if any(action["do"] == "spawn" for action in event.actions)
    ]
    assert len(ordered) > 4
    pauses = [later - former for former, later in pairwise(ordered[:4])]
    assert all(pause >= 200_000_000 for pause in pauses)
    daemon.stop()


def test_a_death_leaves_clients_waiting(daemon: Daemon, tmp_path: Path) -> None:
    app = App(daemon).start()
    for _ in range(3):
        pid = app.says() and daemon.phase(app.name, "accepting").pid
        daemon.event("vassal_loyal", app.name)
        assert pid is not None
        both = app.running()
        for each in both:
            os.kill(each, signal.SIGSTOP)
        with clients.dial(app.address) as waiting:
            for each in both:
                processes.kill(each)
            assert clients.finish(waiting)["says"] == "hello"
    daemon.stop()


SHUTS = """
import json, os, socket
control = int(os.environ["UWSGI_EMPEROR_FD"])
listening = socket.socket(fileno=0)
connection, _ = listening.accept()
connection.recv(65536)
listening.shutdown(int(os.environ["UWSGI_HOW"]))  # as many do to end their threads that accept
connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + json.dumps({"pid": os.getpid()}).encode())
connection.close()
os.write(control, bytes([22]))
os.read(control, 1)
"""


@pytest.mark.few(1)
@pytest.mark.parametrize("how", [socket.SHUT_RD, socket.SHUT_RDWR])
@pytest.mark.parametrize("kind", ["path", "v4"])
def test_who_shuts_the_socket_down_does_not_end_the_address(
    daemon: Daemon, tmp_path: Path, kind: str, how: int
) -> None:
    """It is the daemon's socket as well: what one copy suffers, all do."""
    script = tmp_path / "shuts.py"
    script.write_text(SHUTS)
    daemon.environ["UWSGI_VASSAL_HOW"] = str(int(how))
    app = App(daemon, "shuts")
    if kind == "v4":
        app.address = f"127.0.0.1:{free_port()}"
    app.listen()
    (daemon.vassals / app.name).write_text(program(sys.executable, str(script)))
    daemon.start()
    seen: set[int | None] = {None}
    for _ in range(3):
        daemon.until(lambda: clients.socket_at(app.address) not in seen, "it is made anew")
        seen.add(clients.socket_at(app.address))
        assert clients.ask(app.address)["pid"] > 1
    daemon.event("spawned", app.name, count=3)
    assert daemon.kinds(app.name).count("spawned") == 3
    daemon.stop()


@pytest.mark.slow
def test_while_nobody_accepts_the_daemon_does_not_spin(daemon: Daemon) -> None:
    """A client waits for a vassal that hangs at its start: that costs nothing."""
    app = App(daemon)
    app.listen()
    (daemon.vassals / app.name).write_text(shell("sleep 1000"))
    daemon.start()
    app.wait()
    with clients.dial(app.address):
        daemon.phase(app.name, "ready")
        before = cpu(daemon.pid)
        after = daemon.last_seq()
        (daemon.vassals / "other.ini").write_text(shell("sleep 1; exec sleep 1000"))
        other = daemon.event("spawned", "other.ini", after=after)
        (daemon.vassals / "other.ini").unlink()
        daemon.event("exited", "other.ini", after=other.seq)
        assert daemon.kinds(app.name).count("connection_waiting") == 1
        assert cpu(daemon.pid) - before < 2
    daemon.stop()


def cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

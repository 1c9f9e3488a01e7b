"""Vassals on demand, with real uWSGI: nothing runs before the first client, none is refused."""

import os
import signal
import socket
import stat
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from support import clients, processes
from support.daemon import Daemon
from support.root import need_root
from support.vassals import APP, free_port, program, shell

from ..conftest import MakeDaemon

BESIDE = ("--on-demand-extension", ".socket")


class App:
    """A WSGI application on demand; its config has no socket of its own."""

    def __init__(self, daemon: Daemon, name: str = "web", code: str = APP) -> None:
        self.daemon = daemon
        self.name = f"{name}.ini"
        self.address = str(daemon.folder / f"{name}.sock")
        self.module = daemon.folder / f"{name}_app.py"
        self.module.write_text(code)

    def write(self, says: str = "hello", **options: str) -> None:
        """Write its config; a changed one reloads."""
        told = {
            "protocol": "http",
            "wsgi-file": str(self.module),
            "master": "true",
            "need-app": "true",
            "env": f"SAYS={says}",
            **{key.replace("_", "-"): value for key, value in options.items()},
        }
        lines = "".join(f"{key} = {value}\n" for key, value in told.items())
        (self.daemon.vassals / self.name).write_text(f"[uwsgi]\n{lines}")

    def listen(self, address: str | None = None) -> None:
        """Say where it is to be had, in the file beside its config."""
        self.address = address or self.address
        (self.daemon.vassals / f"{self.name}.socket").write_text(f"{self.address}\n")

    def start(self, says: str = "hello", **options: str) -> "App":
        """Have it listened for."""
        self.listen()
        self.write(says, **options)
        if self.daemon.process is None:
            self.daemon.start()
        self.wait()
        return self

    def wait(self) -> None:
        """Until it is listened for: an order is journaled before it is carried out."""
        self.daemon.phase(self.name, "listening")
        self.daemon.until(lambda: clients.listened_at(self.address), "it is listened for")

    def says(self) -> str:
        """The answer to a client."""
        return str(clients.ask(self.address)["says"])

    def running(self) -> list[int]:
        """Its processes."""
        return self.daemon.running_for(self.name)


@pytest.fixture
def daemon(make_daemon: MakeDaemon) -> Daemon:
    return make_daemon(*BESIDE, "--throttle", "200")


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
            held = len(os.listdir(f"/proc/{daemon.pid}/fd"))
    assert len(os.listdir(f"/proc/{daemon.pid}/fd")) == held
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


# Restarts of the daemon


@pytest.mark.few(1)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_restarted_while_listening(daemon: Daemon, how: int) -> None:
    """Without a keeper: a socket file that a dead daemon left is replaced."""
    app = App(daemon).start()
    if how == signal.SIGKILL:
        daemon.kill()
        assert os.path.exists(app.address)
    else:
        daemon.stop()
        assert not os.path.exists(app.address)
    daemon.start()
    app.wait()
    assert app.says() == "hello"
    daemon.stop()


def test_under_a_keeper_the_address_is_never_refused(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(*BESIDE)
    daemon.module = "emperord.daemon.keeper"
    app = App(daemon).start()
    other = App(daemon, "other").start()
    assert other.says() == "hello"
    daemon.phase(other.name, "accepting")
    daemon_pid = processes.children_of(daemon.pid)[0]
    with clients.dial(app.address) as connected:  # it is wanted just when nobody is there
        after = daemon.last_seq()
        processes.kill(daemon_pid)
        for _ in range(50):
            clients.dial(app.address).close()
            clients.dial(other.address).close()
        daemon.event("daemon_ready", after=after)
        assert clients.finish(connected)["says"] == "hello"
    assert other.says() == "hello"
    inode = os.stat(app.address).st_ino
    after = daemon.last_seq()
    daemon.send(signal.SIGUSR2)
    daemon.event("daemon_ready", after=after)
    assert app.says() == "hello"
    assert os.stat(app.address).st_ino == inode
    daemon.stop()
    assert not os.path.exists(app.address)


@pytest.mark.slow
def test_an_upgrade_with_other_options_changes_the_socket(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    options = tmp_path / "emperor.yml"
    options.write_text("on-demand-mode: '666'\n")
    daemon = make_daemon(*BESIDE, "--config", str(options))
    daemon.module = "emperord.daemon.keeper"
    app = App(daemon).start()
    before = os.stat(app.address)
    assert stat.S_IMODE(before.st_mode) == 0o666
    options.write_text("on-demand-mode: '600'\n")
    daemon.send(signal.SIGUSR2)
    daemon.until(lambda: stat.S_IMODE(os.stat(app.address).st_mode) == 0o600, "its mode is new")
    assert os.stat(app.address).st_ino == before.st_ino
    assert app.says() == "hello"
    daemon.stop()


# Addresses that change


def refused(address: str) -> bool:
    try:
        clients.dial(address).close()
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    return False


def test_changing_adding_and_removing_the_address(daemon: Daemon, tmp_path: Path) -> None:
    app = App(daemon).start()
    first = app.address
    assert app.says() == "hello"
    app.listen(f"127.0.0.1:{free_port()}")  # while it runs
    daemon.event("exited", app.name)
    app.wait()
    daemon.until(lambda: refused(first), "it listens at the first no longer")
    assert not os.path.exists(first)
    second = app.address
    app.listen(first)  # while it listens
    daemon.until(lambda: clients.listened_at(first), "it listens at the first again")
    assert refused(second)
    assert app.says() == "hello"
    daemon.phase(app.name, "accepting")
    (daemon.vassals / f"{app.name}.socket").unlink()
    daemon.event("exited", app.name, count=2)
    app.write(http_socket=second)
    daemon.until(lambda: not refused(second), "it runs by itself")
    daemon.phase(app.name, "accepting")
    assert not os.path.exists(first)
    app.listen(first)
    daemon.until(lambda: os.path.exists(first), "it is on demand again")
    app.write()
    (daemon.vassals / app.name).unlink()
    daemon.gone(app.name)
    daemon.until(lambda: not os.path.exists(first), "its socket is gone")
    daemon.stop()


def test_two_vassals_with_one_address(daemon: Daemon) -> None:
    one = App(daemon, "one").start("one")
    two = App(daemon, "two")
    two.listen(one.address)
    two.write("two")
    barred = daemon.phase(two.name, "barred")
    assert barred.reason == f"cannot listen at {one.address}: it is one.ini's address"
    assert clients.ask(one.address)["says"] == "one"
    first = clients.socket_at(one.address)
    (daemon.vassals / one.name).unlink()
    # The first is gone, and so is the socket that it had.
    daemon.until(lambda: clients.socket_at(one.address) not in (None, first), "the second listens")
    assert two.says() == "two"
    daemon.stop()


@pytest.mark.slow
def test_the_same_port_written_otherwise(daemon: Daemon) -> None:
    port = free_port()
    one, two = App(daemon, "one"), App(daemon, "two")
    one.address = f":{port}"
    one.start()
    two.listen(f"127.0.0.1:{port}")
    two.write()
    reason = daemon.phase(two.name, "barred").reason
    assert reason == f"cannot listen at 127.0.0.1:{port}: it is one.ini's address (:{port})"
    daemon.stop()


def test_a_strangers_port_is_not_another_vassals(daemon: Daemon) -> None:
    """The port is the same, the address is not: who has it is somebody else, and may leave."""
    one, two = App(daemon, "one"), App(daemon, "two")
    one.address = f"127.0.0.1:{free_port()}"
    one.start()
    two.address = one.address.replace("127.0.0.1", "127.0.0.2")
    with socket.create_server(("127.0.0.2", int(two.address.rpartition(":")[2]))):
        two.listen()
        two.write("two")
        reason = daemon.phase(two.name, "throttled").reason
        assert reason == f"cannot listen at {two.address}: Address already in use"
    two.wait()
    assert two.says() == "two"
    daemon.stop()


def a_file(path: Path) -> Callable[[], None]:
    path.write_text("precious")
    return lambda: None if path.read_text() == "precious" else pytest.fail("it was touched")


def a_directory(path: Path) -> Callable[[], None]:
    path.mkdir()
    return lambda: None if path.is_dir() else pytest.fail("it was touched")


def a_link(path: Path) -> Callable[[], None]:
    path.symlink_to("elsewhere")
    return lambda: None if path.is_symlink() else pytest.fail("it was touched")


@pytest.mark.few(1)
@pytest.mark.parametrize("make", [a_file, a_directory, a_link])
def test_what_is_no_socket_is_never_deleted(
    daemon: Daemon, make: Callable[[Path], Callable[[], None]]
) -> None:
    app = App(daemon)
    check = make(Path(app.address))
    app.listen()
    app.write()
    daemon.start()
    barred = daemon.phase(app.name, "barred")
    assert barred.reason == f"{app.address} is in the way and is no socket; remove it"
    (daemon.vassals / app.name).unlink()
    daemon.gone(app.name)
    daemon.stop()
    check()


def test_a_socket_at_which_somebody_listens_is_left_alone(daemon: Daemon) -> None:
    app = App(daemon)
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(app.address)
        stranger.listen()
        app.listen()
        app.write()
        daemon.start()
        throttled = daemon.phase(app.name, "throttled")
        assert throttled.reason == f"cannot listen at {app.address}: Address already in use"
        assert not refused(app.address)
    app.wait()  # tried again, and the stranger is gone
    assert app.says() == "hello"
    daemon.stop()


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("example.com:80", "example.com is no IP address; names are not looked up"),
        ("127.0.0.1:0", "has no port from 1 to 65535"),
        ("127.0.0.1:0000080", "has no port from 1 to 65535"),
        ("127.0.0.1:http", "has no port from 1 to 65535"),
        ("@" + "x" * 200, "too long"),
    ],
)
def test_addresses_that_are_none(daemon: Daemon, address: str, reason: str) -> None:
    app = App(daemon)
    app.listen(address)
    app.write()
    daemon.start()
    assert reason in (daemon.phase(app.name, "barred").reason or "")
    daemon.stop()


def test_an_address_that_is_not_there_yet_is_waited_for(daemon: Daemon, tmp_path: Path) -> None:
    app = App(daemon)
    app.listen(str(tmp_path / "later" / "x.sock"))
    app.write()
    daemon.start()
    daemon.phase(app.name, "throttled")
    (tmp_path / "later").mkdir()
    app.wait()
    assert app.says() == "hello"
    daemon.stop()


def test_a_config_that_binds_the_address_itself_is_told_of(daemon: Daemon) -> None:
    app = App(daemon)
    app.start(socket=app.address)
    said = f"its config binds {app.address} itself"
    daemon.until(lambda: said in daemon.log(), "it is said")
    daemon.stop()


def test_a_socket_file_that_is_lost_is_made_anew(daemon: Daemon) -> None:
    app = App(daemon).start()
    os.unlink(app.address)
    daemon.until(lambda: clients.listened_at(app.address), "it is there again")
    assert app.says() == "hello"
    daemon.stop()


# Options


def test_mode_and_owner(make_daemon: MakeDaemon) -> None:
    need_root("give sockets away")
    options = ("--on-demand-mode", "600", "--on-demand-owner", "12345:12346")
    daemon = make_daemon(*BESIDE, *options)
    app = App(daemon).start()
    status = os.stat(app.address)
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert (status.st_uid, status.st_gid) == (12345, 12346)
    daemon.stop()


def test_so_many_clients_may_wait(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(*BESIDE, "--on-demand-backlog", "3")
    app = App(daemon)
    app.listen()
    (daemon.vassals / app.name).write_text(program("sleep", "1000"))  # it takes none of them
    daemon.start()
    app.wait()
    waiting = 0
    with ExitStack() as stack:
        while True:
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            try:
                client.connect(app.address)
            except BlockingIOError:  # a client that can wait would, here too
                break
            waiting += 1
    assert waiting == 4  # the kernel lets in one more than it is told (listen(2))
    daemon.stop()


def test_a_directory_of_sockets(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    sockets = tmp_path / "sockets"
    sockets.mkdir()
    daemon = make_daemon("--on-demand-directory", str(sockets))
    app = App(daemon)
    app.write()
    app.address = str(sockets / "web.socket")
    daemon.start()
    app.wait()
    assert app.says() == "hello"
    daemon.stop()


def test_a_command_says_the_address(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    script = tmp_path / "where"
    script.write_text(f'#!/bin/sh\nset -e\ncat "{tmp_path}/$(basename "$1").address"\n')
    script.chmod(0o755)
    daemon = make_daemon("--on-demand-exec", f"{script}")
    name = "we b;$(touch x).ini"  # meets no shell
    app = App(daemon, name.removesuffix(".ini"))
    app.address = str(tmp_path / "x.sock")
    app.write()
    daemon.start()
    rejected = daemon.event("observation_rejected")
    assert (
        rejected.body["reason"]
        == f"it cannot be read: --on-demand-exec {script} failed with code 1"
    )
    (tmp_path / f"{name}.address").write_text(app.address)
    app.wait()
    assert app.says() == "hello"
    (tmp_path / f"{name}.address").unlink()
    app.write("changed")  # a config without its address does not end the process
    daemon.event("observation_rejected", count=2)
    assert app.says() == "hello"
    assert not (daemon.vassals / "x").exists()
    daemon.stop()


def test_a_command_that_hangs_is_ended(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    daemon = make_daemon("--on-demand-exec", "sh -c 'sleep 1000; true'")
    App(daemon).write()
    daemon.launch()
    rejected = daemon.event("observation_rejected")
    assert "did not end within 5 s" in rejected.body["reason"]
    daemon.send(signal.SIGTERM)
    assert daemon.wait() == 0
    daemon.until(lambda: not daemon.running(), "nothing of it is left")


@pytest.mark.few(1)
@pytest.mark.parametrize("text", ["", "\n", "   \n127.0.0.1:1\n"])
def test_an_empty_file_beside_says_that_it_is_not_on_demand(daemon: Daemon, text: str) -> None:
    (daemon.vassals / "a.ini.socket").write_text(text)
    (daemon.vassals / "a.ini").write_text(program("sleep", "1000"))
    daemon.start()
    daemon.phase("a.ini", "ready")
    daemon.stop()


def test_the_file_beside_is_seen_without_events(make_daemon: MakeDaemon) -> None:
    """The safety net sees it too: here it is reached through a directory nobody watches."""
    daemon = make_daemon(*BESIDE, monitors=["vassals/*.ini"])
    app = App(daemon)
    app.name = "vassals/web.ini"
    (daemon.vassals / "web.ini").write_text(program("sleep", "1000"))
    daemon.start()
    daemon.phase(app.name, "ready")
    (daemon.vassals / "web.ini.socket").write_text(app.address)
    daemon.phase(app.name, "listening")
    daemon.until(partial(os.path.exists, app.address), "it listens")
    daemon.stop()

"""``listen``: sockets that are kept for a program, over restarts, deaths and changes of it."""

import os
import signal
import socket
import stat
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from support import clients, processes
from support.answering import clients_at, server, tcp
from support.daemon import Daemon
from support.ports import free_root_port
from support.serving import serving
from support.tyrant import ALICE, ALICES, TyrantDaemon
from support.vassals import SLEEPER, Application

from ..conftest import MakeDaemon, MakeEmperor

MakeTyrant = Callable[..., TyrantDaemon]


def test_no_client_is_lost_over_restart_change_and_deaths(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    """By request, by another program, and as the daemon dies."""
    emperor = make_emperor()
    addresses = (tcp(), str(tmp_path / "a.sock"))
    config = emperor.vassals / "a.ini"
    config.write_text(server(tmp_path, "one", *addresses))
    emperor.start()
    emperor.phase("a.ini", "ready")
    with clients_at(*addresses) as told:
        emperor.until(lambda: told, "clients are served")
        assert emperor.ctl("restart", "a.ini").returncode == 0
        config.write_text(server(tmp_path, "two", *addresses))
        emperor.until(lambda: "two" in told, "the other program serves")
        pid = emperor.pid_of("a.ini")
        emperor.restart()
        count = len(told)
        emperor.until(lambda: len(told) > count + 10, "clients are served meanwhile")
        assert emperor.phase("a.ini", "ready").pid == pid
        config.write_text(server(tmp_path, "three", *addresses))
        emperor.until(lambda: "three" in told, "the third program serves")
    assert set(told) == {"one", "two", "three"}
    config.unlink()
    emperor.gone("a.ini")
    emperor.until(lambda: not os.path.exists(addresses[1]), "its file is gone")
    # The keeper closes its copy a moment after the daemon.
    emperor.until(lambda: all(map(is_refused, addresses)), "its addresses refuse clients")
    emperor.stop()


def is_refused(address: str) -> bool:
    try:
        clients.dial(address).close()
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    return False


def test_clients_of_a_dead_program_wait_for_the_next(daemon: Daemon, tmp_path: Path) -> None:
    address = tcp()
    (daemon.vassals / "a.ini").write_text(server(tmp_path, "one", address))
    daemon.start()
    pid = daemon.phase("a.ini", "ready").pid or 0
    os.kill(pid, signal.SIGSTOP)
    with clients.dial(address) as waiting:
        processes.kill(pid)
        assert clients.finish(waiting) == "one"
    daemon.stop()


def test_a_socket_that_only_the_program_has_is_copied_from_it(
    daemon: Daemon, tmp_path: Path
) -> None:
    """As keeper and daemon have both died: here there is no keeper, so the daemon alone dies."""
    addresses = (tcp(), str(tmp_path / "a.sock"), f"@{tmp_path}")
    (daemon.vassals / "a.ini").write_text(server(tmp_path, "one", *addresses))
    daemon.start()
    pid = daemon.phase("a.ini", "ready").pid or 0
    assert {clients.ask(each) for each in addresses} == {"one"}
    daemon.kill()
    daemon.start()
    assert daemon.phase("a.ini", "ready").pid == pid
    os.kill(pid, signal.SIGSTOP)
    with ExitStack() as stack:
        waiting = [stack.enter_context(clients.dial(each)) for each in addresses]
        processes.kill(pid)
        assert {clients.finish(each) for each in waiting} == {"one"}
    (daemon.vassals / "a.ini").unlink()
    daemon.gone("a.ini")
    daemon.until(lambda: not os.path.exists(addresses[1]), "its file is gone")
    daemon.stop()


def test_an_address_that_another_program_has_costs_no_service(
    daemon: Daemon, tmp_path: Path
) -> None:
    kept, new = tcp(), tcp()
    config = daemon.vassals / "a.ini"
    config.write_text(server(tmp_path, "one", kept))
    daemon.start()
    pid = daemon.phase("a.ini", "ready").pid
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        config.write_text(server(tmp_path, "two", kept, new, taken))
        body = daemon.event("listen_refused", "a.ini").body
        assert body["reason"] == f"cannot listen at {taken}: Address already in use"
        assert daemon.phase("a.ini", "ready").pid == pid
        assert clients.ask(kept) == "one"
        with pytest.raises(ConnectionRefusedError):
            clients.dial(new)
    config.write_text(server(tmp_path, "two", new, taken))
    daemon.event("exited", "a.ini")
    assert clients.ask(new) == clients.ask(taken) == "two"
    daemon.until(lambda: not clients.listened_at(kept), "what it has no more is closed")
    daemon.stop()


FIRST = {
    "a file in the way": (lambda folder: str(folder / "precious"), "barred", "is no socket"),
    "an address that is taken": (lambda folder: None, "throttled", "Address already in use"),
}


@pytest.mark.parametrize(("address", "phase", "reason"), FIRST.values(), ids=FIRST)
def test_a_first_start_without_its_address_fails(
    make_daemon: MakeDaemon,
    tmp_path: Path,
    address: Callable[[Path], str | None],
    phase: str,
    reason: str,
) -> None:
    daemon = make_daemon("--throttle", "1000000", "--max-throttle", "1000000")
    (tmp_path / "precious").write_text("precious")
    with ExitStack() as stack:
        where = address(tmp_path)
        if where is None:
            other = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            where = f"127.0.0.1:{other.getsockname()[1]}"
        (daemon.vassals / "a.ini").write_text(server(tmp_path, "one", where))
        daemon.start()
        vassal = daemon.phase("a.ini", phase)
        assert reason in (vassal.reason or "")
    assert (tmp_path / "precious").read_text() == "precious"
    daemon.stop()


def test_mode_owner_and_backlog_of_its_socket(daemon: Daemon, tmp_path: Path) -> None:
    address = str(tmp_path / "a.sock")
    settings = {"listen_mode": "640", "listen_owner": "4242:4343", "listen_backlog": "7"}
    (daemon.vassals / "a.ini").write_text(server(tmp_path, "one", address, **settings))
    daemon.start()
    daemon.phase("a.ini", "ready")
    status = os.stat(address)
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o640, 4242, 4343)
    daemon.stop()


def test_a_socket_file_that_is_removed_is_told(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    emperor = make_emperor(keeper=False)
    address = tmp_path / "a.sock"
    (emperor.vassals / "a.ini").write_text(f"{SLEEPER}listen = {address}\n")
    emperor.start()
    emperor.phase("a.ini", "ready")
    address.unlink()
    text = f"a.ini: the file of its socket {address} was removed"
    emperor.until(lambda: text in emperor.log(), "it is told")
    assert emperor.ctl("restart", "a.ini").returncode == 0
    clients.dial(str(address)).close()
    emperor.stop()


def test_uwsgi_has_it_as_fd_3(daemon: Daemon) -> None:
    """Over a reload in place, too. Without LISTEN_PID uWSGI adds no socket of its own."""
    app = Application(daemon.vassals)
    kept = f"[emperor]\nlisten = 127.0.0.1:{app.port}\n"
    config = daemon.vassals / "a.ini"
    config.write_text(app.config("one", http_socket="fd://3") + kept)
    daemon.start()
    daemon.phase("a.ini", "accepting")
    serving(daemon, app, "one")
    pid = daemon.pid_of("a.ini")
    config.write_text(app.config("two", http_socket="fd://3") + kept)
    serving(daemon, app, "two")
    assert daemon.pid_of("a.ini") == pid
    assert "File exists" not in daemon.vassal_log("a.ini")
    daemon.stop()


# Its first request waits until it is let go.
WAITS = """
import os
def application(environ, start_response):
    open(os.environ["SAYS"] + ".taken", "w").close()
    open(os.environ["SAYS"]).close()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b'"answered"']
"""


def test_a_restart_of_uwsgi_answers_what_it_has_accepted(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    emperor = make_emperor(keeper=False)
    app, gate = Application(emperor.vassals, WAITS), tmp_path / "gate"
    os.mkfifo(gate)
    config = app.config(str(gate), http_socket="fd://3")
    emperor.put("a.ini", f"{config}[emperor]\nlisten = 127.0.0.1:{app.port}\n")
    emperor.start()
    emperor.phase("a.ini", "accepting")
    with clients.dial(f"127.0.0.1:{app.port}") as client:
        client.sendall(clients.REQUEST)
        emperor.until(Path(f"{gate}.taken").exists, "the request is taken")
        assert emperor.ctl("restart", "--no-wait", "a.ini").returncode == 0
        emperor.phase("a.ini", "stopping")
        with gate.open("w"):
            assert clients.answer(client) == "answered"
    emperor.event("exited", "a.ini")
    emperor.stop()


# In tyrant mode


def test_a_tenants_socket_is_its_own(make_tyrant: MakeTyrant) -> None:
    tyrant = make_tyrant()
    folder = tyrant.folder / "alice"
    folder.mkdir()
    os.chown(folder, ALICE, ALICES)
    tyrant.put("a.ini", f"{SLEEPER}listen = {folder}/a.sock\n")
    tyrant.start()
    pid = tyrant.phase("a.ini", "ready").pid or 0
    status = (folder / "a.sock").stat()
    assert (status.st_uid, status.st_gid) == (ALICE, ALICES)
    tyrant.until(lambda: processes.argv_of(pid)[:1] == ["sleep"], "it has come to its program")
    assert os.readlink(f"/proc/{pid}/fd/3").startswith("socket:")
    environment = processes.environment_of(pid)
    assert environment["LISTEN_PID"] == str(pid)
    assert environment["LISTEN_FDNAMES"] == f"{folder}/a.sock"
    tyrant.stop()


BARRED = {
    "root's directory": ("/a.sock", "; a socket of its listen must be in a directory of its"),
    "a root's port": ("127.0.0.1:1023", "in tyrant mode ports below 1024 are root's"),
    "an owner": (":8000\nlisten-owner = root", "in tyrant mode its source says whose it is"),
}


@pytest.mark.parametrize(("listen", "reason"), BARRED.values(), ids=BARRED)
def test_what_a_tenant_may_not_have(make_tyrant: MakeTyrant, listen: str, reason: str) -> None:
    tyrant = make_tyrant()
    tyrant.put("a.ini", f"{SLEEPER}listen = {listen}\n")
    tyrant.start()
    assert reason in (tyrant.phase("a.ini", "barred").reason or "")
    tyrant.stop()


def test_a_roots_port_that_an_option_allows(make_tyrant: MakeTyrant) -> None:
    port = free_root_port()
    tyrant = make_tyrant("--allow-ports", f"{port - 1}-{port}")
    tyrant.put("a.ini", f"{SLEEPER}listen = 127.0.0.1:{port}\n")
    tyrant.start()
    tyrant.phase("a.ini", "ready")
    tyrant.stop()

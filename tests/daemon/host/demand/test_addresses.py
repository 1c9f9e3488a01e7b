"""Addresses on demand: who has one, which are refused, and what is in their place."""

import os
import socket
import stat
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from support import clients
from support.daemon import Daemon
from support.on_demand import BESIDE, App
from support.ports import free_port
from support.root import need_root
from support.vassals import program

from ...conftest import MakeDaemon

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
    """The port is the same, the address is not: its holder is another process, and may leave."""
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

    def answers() -> bool:
        try:
            return app.says() == "hello"
        except (FileNotFoundError, ConnectionRefusedError):  # not made, or does not listen yet
            return False

    daemon.until(answers, "it is there again")
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

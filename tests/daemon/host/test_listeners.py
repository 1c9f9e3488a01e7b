"""The holder of an address that cannot be had, and configs that would take one away."""

import os
import re
import socket
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from emperord.daemon.host.listen_address import CannotListen, binds_itself
from emperord.daemon.host.listeners import Listeners
from emperord.daemon.host.opening import Listener
from emperord.daemon.host.socket_files import Terms, remove
from emperord.daemon.keeper.link import KeeperLink
from support.ports import free_port
from support.root import need_root
from support.tyrant import ALICE, BOB

TERMS = Terms(0o666, -1, -1, 8)


@pytest.fixture
def listeners() -> Iterator[Listeners]:
    listeners = Listeners(KeeperLink(None))
    yield listeners
    unlisten_all(listeners)


def listen(listeners: Listeners, vassal: str, address: str, how: Terms) -> Listener:
    """Listen as the daemon does, without threads."""
    opening = listeners.opening(vassal, address, how)
    opening.run()
    if opening.made is not None:
        listeners.forget(vassal)
    return listeners.finish(opening)


def unlisten_all(listeners: Listeners) -> None:
    for vassal in listeners.vassals():
        listener = listeners.get(vassal)
        assert listener is not None
        listeners.forget(vassal)
        remove(listener.file, listener.how)


@pytest.mark.parametrize(
    ("first", "second", "excludes"),
    [
        ("127.0.0.1:1", "localhost:1", True),
        ("127.0.0.1:1", "[::ffff:127.0.0.1]:1", True),
        ("127.0.0.1:1", "127.0.0.2:1", False),
        ("127.0.0.1:1", "127.0.0.1:2", False),
        (":1", "127.0.0.2:1", True),
        ("[::]:1", ":1", True),
        ("[::]:1", "[::1]:1", True),
        ("[::1]:1", ":1", False),
        ("[::1]:1", "[0:0:0:0:0:0:0:1]:1", True),
        ("@x", "@x", True),
        ("@x", "@y", False),
        ("@x", ":1", False),
    ],
)
def test_two_vassals(listeners: Listeners, first: str, second: str, excludes: bool) -> None:
    """The kernel says which two addresses exclude each other, and we say why."""
    ports = {"1": str(free_port()), "2": str(free_port())}
    stamp = uuid.uuid4().hex

    def real(address: str) -> str:
        port = re.sub(r"(?<=:)[12]$", lambda found: ports[found[0]], address)
        return port.replace("@", f"@{stamp}")

    for one, other in ((first, second), (second, first)):
        listen(listeners, "one.ini", real(one), TERMS)
        if excludes:
            with pytest.raises(CannotListen, match=r"it is one\.ini's address") as error:
                listen(listeners, "two.ini", real(other), TERMS)
            assert (error.value.holder, error.value.fault) == ("one.ini", "address")
            assert error.value.held_as == real(one)
        else:
            listen(listeners, "two.ini", real(other), TERMS)
        unlisten_all(listeners)


def test_a_stranger(listeners: Listeners) -> None:
    """The port is another vassal's too, but not this address: the stranger may leave again."""
    port = free_port()
    listen(listeners, "one.ini", f"127.0.0.1:{port}", TERMS)
    with (
        socket.create_server(("127.0.0.2", port)),
        pytest.raises(CannotListen, match="Address already in use") as error,
    ):
        listen(listeners, "two.ini", f"127.0.0.2:{port}", TERMS)
    assert (error.value.holder, error.value.fault) == (None, "busy")
    listen(listeners, "two.ini", f"127.0.0.2:{port}", TERMS)


def fit(path: Path) -> int:
    """How many clients may wait there."""
    with ExitStack() as stack:
        for number in range(100):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            try:
                client.connect(str(path))
            except BlockingIOError:
                return number
    raise AssertionError("any number")


def test_a_socket_of_another_process_is_not_asked_by_a_client(
    listeners: Listeners, tmp_path: Path
) -> None:
    """The client would wake what listens there, which may be another emperor's vassal."""
    path = str(tmp_path / "a.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as theirs:
        theirs.bind(path)
        theirs.listen()
        theirs.setblocking(False)
        with pytest.raises(CannotListen):
            listen(listeners, "one.ini", path, TERMS)
        with pytest.raises(BlockingIOError):
            theirs.accept()
    listen(listeners, "one.ini", path, TERMS)  # its process has closed it


def test_other_terms_for_a_socket_that_goes_on(listeners: Listeners, tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    first = listen(listeners, "one.ini", str(path), TERMS)
    assert fit(path) == 9
    for _ in range(9):
        first.socket.accept()[0].close()
    again = listen(listeners, "one.ini", str(path), TERMS._replace(mode=0o600, backlog=3))
    assert again.socket is first.socket
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert fit(path) == 4
    other = TERMS._replace(user=os.geteuid() + 1)
    with pytest.raises(CannotListen, match="must be in a directory of its vassal's user"):
        listen(listeners, "one.ini", str(path), other)


NO_ADDRESSES = {
    "eight digits": ("127.0.0.1:00102480", "has no port"),
    "a number of thousands of digits": (":" + "9" * 4000, "has no port"),
    "other digits": (":\u0668\u0660", "has no port"),
    "too large": (":65536", "has no port"),
    "a scope that is no name": ("[fe80::1%\u00e9\u2028]:80", "cannot listen at"),
    "a scope that is not there": ("[fe80::1%nosuch]:80", "Name or service not known"),
    "a NUL": ("/run/a\0b", "or has a NUL"),
    "a surrogate": ("/run/\ud800", "cannot listen at"),
    "a megabyte": ("/" * (1 << 20), "is too long"),
}


@pytest.mark.parametrize(("address", "reason"), NO_ADDRESSES.values(), ids=NO_ADDRESSES)
def test_an_address_that_bind_cannot_take_is_a_reason(
    listeners: Listeners, address: str, reason: str
) -> None:
    with pytest.raises(CannotListen, match=reason) as error:
        listen(listeners, "one.ini", address, TERMS)
    assert error.value.fault == "address"
    assert not binds_itself(b"[uwsgi]\nsocket = %b\n" % address.encode(errors="replace"), ":80")


BINDS = {
    "ini": (b"[uwsgi]\nhttp-socket = /run/x.sock\n", "/run/x.sock", True),
    "ini, no spaces": (b"[uwsgi]\r\nsocket=@x\r\n", "@x", True),
    "yaml": (b"uwsgi:\n  socket: :8000\n", ":8000", True),
    "yaml, quoted": (b"uwsgi:\n  uwsgi-socket: '@x'\n", "@x", True),
    "json": (b'{"uwsgi":{"master":true,"http":"127.0.0.1:8000"}}', "127.0.0.1:8000", True),
    "xml": (b"<uwsgi><socket>/run/x.sock</socket></uwsgi>", "/run/x.sock", True),
    "stats": (b"[uwsgi]\nstats = /run/x.sock\n", "/run/x.sock", True),
    "written otherwise": (b"[uwsgi]\nsocket = 0.0.0.0:8000\n", ":8000", True),
    "a part of it": (b"[uwsgi]\nsocket = 127.0.0.1:8000\n", ":8000", True),
    "another path": (b"[uwsgi]\nsocket = /run/x.sock2\n", "/run/x.sock", False),
    "another port": (b"[uwsgi]\nsocket = :80001\n", ":8000", False),
    "another address": (b"[uwsgi]\nsocket = 127.0.0.2:80\n", "127.0.0.1:80", False),
    "no address": (b"[uwsgi]\nsocket = %n:http\n", ":8000", False),
    "another option": (b"[uwsgi]\nchmod-socket = 666\nsocket-timeout = 5\n", "666", False),
    "an address that is none": (b"[uwsgi]\nsocket = x:http\n", "x:http", False),
    "a comment": (b"[uwsgi]\n ; socket = @x\n# socket = @x\n", "@x", False),
    "a comment of xml": (b"<uwsgi><!-- <socket>\n@x</socket> --></uwsgi>", "@x", False),
    "nothing": (b"", "@x", False),
}


@pytest.mark.parametrize(("config", "address", "binds"), BINDS.values(), ids=BINDS)
def test_whether_a_config_binds_the_address_itself(
    config: bytes, address: str, binds: bool
) -> None:
    assert binds_itself(config, address) == binds


def test_a_config_of_beginnings_of_comments_is_looked_at_once() -> None:
    """The author of a config must not keep the daemon busy with it: this took a minute."""
    before = time.process_time()
    assert not binds_itself(b"<!--" * (1 << 16), "@x")
    assert time.process_time() - before < 5


def test_a_config_of_addresses_is_looked_at_in_part() -> None:
    """A file has a megabyte at most, and the daemon does nothing else meanwhile: this took 1 s."""
    before = time.process_time()
    assert not binds_itself(b"socket=a:1\n" * (1 << 17), ":80")
    assert time.process_time() - before < 0.3


@pytest.mark.parametrize(
    ("owner", "is_removed"),
    [
        pytest.param(ALICE, True, id="hers"),
        pytest.param(BOB, False, id="another user's by now"),
        pytest.param(0, False, id="root's by now"),
    ],
)
def test_a_file_is_removed_where_its_user_may_have_one(
    listeners: Listeners, tmp_path: Path, owner: int, is_removed: bool
) -> None:
    """A path can lead elsewhere by now, and the inode of a file that is gone is used again."""
    need_root("give a directory away")
    os.chown(tmp_path, ALICE, ALICE)
    path = tmp_path / "x.sock"
    listener = listen(listeners, "a.ini", str(path), TERMS._replace(user=ALICE))
    os.chown(tmp_path, owner, owner)
    remove(listener.file, listener.how)
    assert path.exists() != is_removed

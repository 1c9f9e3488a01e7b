"""``ready = listen``: a program is up when it takes clients, at its own socket or a kept one."""

import socket
import sys
from pathlib import Path

import pytest
from support import clients
from support.daemon import Daemon
from support.ports import free_port
from support.vassals import program

# Waits for the file argv[1], then listens: as a child where argv[2] is so, else itself. A socket
# that it was given is taken, else one is opened at argv[3].
SERVER = """
import os, socket, sys, time
path, which, address = sys.argv[1:]
if which == "child" and os.fork():
    os.wait()
while not os.path.exists(path): time.sleep(0.01)
if "LISTEN_FDS" in os.environ:
    server = socket.socket(fileno=3)
elif address.startswith("/"):
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
else:
    server = socket.socket()
    server.bind(("127.0.0.1", int(address)))
server.listen()
while True:
    client, _ = server.accept()
    client.recv(4096)
    client.close()
"""
PORT, FILE = "a port", "a file"
OWN = {
    "a port": ("itself", PORT),
    "a UNIX socket": ("itself", FILE),
    "a child": ("child", PORT),
}


def server(folder: Path, which: str, address: str, **settings: str) -> str:
    """The config of a vassal that takes clients when the file ``up`` is in the folder."""
    path = folder / "server.py"
    path.write_text(SERVER)
    words = (sys.executable, "-IS", str(path), str(folder / "up"), which, address)
    return program(*words, ready="listen", **settings)


def starts_until_up(daemon: Daemon, folder: Path) -> None:
    """Start it, and see that its vassal is up when the file is there and not before."""
    daemon.start()
    daemon.event("spawned", "a.ini")
    assert daemon.phase("a.ini", "starting").slot
    (folder / "up").touch()
    daemon.phase("a.ini", "accepting")
    met = daemon.event("vassal_accepting", "a.ini")
    assert met.at >= (folder / "up").stat().st_mtime_ns
    daemon.stop()


@pytest.mark.parametrize(("which", "kind"), OWN.values(), ids=OWN)
def test_a_socket_of_its_own(daemon: Daemon, tmp_path: Path, which: str, kind: str) -> None:
    address = str(free_port()) if kind == PORT else str(tmp_path / "own.sock")
    (daemon.vassals / "a.ini").write_text(server(tmp_path, which, address))
    starts_until_up(daemon, tmp_path)


@pytest.mark.parametrize("kind", [PORT, FILE])
def test_a_socket_that_is_kept_for_it(daemon: Daemon, tmp_path: Path, kind: str) -> None:
    """It listens from the start; it is the accept that counts."""
    address = f":{free_port()}" if kind == PORT else str(tmp_path / "kept.sock")
    (daemon.vassals / "a.ini").write_text(server(tmp_path, "itself", "-", listen=address))
    starts_until_up(daemon, tmp_path)


def test_a_client_that_waits_already_counts(daemon: Daemon, tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    (daemon.vassals / "a.ini").write_text(server(tmp_path, "itself", "-", listen=address))
    daemon.start()
    daemon.event("spawned", "a.ini")
    with clients.dial(address) as waiting:
        waiting.sendall(b"x")
        assert daemon.phase("a.ini", "starting").slot
        (tmp_path / "up").touch()
        daemon.phase("a.ini", "accepting")
    daemon.stop()


def test_root_connects_to_no_other_socket(daemon: Daemon, tmp_path: Path) -> None:
    """Its file is replaced by a symlink to a socket that root alone may use."""
    secret = tmp_path / "secret.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(secret))
        other.listen()
        address = tmp_path / "kept.sock"
        config = server(tmp_path, "itself", "-", listen=str(address), ready_timeout="1s")
        (daemon.vassals / "a.ini").write_text(config)
        daemon.start()
        daemon.event("spawned", "a.ini")
        address.unlink()
        address.symlink_to(secret)
        daemon.event("exited", "a.ini")
        daemon.stop()
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept()

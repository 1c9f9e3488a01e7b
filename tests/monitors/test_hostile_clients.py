"""Clients of zmq:// that mean harm: a real ``emperor`` stays small, and others are served."""

import contextlib
import os
import socket
import struct
import threading
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import pytest
import zmq
import zmq.auth
from support import impostors as fake
from support.daemon import Daemon
from support.others import Others, are_prompt, most_memory
from support.ports import free_port
from support.pushing import Pusher

MOST: Final = 150  # MiB of the daemon's memory
LOOK: Final = 8.0  # seconds for which the clients are let do as they like
_GREETING: Final = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16 + 1 + 31)  # ZMTP 3.0
_READY: Final = b"\x05READY\x0bSocket-Type" + struct.pack("!I", 4) + b"PUSH"
_HELLO: Final = b"\x04" + bytes([len(_READY)]) + _READY  # after both have greeted
_MORE, _LONG, _COMMAND = 1, 2, 4
_OLD: Final = b"\xff" + bytes(8) + b"\x7f"
_PING: Final = b"\x04PING" + bytes(2)


def _frame(flags: int, body: bytes) -> bytes:
    return bytes([flags | _LONG]) + struct.pack("!Q", len(body)) + body


class Client(NamedTuple):
    """A client's first bytes, those that it sends without end, and whether it greets before."""

    links: int
    first: bytes
    then: bytes = b""
    greets: bool = False
    refused: str = ""  # the reason that is told


CLIENTS: Final = {
    "silence": Client(20, b""),
    "garbage": Client(5, b"", os.urandom(1 << 16)),
    "half a greeting": Client(20, _GREETING[:20]),
    "claimed length": Client(
        5,
        _HELLO + b"\x02" + struct.pack("!Q", 1 << 31),
        bytes(1 << 16),
        greets=True,
        refused="it sends a frame of 2147483648 bytes, 262144 are allowed",
    ),
    "large frames": Client(
        20,
        _HELLO,
        _frame(_MORE, b"touch") + _frame(0, bytes((1 << 20) - 1)),
        greets=True,
        refused="it sends a frame of 1048575 bytes, 262144 are allowed",
    ),
    "endless refusals": Client(
        5, _HELLO, (_frame(_MORE, b"x") + _frame(0, b"y")) * 1000, greets=True
    ),
    "endless message": Client(
        20,
        _HELLO,
        _frame(_MORE, bytes(200_000)),
        greets=True,
        refused="it sends a message of more than 1024 KiB",
    ),
    "endless frames": Client(
        20,
        _HELLO,
        bytes([_MORE, 0]) * 10_000,
        greets=True,
        refused="it sends a message of more than 256 frames",
    ),
    "endless commands": Client(
        20,
        _HELLO,
        bytes([_COMMAND, 0]) * 10_000,
        greets=True,
        refused="it sends a message of more than 256 frames",
    ),
    "endless pings": Client(
        20, _HELLO, (bytes([_COMMAND, len(_PING)]) + _PING) * 1000, greets=True
    ),
    "endless message of 2.0": Client(
        20,
        _OLD + bytes([1, 8]) + bytes(2),
        _frame(_MORE, bytes(200_000)),
        refused="it sends a message of more than 1024 KiB",
    ),
    "endless message of 1.0": Client(
        20,
        bytes([1, 0]),
        bytes([200, _MORE]) + bytes(199),
        refused="it sends a message of more than 256 frames",
    ),
}


def _send(port: int, over: threading.Event, client: Client) -> None:
    while not over.is_set():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as link:
            if client.greets:
                link.sendall(_GREETING)
                link.recv(len(_GREETING), socket.MSG_WAITALL)
            link.settimeout(0.2)
            part = client.first
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    part = part[link.send(part) :] if part else client.then
                if not part and not client.then:
                    over.wait()
        over.wait(0.05)


@pytest.mark.few(4)
@pytest.mark.parametrize("what", CLIENTS)
def test_hostile_clients_harm_nobody_else(what: str, tmp_path: Path) -> None:
    port, over = free_port(), threading.Event()
    vassals = tmp_path / "vassals"
    with Daemon(tmp_path, monitors=[vassals, f"zmq://tcp://127.0.0.1:{port}"]) as daemon:
        daemon.start()
        clients = [
            threading.Thread(target=_send, args=(port, over, CLIENTS[what]), daemon=True)
            for _ in range(CLIENTS[what].links)
        ]
        for each in clients:
            each.start()
        try:
            with (
                Others(vassals) as others,
                zmq.Context() as context,
                context.socket(zmq.PUSH) as sane,
            ):
                sane.connect(f"tcp://127.0.0.1:{port}")
                sane.send_multipart([b"touch", b"a.ini", fake.BARRED])
                daemon.event("vassal_added", "a.ini")
                over.wait(LOOK)
                sane.send_multipart([b"touch", b"b.ini", fake.BARRED])
                daemon.event("vassal_added", "b.ini")
            late = daemon.until(lambda: others.late(daemon), "all files are told")
        finally:
            over.set()
            for each in clients:
                each.join()
        print(f"\n| zmq-{what} | {most_memory(daemon):.0f} MiB | {median(late) * 1000:.0f} ms,"
              f" at most {max(late) * 1000:.0f}")  # fmt: skip
        if CLIENTS[what].refused:
            refused = daemon.event("observation_rejected")
            assert refused.body["name"] == "client 127.0.0.1"
            assert refused.body["reason"] == CLIENTS[what].refused
        assert most_memory(daemon) < MOST
        assert are_prompt(late, daemon, vassals, others.disk)
        daemon.stop()


def test_a_huge_message_of_a_client_with_a_key(tmp_path: Path) -> None:
    """CURVE hides which frame is the last of a message."""
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    _, file = zmq.auth.create_certificates(tmp_path, "server")
    os.chmod(file, 0o600)
    keys = (zmq.auth.load_certificate(file)[0], *zmq.curve_keypair())
    url = f"zmq://{endpoint}?curve_secretkey_file={file}"
    with Daemon(tmp_path, monitors=[tmp_path / "vassals", url]) as daemon:
        daemon.start()
        with Others(tmp_path / "vassals") as others, Pusher(endpoint, keys=keys) as greedy:
            greedy.send(*[bytes(100_000)] * 5000)
            refused = daemon.event("observation_rejected", patience=30)
            assert refused.body["reason"] == "it sends a message of more than 1024 KiB"
            with Pusher(endpoint, keys=keys) as sane:
                sane.touch("a.ini", fake.BARRED.decode())
                daemon.event("vassal_added", "a.ini")
        late = daemon.until(lambda: others.late(daemon), "all files are told")
        assert most_memory(daemon) < MOST
        assert are_prompt(late, daemon, tmp_path / "vassals", others.disk)
        daemon.stop()

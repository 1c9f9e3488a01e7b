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
from support import impostors as fake
from support.daemon import Daemon
from support.others import Others, most_memory
from support.vassals import free_port

MOST: Final = 150  # MiB of the daemon's memory
PROMPT: Final = 0.1  # seconds until a file of another source is an event
LOOK: Final = 5.0  # seconds for which the clients are let do as they like
_GREETING: Final = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16 + 1 + 31)  # ZMTP 3.0
_READY: Final = b"\x05READY\x0bSocket-Type" + struct.pack("!I", 4) + b"PUSH"
_HELLO: Final = b"\x04" + bytes([len(_READY)]) + _READY  # after both have greeted
_MORE, _LONG = 1, 2


def _frame(flags: int, body: bytes) -> bytes:
    return bytes([flags | _LONG]) + struct.pack("!Q", len(body)) + body


class Client(NamedTuple):
    """What it sends first, and then without end; and whether it greets before."""

    links: int
    first: bytes
    then: bytes = b""
    greets: bool = False


CLIENTS: Final = {
    "silence": Client(20, b""),
    "garbage": Client(5, b"", os.urandom(1 << 16)),
    "half a greeting": Client(20, _GREETING[:20]),
    "claimed length": Client(
        5, _HELLO + b"\x02" + struct.pack("!Q", 1 << 31), bytes(1 << 16), greets=True
    ),
    "large frames": Client(
        20, _HELLO, _frame(_MORE, b"touch") + _frame(0, bytes((1 << 20) - 1)), greets=True
    ),
    "endless refusals": Client(
        5, _HELLO, (_frame(_MORE, b"x") + _frame(0, b"y")) * 1000, greets=True
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
            late = daemon.until(lambda: others.late(daemon), "all files are told")
        finally:
            over.set()
            for each in clients:
                each.join()
        print(f"\n| zmq-{what} | {most_memory(daemon):.0f} MiB | {median(late) * 1000:.0f} ms,"
              f" at most {max(late) * 1000:.0f}")  # fmt: skip
        assert most_memory(daemon) < MOST
        assert median(late) < PROMPT
        daemon.stop()

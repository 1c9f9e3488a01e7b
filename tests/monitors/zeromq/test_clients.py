"""zmq:// clients that break off, never end a message, or fill all connections."""

import socket

import pytest
import trio
from emperord.monitors.contract import (
    Destroyed,
    Observation,
)
from emperord.monitors.registry import open_monitor
from emperord.monitors.zeromq import clients
from emperord.monitors.zeromq import frames as zeromq_frames
from support.ports import free_port
from support.pushing import Pusher

from ..watching import Watching
from .listening import BUSY, Keys, listening

pytestmark = pytest.mark.usefixtures("here")


# Clients that the daemon stands before libzmq for

_HELLO = (
    b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16 + 1 + 31)
    + b"\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH"
)  # fmt: skip


def _raw(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 20)


def _greet(client: socket.socket) -> None:
    """Shake hands as real clients do, which send nothing before that is done."""
    for part in (_HELLO[:64], _HELLO[64:]):
        client.sendall(part)
        client.recv(len(part), socket.MSG_WAITALL)


async def test_nothing_is_lost_of_a_client_that_has_gone() -> None:
    """Far more than libzmq has in its queue when the client goes."""
    port, gate, watch = free_port(), trio.Event(), Watching()

    async def tell(*observations: Observation) -> None:
        await watch.tell(*observations)
        await gate.wait()

    async with trio.open_nursery() as nursery:
        monitor = open_monitor(f"zmq://tcp://127.0.0.1:{port}", BUSY)
        nursery.start_soon(monitor.run, tell, {})
        await watch.until(lambda: watch.told)
        with _raw(port) as client:
            await trio.to_thread.run_sync(_greet, client)
            for number in range(500):
                client.sendall(b"\x01\x07destroy\x00\x07%03d.ini" % number)
            client.shutdown(socket.SHUT_WR)
            gate.set()
            await watch.until(lambda: len(watch.told) == 501)
        by = "told to by client 127.0.0.1"
        assert watch.told[1:] == [Destroyed(f"{number:03}.ini", by) for number in range(500)]
        nursery.cancel_scope.cancel()


async def test_a_message_without_an_end_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "PATIENCE", 0.1)
    port = free_port()
    async with listening(f"tcp://127.0.0.1:{port}") as watch:
        with _raw(port) as client, Pusher(f"tcp://127.0.0.1:{port}") as pusher:
            await trio.to_thread.run_sync(_greet, client)
            client.sendall(b"\x01\x01x" * 1000)
            await watch.until(lambda: watch.refused)
            pusher.touch("a.ini", "one")
            await watch.shows("a.ini", "one")
        assert watch.refused == {"client 127.0.0.1": "it sends a message of more than 256 frames"}


async def test_a_new_client_takes_the_place_of_the_one_silent_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clients, "MOST_CLIENTS", 2)
    monkeypatch.setattr(clients, "QUIET", 0)
    port = free_port()
    async with listening(f"tcp://127.0.0.1:{port}") as watch:
        with _raw(port) as first, _raw(port) as second:
            greeting = await trio.to_thread.run_sync(second.recv, 10, socket.MSG_WAITALL)
            assert len(greeting) == 10
            with Pusher(f"tcp://127.0.0.1:{port}") as pusher:
                pusher.touch("a.ini", "one")
                await watch.shows("a.ini", "one")
                while await trio.to_thread.run_sync(first.recv, 100):
                    pass  # hung up on
                second.settimeout(0)
                with pytest.raises(BlockingIOError):
                    second.recv(100)


@pytest.mark.parametrize("curve", [False, True], ids=["plain", "CURVE"])
async def test_heartbeats_cost_nothing(
    curve: bool, keys: Keys, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "PATIENCE", 0.1)
    monkeypatch.setattr(zeromq_frames, "MOST_FRAMES", 20)
    url = f"{endpoint}?curve_secretkey_file={keys.file}" if curve else endpoint
    async with listening(url) as watch:
        with Pusher(endpoint, keys=keys.client if curve else None, heartbeat=5) as pusher:
            for config in ("one", "two"):
                pusher.touch("a.ini", config)
                await watch.shows("a.ini", config)
                await watch.rest()
                assert not pusher.sent_away()
            assert watch.refused == {}

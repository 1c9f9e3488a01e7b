"""A long answer at the control socket: its reader keeps its place while it reads."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import trio
import trio.testing
from emperord.daemon.control.connection_limits import SHARE
from emperord.daemon.control.server import Client, bind, serve

ANSWER = b"x" * 2_000_000 + b"\n"


class Reader:
    """A client that reads what has come, whenever it is asked to."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.socket.setblocking(False)
        self.read = 0
        self.is_connected = True

    def ask(self, what: bytes) -> None:
        self.socket.sendall(b'{"do": "%s"}\n' % what)

    def reads(self) -> None:
        try:
            part = self.socket.recv(len(ANSWER))
        except BlockingIOError:
            return
        self.read += len(part)
        self.is_connected = bool(part)


async def answer(request: Mapping[str, Any], _: Client) -> bytes:
    if request["do"] == "wait":
        await trio.sleep_forever()
    return ANSWER


def test_one_that_reads_a_long_answer_of_a_late_daemon_keeps_its_place(tmp_path: Path) -> None:
    """The daemon is late again and again, while another client waits for a place."""
    clock = trio.testing.MockClock()
    path = str(tmp_path / "s")

    async def main() -> None:
        with bind(path) as listener:
            async with trio.open_nursery() as nursery:
                await nursery.start(serve, listener, answer)
                await follow(clock, path)
                nursery.cancel_scope.cancel()

    trio.run(main, clock=clock)


async def follow(clock: trio.testing.MockClock, path: str) -> None:
    clients = [Reader(path) for _ in range(SHARE + 1)]
    reader, *busy, newcomer = clients
    reader.ask(b"list")
    for each in busy:
        each.ask(b"wait")
    newcomer.ask(b"list")
    await trio.testing.wait_all_tasks_blocked()
    reader.reads()
    while reader.read < len(ANSWER):
        clock.jump(0.6)
        await trio.testing.wait_all_tasks_blocked()
        reader.reads()
        assert reader.is_connected, f"disconnected after {reader.read} bytes"
    newcomer.reads()
    assert newcomer.read == 0
    clock.jump(0.6)  # now it is idle
    await trio.testing.wait_all_tasks_blocked()
    reader.reads()
    newcomer.reads()
    assert not reader.is_connected
    assert newcomer.read > 0
    for each in clients:
        each.socket.close()

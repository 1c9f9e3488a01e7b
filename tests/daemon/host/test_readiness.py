"""``ready`` of programs under a real daemon: addresses that answer late, badly or never."""

import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from emperord.daemon.host import readiness
from emperord.journal.policy import Policy
from emperord.monitors.readiness import Condition
from support import processes
from support.daemon import Daemon
from support.ports import free_port
from support.vassals import program, shell

from ..conftest import MakeDaemon, MakeEmperor

# Serves when the file in argv[2] is there: the status that the file has, to any request.
SERVER = """
import os, signal, socket, sys, time
signal.signal(signal.SIGHUP, signal.SIG_IGN)
while not os.path.exists(sys.argv[2]): time.sleep(0.01)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    client, _ = server.accept()
    client.settimeout(5)
    try:
        client.recv(4096)
        client.sendall(b"HTTP/1.1 " + open(sys.argv[2], "rb").read() + b" x\\r\\n\\r\\n")
    except OSError:
        pass
    client.close()
"""


def server(folder: Path, port: int, **settings: str) -> str:
    """The config of a vassal that serves when the file ``up`` is in the folder."""
    (folder / "server.py").write_text(SERVER)
    words = (sys.executable, "-IS", str(folder / "server.py"), str(port), str(folder / "up"))
    return program(*words, **settings)


@pytest.mark.parametrize("scheme", ["tcp", "http"])
def test_it_starts_until_its_address_answers(
    make_emperor: MakeEmperor, tmp_path: Path, scheme: str
) -> None:
    """A daemon that dies meanwhile loses nothing: the next one looks on."""
    emperor = make_emperor()
    port = free_port()
    text = server(tmp_path, port, ready=f"{scheme}://127.0.0.1:{port}")
    config = emperor.vassals / "a.ini"
    config.write_text(text)
    emperor.start()
    emperor.event("spawned", "a.ini")
    assert emperor.phase("a.ini", "starting").slot
    pid = emperor.pid_of("a.ini")
    emperor.restart()
    (tmp_path / "up").write_text("204")
    assert emperor.phase("a.ini", "accepting").pid == pid
    config.write_text(text + "# a reload\n")
    emperor.event("vassal_accepting", "a.ini", count=2)
    assert emperor.phase("a.ini", "accepting").pid == pid
    seq = emperor.last_seq()
    emperor.restart()
    emperor.next_ready(seq)
    assert len(emperor.events("vassal_accepting", "a.ini")) == 2  # it is known to accept
    emperor.stop()


def test_it_is_up_after_a_while(daemon: Daemon) -> None:
    (daemon.vassals / "a.ini").write_text(shell("exec sleep 1000", ready="300ms"))
    daemon.start()
    daemon.phase("a.ini", "accepting")
    began, met = daemon.event("spawned", "a.ini"), daemon.event("vassal_accepting", "a.ini")
    assert met.at - began.at >= 250_000_000
    daemon.stop()


def test_one_that_is_never_ready_is_killed_and_throttled(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    daemon = make_daemon("--throttle", "1000000", "--max-throttle", "1000000")
    port = free_port()
    (tmp_path / "up").write_text("503")
    url = f"http://127.0.0.1:{port}/up"
    config = daemon.vassals / "a.ini"
    config.write_text(server(tmp_path, port, ready=url, ready_timeout="700ms"))
    daemon.start()
    vassal = daemon.phase("a.ini", "throttled")
    assert vassal.reason == "was not ready within 700ms"
    assert daemon.event("exited", "a.ini").body["signal"] == 9
    (tmp_path / "up").write_text("200")
    config.write_text(server(tmp_path, port, ready=url))  # a change ends the wait
    pid = daemon.phase("a.ini", "accepting").pid or 0
    assert processes.alive(pid)
    daemon.stop()


ANSWERS = {
    "well": (b"HTTP/1.1 200 OK\r\n\r\n", True),
    "elsewhere": (b"HTTP/1.0 302 Found\r\n\r\n", True),
    "not found": (b"HTTP/1.1 404 Not Found\r\n\r\n", False),
    "another protocol": (b"220 mail.example.org\r\n", False),
    "a line without an end": (b"x" * 10_000, False),
    "nothing": (b"", False),
}


@pytest.mark.parametrize(("answer", "well"), ANSWERS.values(), ids=ANSWERS)
def test_answers(answer: bytes, well: bool) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(4096)
            await stream.send_all(answer)

    async def main() -> bool:
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
            port = listeners[0].socket.getsockname()[1]
            condition = Condition(host="127.0.0.1", port=port, path="/")
            found = await readiness.answers(condition, Policy, trio.CapacityLimiter(1))
            nursery.cancel_scope.cancel()
        return found

    assert trio.run(main) is well


def test_a_silent_server_is_not_waited_for() -> None:
    async def main() -> tuple[bool, float]:
        with trio.socket.socket() as listening:
            await listening.bind(("127.0.0.1", 0))
            listening.listen()
            port = listening.getsockname()[1]
            condition = Condition(host="127.0.0.1", port=port, path="/")
            began = trio.current_time()
            found = await readiness.answers(condition, Policy, trio.CapacityLimiter(1))
            return found, trio.current_time() - began

    clock = trio.testing.MockClock(autojump_threshold=0.05)
    found, took = trio.run(main, clock=clock)
    assert not found
    assert took == pytest.approx(2.0)


ADDRESSES = {
    "loopback": ("127.0.0.1", True),
    "a private one": ("10.0.0.1", True),
    "link-local": ("169.254.169.254", False),
    "link-local, version 6": ("fe80::1%2", False),
    "metadata": ("fd00:ec2::254", False),
}


@pytest.mark.parametrize(("address", "allowed"), ADDRESSES.values(), ids=ADDRESSES)
def test_link_local_addresses(address: str, allowed: bool) -> None:
    assert readiness.is_allowed(address, allow_link_local=False) is allowed
    assert readiness.is_allowed(address, allow_link_local=True)


def test_a_link_local_address_is_not_asked() -> None:
    """There is a route to this one: it is loopback's own."""
    address = "169.254.77.77"
    subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    try:
        with socket.create_server((address, 0)) as server:
            condition = Condition(host=address, port=server.getsockname()[1])
            for allowed in (False, True):
                policy = partial(Policy, allow_link_local=allowed)
                limiter = trio.CapacityLimiter(1)
                assert trio.run(readiness.answers, condition, policy, limiter) is allowed
    finally:
        subprocess.run(["ip", "address", "del", f"{address}/32", "dev", "lo"], check=True)

"""zoo:// when servers go, come back, hang, or are none."""

import contextlib
import gc
import socket
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import trio
from emperord.monitors.contract import Failed
from emperord.monitors.options import MonitorOptions
from emperord.monitors.zookeeper import monitor as zookeeper
from emperord.monitors.zookeeper import url as zoo_url
from emperord.monitors.zookeeper.client import Client
from emperord.monitors.zookeeper.monitor import ZooKeeper
from support.descriptors import descriptors
from support.gate import Gate
from support.services import Service, order, service
from support.waiting import until
from support.zookeeper import member, put, talking

from ..watching import NEVER, cancelled_in_silence, watching

SELDOM = MonitorOptions(freq=NEVER)
BUSY = MonitorOptions(freq=0.1)
PATH = "/emperor/vassals"
EXPIRED = (
    "the session expired, as ZooKeeper had not heard of us in time; it is begun anew, and all is"
    " read again"
)


@pytest.fixture(scope="module")
def breakable() -> Iterator[Service]:
    with service("zookeeper") as running:
        yield running


@pytest.fixture
def server(breakable: Service) -> Iterator[Service]:
    """A server to be stopped, killed and frozen; it has one vassal."""
    change(breakable.where["hosts"], "one")
    yield breakable
    breakable("thaw")


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """A connection that only the garbage collector closes was left behind."""
    gc.collect()
    gc.disable()
    before = descriptors()
    yield
    gc.enable()
    assert [each.name for each in threading.enumerate() if each.name == "kazoo"] == []
    assert descriptors() <= before


def hurried(
    hosts: str, options: MonitorOptions = BUSY, *, limit: float = 1, more: str = ""
) -> ZooKeeper:
    return ZooKeeper(zoo_url.read(f"{hosts}{PATH}{more}"), options, limit=limit)


def change(hosts: str, content: str) -> None:
    with talking(hosts) as client:
        put(client, f"{PATH}/a.ini", content)


def await_no_znode(server: Service, path: str) -> None:
    with talking(server.where["hosts"]) as client:
        until(lambda: client.exists(path) is None, f"{path} is gone")


async def test_a_short_outage_is_none(server: Service) -> None:
    async with watching(hurried(server.where["hosts"], limit=20)) as watch:
        await order(server, "kill", "start")
        await trio.to_thread.run_sync(change, server.where["hosts"], "two")
        await watch.shows("a.ini", "two")
        assert watch.failures() == []


async def test_an_announcement_is_still_looked_after_when_the_connection_was_lost(
    server: Service,
) -> None:
    hosts = server.where["hosts"]

    def await_announcement() -> None:
        with talking(hosts) as client:
            until(lambda: client.exists("/emperors/one"), "it is announced")

    def delete_announcement() -> None:
        with talking(hosts) as client:
            client.delete("/emperors/one")

    monitor = hurried(hosts, SELDOM, limit=20, more="?announce=/emperors/one")
    async with watching(monitor) as watch:
        await trio.to_thread.run_sync(await_announcement)
        await order(server, "kill", "start")
        await trio.to_thread.run_sync(change, hosts, "two")
        await watch.shows("a.ini", "two")
        await trio.to_thread.run_sync(delete_announcement)
        await trio.to_thread.run_sync(await_announcement)
        assert watch.failures() == []


async def test_a_server_that_is_not_there_is_a_failure_at_once(server: Service) -> None:
    await order(server, "stop")
    try:
        began = trio.current_time()
        async with watching(hurried(server.where["hosts"], limit=60)) as watch:
            assert trio.current_time() - began < 10
            assert watch.failures()[0] == (
                f"no server serves us: {server.where['hosts']}"
                " cannot be reached (Connection refused)"
            )
            await order(server, "start")
            await watch.shows("a.ini", "one")
    finally:
        await order(server, "stop", "start")


async def test_a_session_that_expires_behind_a_partition_is_a_failure_once_each(
    server: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way is free again before the client asks, so nothing else would say that it was not."""
    clients: list[Client] = []

    class Kept(Client):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            clients.append(self)

    monkeypatch.setattr(zookeeper, "Client", Kept)
    with Gate(int(server.where["hosts"].rpartition(":")[2])) as gate:
        async with watching(hurried(f"127.0.0.1:{gate.port}", SELDOM, limit=2)) as watch:
            for count in (1, 2):
                await clients[0].create("/proof", b"")  # it goes with the session
                gate.shut()
                await trio.to_thread.run_sync(await_no_znode, server, "/proof")
                await trio.to_thread.run_sync(change, server.where["hosts"], f"{count}")
                assert len(watch.failures()) == count - 1
                gate.open()
                await watch.shows("a.ini", f"{count}")
                assert watch.kinds()[-2:] == ["Failed", "Listing"]
                await watch.rest()
            assert watch.failures() == [EXPIRED, EXPIRED]
    assert len(clients) == 1


async def test_one_of_two_that_hangs_is_left_for_the_other(server: Service) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections, and that is all
        hosts = f"127.0.0.1:{silent.getsockname()[1]},{server.where['hosts']}"
        for _ in range(3):  # whichever is tried first
            async with watching(hurried(hosts, SELDOM, limit=4)) as watch:
                assert list(watch.seen) == ["a.ini"]


@pytest.mark.few(1)
@pytest.mark.parametrize("silent", ["connect", "read", "wait"])
async def test_the_end_of_an_announcement_does_not_wait_for_a_silent_server(
    server: Service, silent: str
) -> None:
    monitor = hurried(
        server.where["hosts"], SELDOM if silent == "wait" else BUSY, limit=60, more="?announce=/e"
    )
    if silent == "connect":
        await order(server, "freeze")
    await cancelled_in_silence(monitor, partial(order, server, "freeze"), silent)


# Servers that are no ZooKeeper


def answer(listener: socket.socket, what: bytes | None) -> None:
    """Answer each client with this; hang up at once if it is None."""
    kept = []
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        while True:
            link = stack.enter_context(listener.accept()[0])
            if what is None:
                link.close()
            else:
                link.sendall(what)
                kept.append(link)


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("what", "reason"),
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", "is no ZooKeeper", id="HTTP"),
        pytest.param(b"\x00\x00\x00\x04abcd", "gives no session", id="too short"),
        pytest.param(b"\xff\xff\xff\xff" * 9, "gives no session", id="a negative length"),
        pytest.param(
            b"\x00\x00\x00\x24" + bytes(36) + b"\xff" * 60, "no", id="a session, then not"
        ),
        pytest.param(b"", "gives no session", id="silence"),
        pytest.param(None, "gives no session", id="as without a quorum"),
    ],
)
async def test_what_is_no_zookeeper_is_a_failure(what: bytes | None, reason: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener, what))
        thread.start()
        try:
            hosts = f"127.0.0.1:{listener.getsockname()[1]}"
            async with watching(hurried(hosts)) as watch:
                await watch.until(lambda: len(watch.failures()) > 2)
                assert {type(each) for each in watch.told} == {Failed}
                assert reason in watch.failures()[0]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


async def test_a_host_of_no_known_name_is_left_for_the_other(server: Service) -> None:
    async with watching(hurried(f"no.such.host.invalid,{server.where['hosts']}")) as watch:
        assert list(watch.seen) == ["a.ini"]


# Three


async def test_whoever_of_a_quorum_is_killed_nobody_notices() -> None:
    with service("zookeeper-quorum") as quorum:
        hosts = quorum.where["hosts"]
        change(hosts, "one")
        async with watching(hurried(hosts, limit=10)) as watch:
            for number in (1, 2, 3):  # among them are the leader, and the one that serves us
                await order(member(quorum, number), "kill")
                await trio.to_thread.run_sync(change, hosts, f"without {number}")
                await watch.shows("a.ini", f"without {number}")
                await order(member(quorum, number), "start")
            assert watch.failures() == []

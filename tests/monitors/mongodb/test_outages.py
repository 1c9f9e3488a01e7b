"""mongodb:// on a server that restarts, freezes, or speaks another protocol."""

import contextlib
import os
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import trio
from emperord.monitors.contract import Failed, Listing
from emperord.monitors.mongodb import monitor as mongo
from emperord.monitors.mongodb.url import read
from emperord.monitors.options import MonitorOptions
from support.mongodb import MongoSource, client_of
from support.services import Order, Service, service

from ..watching import NEVER, OFTEN, watching
from .readings import BUSY, HASTE


@pytest.fixture
def server() -> Iterator[Service]:
    """A server to be stopped, killed and frozen."""
    with service("mongodb") as running:
        yield running


@pytest.fixture
def own(server: Service) -> Iterator[MongoSource]:
    """A source in that server."""
    with client_of(server) as client:
        yield MongoSource(client=client, hosts=server.where["hosts"])


def make_durable(server: Service) -> None:
    """All writes so far survive a kill from now on; servers take their time for that."""
    server("stop")
    server("start")


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("order", "freq"),
    [
        pytest.param("stop", OFTEN, id="stopped while reading"),
        pytest.param("kill", NEVER, id="killed while waiting"),
    ],
)
async def test_a_server_that_is_restarted(
    server: Service, own: MongoSource, order: Order, freq: float
) -> None:
    own.put("a.ini", "one")
    if order == "kill":
        make_durable(server)
    async with watching(own.hurried(MonitorOptions(freq=freq), HASTE)) as watch:
        server(order)
        await watch.until(lambda: watch.failures())
        server("start")
        await watch.until(lambda: isinstance(watch.told[-1], Listing))
        listings = [each for each in watch.told if isinstance(each, Listing)]
        # Nothing was taken for gone, and what is as it was is the very spec of before.
        assert {id(each.seen["a.ini"].spec) for each in listings} == {
            id(listings[0].seen["a.ini"].spec)
        }
        own.put("a.ini", "two")
        await watch.shows("a.ini", "two")


@pytest.mark.few(1)
@pytest.mark.parametrize("freq", [OFTEN, NEVER], ids=["while reading", "while waiting"])
async def test_a_server_that_freezes(server: Service, own: MongoSource, freq: float) -> None:
    own.put("a.ini", "one")
    async with watching(own.hurried(MonitorOptions(freq=freq), HASTE)) as watch:
        server("freeze")
        await watch.until(lambda: watch.failures())
        assert list(watch.seen) == ["a.ini"]
        server("thaw")
        await watch.until(lambda: isinstance(watch.told[-1], Listing))
        own.put("a.ini", "two")
        await watch.shows("a.ini", "two")


async def test_pymongo_is_the_first_to_notice_that_a_server_freezes(
    server: Service, own: MongoSource
) -> None:
    own.put("a.ini", "one")
    often = "heartbeatFrequencyMS=500&serverSelectionTimeoutMS=500"
    place = read(f"{own.hosts}/?directConnection=true&{often},{own.database}.vassals")
    async with watching(mongo.Mongo(place, BUSY, limit=5 * HASTE)) as watch:
        await watch.until(lambda: watch.seen)
        server("freeze")
        await watch.until(lambda: watch.failures())
        assert watch.failures() == ["the server stopped answering"]
        server("thaw")


@pytest.mark.few(1)
@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("freq", [OFTEN, NEVER], ids=["while reading", "while waiting"])
async def test_cancelled_while_the_server_is_frozen(server: Service, freq: float) -> None:
    source = MongoSource(hosts=server.where["hosts"])
    before = os.listdir("/proc/self/fd")
    async with watching(source.monitor(MonitorOptions(freq=freq))):
        server("freeze")
        cancelled = trio.current_time()
    assert trio.current_time() - cancelled < 5
    assert os.listdir("/proc/self/fd") == before
    server("thaw")


async def _silence(stream: trio.SocketStream) -> None:
    async with stream:
        await stream.receive_some()
        await trio.sleep_forever()


async def _nonsense(stream: trio.SocketStream) -> None:
    async with stream:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(range(256)))


async def _hang_up(stream: trio.SocketStream) -> None:
    await stream.aclose()


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    "manners",
    [
        pytest.param(_silence, id="silent"),
        pytest.param(_nonsense, id="nonsense"),
        pytest.param(_hang_up, id="hangs up"),
    ],
)
async def test_what_is_no_mongodb(manners: Any) -> None:
    serve = partial(trio.serve_tcp, manners, 0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(serve)
        port = listeners[0].socket.getsockname()[1]
        source = MongoSource(hosts=f"me:hidden@127.0.0.1:{port}")
        async with watching(source.hurried(BUSY, HASTE)) as watch:
            await watch.until(lambda: len(watch.told) > 1)
            assert all(isinstance(each, Failed) for each in watch.told)
            assert "hidden" not in "".join(watch.failures())
        nursery.cancel_scope.cancel()


async def test_a_server_that_takes_connections_and_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        monitor = mongo.Mongo(read(f"u:hidden@{place},x.y"), BUSY, limit=HASTE)
        async with watching(monitor) as watch:
            assert watch.failures()[0] == f"{place} takes connections and does not answer"


async def test_a_server_that_takes_no_connection() -> None:
    """Its backlog is full, so that the kernel drops what else comes."""
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(2):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        place = f"127.0.0.1:{full.getsockname()[1]}"
        async with watching(mongo.Mongo(read(f"{place},x.y"), BUSY, limit=HASTE)) as watch:
            assert watch.failures()[0] == f"{place} does not answer"


async def test_nobody_is_there() -> None:
    async with watching(mongo.Mongo(read("127.0.0.1:1,x.y"), BUSY, limit=HASTE)) as watch:
        assert watch.failures()[0] == "127.0.0.1:1: Connection refused"

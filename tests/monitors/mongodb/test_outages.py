"""mongodb:// on a server that freezes, or takes no connection."""

import contextlib
import itertools
import socket
from collections.abc import Iterator

import pytest
import trio
from emperord.monitors.contract import Listing, Touched
from emperord.monitors.mongodb import monitor as mongo
from emperord.monitors.mongodb.url import read
from support.gate import Gate
from support.mongodb import MongoSource, client_of
from support.services import Service, service
from support.waiting import until

from ..watching import watching
from .readings import BUSY, HASTE, SELDOM


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


@pytest.mark.slow
async def test_a_server_that_freezes_while_it_is_waited_for(
    server: Service, own: MongoSource
) -> None:
    own.put("a.ini", "one")
    async with watching(own.hurried(SELDOM, HASTE)) as watch:
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


async def test_a_change_stream_that_breaks_off_just_before_a_reading_is_missed(
    server: Service, own: MongoSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.put("a.ini", "one")
    with Gate(server.where["port"]) as gate:
        readings = itertools.count()

        class Broken(mongo._Session):
            async def read(self) -> Listing | tuple[Touched, ...]:
                if next(readings) == 1:
                    gate.shut()
                    await trio.to_thread.run_sync(until, lambda: self._lost, "it breaks off")
                    gate.open()
                return await super().read()

        monkeypatch.setattr(mongo, "_Session", Broken)
        place = read(f"127.0.0.1:{gate.port}/?directConnection=true,{own.database}.vassals")
        async with watching(mongo.Mongo(place, SELDOM, limit=5 * HASTE)) as watch:
            for content in ("two", "three"):
                own.put("a.ini", content)
                await watch.shows("a.ini", content)
            assert len(watch.failures()) == 1

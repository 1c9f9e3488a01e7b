"""The announcement of zoo:// when others act, or the connection is lost, while it is seen to."""

import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from emperord.monitors.options import MonitorOptions
from emperord.monitors.zookeeper import announcer
from emperord.monitors.zookeeper.announcer import Announcement, Announcer
from emperord.monitors.zookeeper.client import Client, NodeExistsError, Refused
from emperord.monitors.zookeeper.monitor import open_url
from support.gate import Gate
from support.waiting import until
from support.zookeeper import ZooSource, shared, talk, talking

from ..watching import watching
from .announcements import announced, soon
from .readings import SELDOM, Meddler

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


@pytest.fixture
def path(source: ZooSource) -> str:
    return f"{source.path}-emperor"


@pytest.fixture
def never_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause after a complaint does not end within a test."""
    monkeypatch.setattr(announcer, "_PAUSE", 3600)


@pytest.mark.usefixtures("never_again")
@pytest.mark.parametrize("look", [1, 2], ids=["before it is made", "after that"])
async def test_a_connection_that_is_lost_during_a_look_makes_it_nobody_elses(
    source: ZooSource, path: str, meddler: Meddler, caplog: pytest.LogCaptureFixture, look: int
) -> None:
    host, _, port = shared().where["hosts"].partition(":")
    looks = 0
    lost = trio.Event()
    with Gate(int(port)) as gate:

        def lose() -> None:
            nonlocal looks
            looks += 1
            if looks == look:
                gate.shut()
                until(lambda: not meddler.clients[0].is_up, "the loss is noticed")
                meddler.deeds = {}
                trio.from_thread.run_sync(lost.set)

        meddler.deeds = {f"{path} looked for and answered": lose}
        url = f"{host}:{gate.port}{source.path}?announce={path}"
        async with watching(open_url(url, SELDOM)) as watch:
            await lost.wait()
            before = talk().exists(path)
            gate.open()
            await announced(path, source, 0)
            await watch.rest()
            assert before is None or talk().exists(path).czxid == before.czxid  # it stayed there
            talk().delete(path)
            await announced(path, source, 0)
    assert not caplog.messages


@pytest.mark.usefixtures("never_again")
async def test_a_place_that_is_left_during_a_look_is_taken_at_once(
    source: ZooSource, path: str, meddler: Meddler
) -> None:
    with talking(shared().where["hosts"]) as another:
        another.create(path, b"{}", ephemeral=True)

        def leave() -> None:
            meddler.deeds = {}
            another.delete(path)
            until(lambda: path in meddler.heard, "the monitor is told")

        meddler.deeds = {f"{path} looked for and answered": leave}
        async with watching(open_url(f"{source.url[6:]}?announce={path}", SELDOM)):
            await announced(path, source, 0)


@pytest.mark.usefixtures("never_again")
async def test_anothers_place_is_looked_at_again_when_it_changes(
    source: ZooSource, path: str, meddler: Meddler, caplog: pytest.LogCaptureFixture
) -> None:
    looks = 0

    def count() -> None:
        nonlocal looks
        looks += 1

    meddler.deeds = {f"{path} looked for": count}
    with talking(shared().where["hosts"]) as another:
        another.create(path, b"{}", ephemeral=True)
        async with watching(open_url(f"{source.url[6:]}?announce={path}", SELDOM)) as watch:
            await soon(lambda: caplog.messages)
            for content in ("one", "two", "three"):
                source.put("a.ini", content)
                await watch.shows("a.ini", content)
            assert looks == 1
            another.set(path, b"[]")
            await soon(lambda: looks == 2)


async def test_a_reading_that_is_due_during_a_look_makes_it_due_again(
    source: ZooSource, path: str, meddler: Meddler
) -> None:
    cut = trio.Event()

    def look() -> None:
        meddler.deeds = {}
        trio.from_thread.run_sync(cut.set)
        until(trio.from_thread.check_cancelled, "a reading is due")  # which raises Cancelled

    async with watching(open_url(f"{source.url[6:]}?announce={path}", MonitorOptions(freq=0.5))):
        await announced(path, source, 0)
        meddler.deeds = {f"{path} looked for and answered": look}
        talk().delete(path)
        await cut.wait()
        await announced(path, source, 0)


# The announcer alone


class Steered(Client):
    """A client with an announcer, which does something else when an answer is here."""

    def __init__(self, port: int, about: Announcement) -> None:
        self.announcer = Announcer(self, about)
        hear, forget = self.announcer.hear, self.announcer.forget
        super().__init__([("127.0.0.1", port)], (), 10, hear, forget)
        self.then: Any = None

    async def set(self, path: str, data: bytes, version: int) -> bool:
        answered = await super().set(path, data, version)
        if self.then is not None:
            self.then()
            await trio.lowlevel.checkpoint()
        return answered


@asynccontextmanager
async def announcing(
    source: ZooSource, path: str, port: int, about: Announcement | None = None
) -> AsyncIterator[Steered]:
    """A client with an announcer of its own, which knows of the announcement before."""
    client = Steered(port, about or Announcement(source.url, path, source.path))
    client.start()
    try:
        yield client
    finally:
        await client.close()


def server_port() -> int:
    return int(shared().where["hosts"].partition(":")[2])


@asynccontextmanager
async def without_answers(client: Steered, gate: Gate, method: str) -> AsyncIterator[None]:
    """In this block the client keeps its announcement, and its request gets no answer."""
    send = getattr(client._kazoo, method)

    def sent(*arguments: Any, **named: Any) -> Any:
        gate.silent_after = 0  # no answer comes through
        return send(*arguments, **named)

    setattr(client._kazoo, method, sent)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.announcer.keep, 1)
        yield


async def test_ours_is_known_though_the_answer_of_its_making_was_lost(
    source: ZooSource, path: str
) -> None:
    about = Announcement(source.url, path, source.path)
    with Gate(server_port()) as gate:
        async with announcing(source, path, gate.port, about) as lost:
            with trio.CancelScope() as scope:
                async with without_answers(lost, gate, "create_async"):
                    await soon(lambda: talk().exists(path))
                    scope.cancel()
        former = talk().exists(path).ephemeralOwner
        async with announcing(source, path, server_port(), about) as client:
            await client.announcer.keep(1)
            await announced(path, source, 1, but_by=former)


async def test_words_whose_answer_was_not_waited_for_are_set_again(
    source: ZooSource, path: str
) -> None:
    async with announcing(source, path, server_port()) as client:
        await client.announcer.keep(1)
        with trio.CancelScope() as scope:
            client.then = scope.cancel
            await client.announcer.keep(2)
        assert scope.cancelled_caught
        client.then = None
        assert json.loads(talk().get(path)[0])["vassals"] == 2
        await client.announcer.keep(1)
        assert json.loads(talk().get(path)[0])["vassals"] == 1


async def test_anothers_is_not_deleted_where_the_answer_of_a_deletion_is_lost(
    source: ZooSource, path: str
) -> None:
    about = Announcement(source.url, path, source.path)
    hosts = shared().where["hosts"]
    with Gate(server_port()) as gate, talking(hosts) as another:
        async with (
            announcing(source, path, server_port(), about) as former,
            announcing(source, path, gate.port, about) as client,
        ):
            await former.announcer.keep(1)

            async with without_answers(client, gate, "delete_async"):
                await soon(lambda: talk().exists(path) is None)
                gate.shut()
                another.create(path, b"another's", ephemeral=True)
                gate.silent, gate.silent_after = False, math.inf
                gate.open()
            assert talk().get(path)[0] == b"another's"


async def test_a_refusal_is_told_and_no_failure(
    source: ZooSource, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with announcing(source, path, server_port()) as client:

        async def create(path: str, data: bytes) -> None:
            raise Refused("ZooKeeper answered with QuotaExceededError")

        client.create = create  # type: ignore[method-assign]
        await client.announcer.keep(1)
    assert caplog.messages == [
        f"{source.url}: no announcement: ZooKeeper answered with QuotaExceededError"
    ]


async def test_a_place_that_others_keep_changing_is_left_for_a_while(
    source: ZooSource, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with announcing(source, path, server_port()) as client:

        async def create(path: str, data: bytes) -> None:
            raise NodeExistsError

        client.create = create  # type: ignore[method-assign]
        await client.announcer.keep(1)
        client.announcer.hear(path)
        assert client.announcer.due(1) > trio.current_time() + 1
    assert caplog.messages == [f"{source.url}: no announcement: others keep changing it"]

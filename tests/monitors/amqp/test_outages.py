"""amqp:// when the broker is away, silent, restarted, or no broker at all."""

import os
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
import trio
from emperord.monitors.amqp.monitor import AmqpMonitor, Limits, open_secured, open_url
from emperord.monitors.contract import (
    Recovered,
    Touched,
)
from support.rabbitmq import EXCHANGE, AmqpSource, Publisher, shared
from support.services import service

from ..watching import OFTEN, watching
from .messages import BUSY, SELDOM, monitor, recovered

# Connections


async def test_a_connection_that_breaks_is_made_again(source: AmqpSource) -> None:
    async with watching(source.monitor(BUSY)) as watch:
        source.put("a.ini", "one")
        await watch.shows("a.ini", "one")
        source.gate.cut()
        await watch.until(lambda: watch.failures() == ["the connection was lost"])
        source.put("b.ini", "two")
        await watch.shows("b.ini", "two")
        source.fail()
        await watch.until(lambda: "cannot connect: Connection refused" in watch.failures())
        source.put("c.ini", "three")
        source.mend()
        await watch.shows("c.ini", "three")
        assert set(watch.seen) == {"a.ini", "b.ini", "c.ini"}
        assert isinstance([each for each in watch.told if not isinstance(each, Touched)][-1],
            Recovered)  # fmt: skip


async def test_a_queue_that_is_deleted_is_made_again(source: AmqpSource) -> None:
    async with watching(source.monitor(BUSY)) as watch:
        source.publisher.channel.queue_delete(source.queue)
        await watch.until(lambda: watch.failures() == ["the queue was deleted"])
        await recovered(watch, 2)
        source.put("a.ini", "one")
        await watch.shows("a.ini", "one")


async def test_an_exchange_that_is_deleted_is_made_again(publisher: Publisher) -> None:
    publisher.channel.exchange_delete(EXCHANGE)
    async with watching(monitor()) as watch:
        publisher.channel.exchange_declare(EXCHANGE, exchange_type="fanout")  # as the seed does
        publisher.publish("a.ini", "one")
        await watch.shows("a.ini", "one")


@pytest.mark.parametrize("durable", [None, False, True], ids=["gone", "anew", "made durable"])
async def test_an_exchange_that_is_deleted_under_it_is_noticed(
    publisher: Publisher, durable: bool | None
) -> None:
    async with watching(monitor(BUSY)) as watch:
        await recovered(watch)
        publisher.channel.exchange_delete(EXCHANGE)
        if durable is None:
            await recovered(watch, 2)
            assert "no exchange" in watch.failures()[0]
        else:
            publisher.channel.exchange_declare(EXCHANGE, "fanout", durable=durable)
        while "a.ini" not in watch.seen:  # messages are lost while no queue is bound
            publisher.publish("a.ini", "one")
            await trio.sleep(OFTEN)


async def test_who_connects_may_be_told(publisher: Publisher) -> None:
    where = shared().where
    user, password, vhost = (quote(where[key], safe="") for key in ("user", "password", "vhost"))
    url = f"{user}:{password}@127.0.0.1:{where['port']}/{vhost}"
    with Publisher(vhost=where["vhost"], user=where["user"], password=where["password"]) as own:
        own.declare()
        async with watching(open_url(url, SELDOM)) as watch:
            publisher.publish("b.ini", "other vhost")
            own.publish("a.ini", "one")
            await watch.shows("a.ini", "one")
            assert list(watch.seen) == ["a.ini"]


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        pytest.param("guest:hush@{}", "does not accept this user and password", id="password"),
        pytest.param("nobody:hush@{}", "does not accept this user and password", id="user"),
        pytest.param("{}/nowhere", "does not let this user use the virtual host", id="no vhost"),
        pytest.param("deployer:s3cr%2Ft%40of%20deployer@{}", "virtual host", id="forbidden vhost"),
        pytest.param("{}?queue=amq.x", "ACCESS_REFUSED", id="reserved queue"),
    ],
)
async def test_who_is_refused_says_why_and_not_how(who: str, reason: str) -> None:
    url = who.format(f"127.0.0.1:{shared().where['port']}")
    async with watching(open_url(url, BUSY)) as watch:
        await watch.until(lambda: len(watch.failures()) > 1)
        assert all(reason in each for each in watch.failures())
        assert "hush" not in str(watch.told)
        assert "s3cr" not in str(watch.told)


async def test_a_broker_that_stays_silent(source: AmqpSource) -> None:
    source.gate.silent = True
    opened = source.monitor(BUSY)
    silent = AmqpMonitor(opened.url, opened.broker, BUSY, limits=Limits(connect=0.3))
    async with watching(silent) as watch:
        await watch.until(lambda: len(watch.failures()) > 1)
        assert set(watch.failures()) == {"connecting to it took longer than 0.3 s"}
        source.gate.silent = False
        source.put("a.ini", "one")
        await watch.shows("a.ini", "one")
        # It can be cancelled while it is silent, connected.
        source.gate.silent = True


@pytest.mark.parametrize("way", ["trio-asyncio"], indirect=True)  # it takes long
async def test_a_broker_that_falls_silent(source: AmqpSource) -> None:
    opened = source.monitor(BUSY)
    opened.broker.parameters.heartbeat = 1
    async with watching(opened) as watch:
        source.put("a.ini", "one")
        await watch.shows("a.ini", "one")
        source.gate.silent = True
        await watch.until(watch.failures)
        assert watch.failures() == ["it gives no sign of life"]
        source.gate.silent = False
        source.put("b.ini", "two")
        await watch.shows("b.ini", "two")


async def test_a_broker_of_no_known_name() -> None:
    async with watching(open_url("nowhere.invalid", BUSY)) as watch:
        await watch.until(watch.failures)
    assert watch.failures()[0].startswith("cannot connect: ")
    assert "error" not in watch.failures()[0].lower()


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    "greeting",
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="HTTP"),
        pytest.param(b"AMQP\0\1\0\0", id="another version"),
        pytest.param(os.urandom(4096), id="noise"),
        pytest.param(b"", id="hangs up"),
    ],
)
async def test_what_is_no_broker(greeting: bytes) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            if greeting:
                await stream.send_all(greeting)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        async with watching(monitor(BUSY, port)) as watch:
            await watch.until(lambda: len(watch.failures()) > 1)
        nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("way")
async def test_nothing_is_left_when_it_ends(publisher: Publisher, tmp_path: Path) -> None:
    path = tmp_path / "a.ini"
    path.write_text("one")
    left = []
    for _ in range(3):
        async with watching(monitor()) as watch:
            publisher.publish("a.ini", "one")
            publisher.publish("", str(path))
            await watch.shows(str(path), "one")
        left.append(os.listdir("/proc/self/fd"))
    assert left[1] == left[2]


@pytest.mark.slow
async def test_a_broker_that_is_restarted() -> None:
    def publish(name: str, content: str) -> None:
        with Publisher(port) as publisher:
            publisher.publish(name, content)

    with service("rabbitmq") as server:
        port = server.where["port"]
        async with watching(open_url(f"127.0.0.1:{port}?queue=q", BUSY)) as watch:
            publish("a.ini", "one")
            await watch.shows("a.ini", "one")
            await trio.to_thread.run_sync(server, "kill")
            await watch.until(watch.failures)
            await trio.to_thread.run_sync(server, "start")
            await recovered(watch, 2)
            publish("b.ini", "two")
            await watch.shows("b.ini", "two")
            assert set(watch.seen) == {"a.ini", "b.ini"}


@pytest.mark.usefixtures("way")
async def test_through_tls(publisher: Publisher) -> None:
    where = shared().where
    address = f"127.0.0.1:{where['tls_port']}"
    async with watching(
        open_secured(f"{address}?cacertfile={where['certificate']}", SELDOM)
    ) as watch:
        publisher.publish("a.ini", "one")
        await watch.shows("a.ini", "one")
    async with watching(open_secured(address, BUSY)) as watch:  # its issuer is not known
        await watch.until(lambda: len(watch.failures()) > 1)
        assert "self-signed certificate" in watch.failures()[0]

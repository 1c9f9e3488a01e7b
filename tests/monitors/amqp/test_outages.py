"""amqp:// when a queue or an exchange goes, when a broker refuses us, and through TLS."""

from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
import trio
from emperord.monitors.amqp.monitor import open_secured, open_url
from support.descriptors import descriptors
from support.rabbitmq import EXCHANGE, AmqpSource, Publisher, shared

from ..watching import OFTEN, watching
from .messages import BUSY, SELDOM, monitor, recovered


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
            with trio.move_on_after(OFTEN):
                await watch.shows("a.ini", "one")


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


@pytest.mark.usefixtures("way")
async def test_a_broker_of_another_version() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(b"AMQP\0\1\0\0")

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
        left.append(descriptors())
    assert left[2] <= left[1]


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

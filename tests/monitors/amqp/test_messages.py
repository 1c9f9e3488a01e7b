"""amqp:// on a real broker: what a message says of a vassal, and when it is acknowledged."""

from pathlib import Path
from typing import Any

import pika  # type: ignore[import-untyped]
import pytest
import trio
from emperord.journal.events import Spec
from emperord.monitors.amqp.connection import PREFETCH
from emperord.monitors.amqp.frames import user_id
from emperord.monitors.amqp.monitor import open_url
from emperord.monitors.contract import (
    Destroyed,
    Observation,
    Recovered,
)
from emperord.monitors.polling import SourceFailed
from hypothesis import given
from hypothesis import strategies as st
from support.rabbitmq import EXCHANGE, AmqpSource, Publisher, shared

from ..watching import SLOW, taking_turns, watching
from .messages import SELDOM, monitor, recovered, touched

# Before a start


@pytest.mark.parametrize("queue", ["", "?queue=checked"], ids=["its own queue", "a named queue"])
async def test_to_reach_it_takes_nothing_and_makes_nothing(
    queue: str, publisher: Publisher
) -> None:
    broker = open_url(f"127.0.0.1:{shared().where['port']}{queue}", SELDOM)
    publisher.channel.exchange_delete(EXCHANGE)
    await broker.reach()
    for which, name in (("exchange_declare", EXCHANGE), ("queue_declare", "checked")):
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="NOT_FOUND"):
            getattr(publisher.channel, which)(name, passive=True)
        publisher.channel = publisher._connection.channel()
    publisher.declare()
    publisher.channel.queue_declare("checked", durable=True)
    try:
        publisher.channel.queue_bind("checked", EXCHANGE)
        publisher.publish("a.ini", "one")
        await broker.reach()
        assert publisher.waiting("checked") == 1
    finally:
        publisher.channel.queue_delete("checked")


async def test_a_broker_that_does_not_let_us_in_is_not_reached() -> None:
    wrong = open_url(f"guest:wrong@127.0.0.1:{shared().where['port']}", SELDOM)
    with pytest.raises(SourceFailed, match="it does not accept this user and password"):
        await wrong.reach()


# Messages


async def test_a_config_comes_changes_and_goes(publisher: Publisher) -> None:
    async with watching(monitor()) as watch:
        publisher.publish("a.ini", "one")
        await watch.shows("a.ini", "one")
        publisher.publish("a.ini", "two")
        await watch.shows("a.ini", "two")
        publisher.publish("a.ini", "")
        await watch.until(lambda: "a.ini" not in watch.seen)
        assert watch.kinds() == ["Recovered", "Touched", "Touched", "Destroyed"]
        assert watch.told[-1] == Destroyed("a.ini", "an empty body")


FULL = pika.BasicProperties(
    "text/plain", "utf-8", {"a": 1, "b": ["c"]}, 2, 3, "correlation", "reply", "60000", "message",
    1_700_000_000, "type", "guest", "app",
)  # fmt: skip


@pytest.mark.parametrize(
    ("properties", "user"),
    [(None, None), (pika.BasicProperties(user_id="guest"), "guest"), (FULL, "guest")],
    ids=["no properties", "the user alone", "all properties"],
)
async def test_the_user_that_the_broker_checked_is_recorded(
    publisher: Publisher, properties: pika.BasicProperties | None, user: str | None
) -> None:
    async with watching(monitor()) as watch:
        publisher.publish("a.ini", "one", properties=properties)
        await watch.shows("a.ini", "one")
        [sight] = touched(watch, "a.ini")
        assert sight.seen.spec.attrs == ({} if user is None else {"user": user})
        publisher.publish("a.ini", "", properties=properties)
        await watch.until(lambda: "a.ini" not in watch.seen)
        by = "" if user is None else f" of user {user}"
        assert watch.told[-1] == Destroyed("a.ini", f"an empty body{by}")


@given(st.data())
def test_the_user_is_found_among_any_properties(data: st.DataObject) -> None:
    short = st.text(max_size=20)
    values: dict[str, st.SearchStrategy[Any]] = {
        "content_type": short, "content_encoding": short,
        "headers": st.dictionaries(st.text(min_size=1, max_size=9), short, max_size=3),
        "delivery_mode": st.integers(0, 255), "priority": st.integers(0, 255),
        "correlation_id": short, "reply_to": short, "expiration": short, "message_id": short,
        "timestamp": st.integers(0, 2**40), "type": short, "user_id": short, "app_id": short,
        "cluster_id": short,
    }  # fmt: skip
    given_ = data.draw(st.fixed_dictionaries({}, optional=values))
    pieces = b"".join(pika.BasicProperties(**given_).encode())
    flags, rest = int.from_bytes(pieces[:2]), pieces[2:]
    user: Any = given_.get("user_id")
    encoded = b"" if user is None else bytes([len(user.encode())]) + user.encode()
    assert user_id(flags, rest) == encoded
    cut = data.draw(st.integers(0, len(rest)))
    assert user_id(flags, rest[:cut]) in (encoded, b"")


async def test_announced_again_it_has_a_later_ts(publisher: Publisher) -> None:
    later = 1 << 62  # as if the clock had been set back a century
    async with watching(monitor(), known={"a.ini": Spec(ts=later, config="x")}) as watch:
        for _ in range(3):
            publisher.publish("a.ini", "one")
        await watch.until(lambda: len(touched(watch, "a.ini")) == 3)
        stamps = [each.seen.spec.ts for each in touched(watch, "a.ini")]
        assert stamps == [later + 1, later + 2, later + 3]


async def test_an_own_section_is_read(publisher: Publisher) -> None:
    async with watching(monitor()) as watch:
        publisher.publish("a.ini", "[emperor]\ncommand = sleep 1\n")
        await watch.until(lambda: "a.ini" in watch.seen)
        assert watch.seen["a.ini"].spec.settings == {"command": "sleep 1"}


async def test_bad_messages_among_good_ones(publisher: Publisher, tmp_path: Path) -> None:
    huge = b"x" * 10_000_000
    missing = str(tmp_path / "none.ini")
    async with watching(monitor()) as watch:
        for key, body in [
            ("a.ini", b"good"),
            ("a.txt", b"x"),
            ("", b""),
            ("", b"\xff\xfe\xfd"),
            ("", b"relative.ini"),
            ("", missing.encode()),
            ("b.ini", huge),
            ("", huge),
            ("c.ini", b"\0"),
            ("d.ini", b"good"),
        ]:
            publisher.publish(key, body)
        await watch.until(lambda: "d.ini" in watch.seen)
        assert list(watch.seen) == ["a.ini", "d.ini"]
        assert watch.refused[missing] == "there is no such file"
        assert watch.kinds().count("Refused") == 8


async def test_headers_and_properties_mean_nothing(publisher: Publisher) -> None:
    properties = pika.BasicProperties(
        content_type="image/png",
        headers={"uid": 0, "x" * 200: "y" * 200},
        delivery_mode=2,
        expiration="60000",
        reply_to="nobody",
    )
    async with watching(monitor()) as watch:
        publisher.publish("a.ini", "one", properties=properties)
        await watch.shows("a.ini", "one")


async def test_configs_that_are_slow_to_read_hold_up_nobody(publisher: Publisher) -> None:
    names = [f"{number}.yml" for number in range(10)]
    async with watching(monitor()) as watch:
        await recovered(watch)
        async with taking_turns() as turns:
            publisher.flood((name, SLOW.encode()) for name in names)
            await watch.until(lambda: len(watch.seen) == len(names))
    assert turns.longest < turns.all / 2


async def test_what_is_not_recorded_is_not_acknowledged(source: AmqpSource) -> None:
    reached, gate = trio.Event(), trio.Event()
    told: list[Observation] = []

    async def tell(*observations: Observation) -> None:
        told.extend(observations)
        if not isinstance(observations[0], Recovered):
            reached.set()
            await gate.wait()

    for number in range(700):  # more than are given at once
        source.put(f"v{number}.ini", "one")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(source.monitor(SELDOM).run, tell, {})
        await reached.wait()
        nursery.cancel_scope.cancel()
    assert len(told) <= 1 + PREFETCH
    async with watching(source.monitor(SELDOM)) as watch:
        await watch.until(lambda: len(watch.seen) == 700)
        source.put("mark.ini", "one")  # is told when those before it are acknowledged
        await watch.shows("mark.ini", "one")
    async with watching(source.monitor(SELDOM)) as watch:
        source.put("last.ini", "one")
        await watch.until(lambda: "last.ini" in watch.seen)
        assert set(watch.seen) <= {"mark.ini", "last.ini"}

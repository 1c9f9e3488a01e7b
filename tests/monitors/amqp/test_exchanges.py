"""amqp:// uses an exchange as it is, of whichever type."""

from pathlib import Path

import pytest
from support.rabbitmq import Publisher

from ..watching import watching
from .messages import monitor


@pytest.mark.parametrize("kind", ["topic", "headers", "fanout"])
async def test_an_exchange_is_used_as_it_is(
    publisher: Publisher, kind: str, tmp_path: Path
) -> None:
    publisher.declare(kind, durable=True)
    path = tmp_path / "a.ini"
    path.write_text("two")
    async with watching(monitor()) as watch:
        publisher.publish("a.ini", "one")
        await watch.shows("a.ini", "one")
        publisher.publish("", str(path))
        await watch.shows(str(path), "two")


async def test_a_direct_exchange_gives_what_has_no_key(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.declare("direct")
    path = tmp_path / "a.ini"
    path.write_text("one")
    async with watching(monitor()) as watch:
        publisher.publish("", str(path))
        await watch.shows(str(path), "one")

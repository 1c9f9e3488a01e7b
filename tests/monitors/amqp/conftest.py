"""A broker, a publisher and a web server for tests of amqp://."""

from collections.abc import Iterator

import pytest
from support.rabbitmq import AmqpSource, Publisher


@pytest.fixture
def source(way: str) -> Iterator[AmqpSource]:
    source = AmqpSource()
    yield source
    source.close()


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with Publisher() as publisher:
        publisher.declare()
        yield publisher

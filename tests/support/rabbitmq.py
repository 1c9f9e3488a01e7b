"""A RabbitMQ for the tests of one process, who publishes there, and a source to watch."""

import atexit
import functools
import uuid
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pika  # type: ignore[import-untyped]
from emperord.monitors.amqp.monitor import AmqpMonitor, open_url
from emperord.monitors.options import MonitorOptions

from .gate import Gate
from .services import Service, service

EXCHANGE = "uwsgi.emperor"


@functools.cache
def shared() -> Service:
    """The server that tests share which do it no harm."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(service("rabbitmq"))


class Publisher:
    """A client that deploys, connected as long as the block runs."""

    def __init__(
        self,
        port: int | None = None,
        *,
        vhost: str = "/",
        user: str = "guest",
        password: str = "guest",  # noqa: S107  # everybody's
    ) -> None:
        self._connection = pika.BlockingConnection(
            pika.ConnectionParameters(
                "127.0.0.1",
                port or shared().where["port"],
                vhost,
                pika.PlainCredentials(user, password),
                heartbeat=0,
            )
        )
        self.channel = self._connection.channel()
        self.channel.confirm_delivery()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()

    def declare(self, kind: str = "fanout", *, durable: bool = False) -> None:
        """Have the exchange made, anew."""
        self.channel.exchange_delete(EXCHANGE)
        self.channel.exchange_declare(EXCHANGE, exchange_type=kind, durable=durable)

    def publish(self, key: str, body: bytes | str, **more: Any) -> None:
        """Publish, and return when the broker has it."""
        self.channel.basic_publish(EXCHANGE, key, body, **more)

    def flood(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Publish as fast as can be."""
        channel = self._connection.channel()
        for key, body in messages:
            channel.basic_publish(EXCHANGE, key, body)
        channel.close()

    def waiting(self, queue: str) -> int:
        """How many messages are ready in a queue."""
        return int(self.channel.queue_declare(queue, passive=True).method.message_count)


class AmqpSource:
    """The exchange, heard through a durable queue of its own, beyond a gate."""

    def __init__(self, _: Path | None = None, server: Service | None = None) -> None:
        self.queue = f"q{uuid.uuid4().hex}"
        port = (server or shared()).where["port"]
        self.gate = Gate(port)
        self.publisher = Publisher(port)
        self.publisher.declare()
        self.publisher.channel.queue_declare(self.queue, durable=True)
        self.publisher.channel.queue_bind(self.queue, EXCHANGE)

    def close(self) -> None:
        """Leave nothing on the server."""
        self.publisher.channel.queue_delete(self.queue)
        self.publisher.__exit__()
        self.gate.__exit__()

    def monitor(self, options: MonitorOptions) -> AmqpMonitor:
        """A monitor of the queue."""
        return open_url(f"127.0.0.1:{self.gate.port}?queue={self.queue}", options)

    def name(self, file: str) -> str:
        """As it is."""
        return file

    def put(self, file: str, content: str) -> None:
        """Announce a config."""
        self.publisher.publish(file, content)

    def remove(self, file: str) -> None:
        """Announce its end."""
        self.publisher.publish(file, b"")

    def fail(self) -> None:
        """Shut the way to the broker."""
        self.gate.shut()

    def mend(self) -> None:
        """Open it again."""
        self.gate.open()

"""amqp:// as a row."""

import uuid
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from emperord.monitors.amqp.monitor import AmqpMonitor, Limits, open_url
from emperord.monitors.contract import Monitor
from emperord.monitors.options import MonitorOptions
from support.daemon import Daemon
from support.rabbitmq import EXCHANGE, Publisher
from support.services import Service

from .row import Guarded, Row


class AmqpRow(Row):
    """The exchange, heard through a durable queue."""

    service = "rabbitmq"
    checked = "  reached; it announces its vassals, so there is nothing to read beforehand"
    removal = "vassal_destroyed"
    tells_all = True
    padding = 2000
    most_memory = 100
    silent_at_read = "it gives no sign of life"

    def __init__(self, folder: Path, server: Service | None) -> None:
        super().__init__(folder, server)
        self._port = self.server.where["port"]
        self._queue = f"q{uuid.uuid4().hex}"
        self._vhost = "/"

    def close(self) -> None:
        with self._publisher() as publisher:
            publisher.channel.queue_delete(self._queue)

    def _publisher(self) -> Publisher:
        """Connected anew, to a broker that may have been started again."""
        publisher = Publisher(self._port, vhost=self._vhost)
        # The daemon may still be about to make them.
        publisher.channel.exchange_declare(EXCHANGE, exchange_type="fanout")
        publisher.channel.queue_declare(self._queue, durable=True)
        publisher.channel.queue_bind(self._queue, EXCHANGE)
        return publisher

    @property
    def url(self) -> str:
        return f"amqp://127.0.0.1:{self._port}?queue={self._queue}"

    def monitor(
        self, options: MonitorOptions, limit: float = 1, port: int | None = None
    ) -> Monitor:
        rest = f"127.0.0.1:{port or self._port}?queue={self._queue}"
        return self._hurried(rest, options, limit)

    def stranger(self, options: MonitorOptions, port: int, host: str = "127.0.0.1") -> Monitor:
        return self._hurried(f"me:hidden@{host}:{port}", options, 1)

    def _hurried(self, rest: str, options: MonitorOptions, limit: float) -> Monitor:
        opened = open_url(rest, options)
        opened.broker.parameters.heartbeat = 1
        limits = Limits(connect=limit, pauses=(0.02, 0.1))
        return AmqpMonitor(opened.url, opened.broker, options, limits=limits)

    def put(self, name: str, config: str) -> None:
        self.change([(name, config)])

    def remove(self, name: str) -> None:
        self.change([(name, "")])

    def change(self, configs: Sequence[tuple[str, str]]) -> None:
        with self._publisher() as publisher:
            publisher.flood((name, text.encode()) for name, text in configs)

    def put_bad(self) -> dict[str, str]:
        self.change([("bad", "x"), ("long.ini", "#" * 65536)])
        return {"bad": "extension", "long.ini": "65536 bytes"}

    def guarded(self) -> Guarded:
        where = self.server.where
        user, password = quote(where["user"], safe=""), quote(where["password"], safe="")
        self._vhost = where["vhost"]
        address = f"127.0.0.1:{self._port}/{quote(self._vhost, safe='')}?queue={self._queue}"
        good, bad = f"amqp://{user}:{password}@{address}", f"amqp://nobody:hush@{address}"

        def provoke(daemon: Daemon) -> None:
            self.change(
                [
                    ("", "http://user:hush@127.0.0.1/a.ini"),
                    ("", "http://127.0.0.1/a.ini?token=hush.ini"),
                ]
            )
            daemon.event("observation_rejected", count=2)

        secrets = [password.encode(), where["password"].encode(), b"hush"]
        return Guarded(
            [good, bad], secrets, "it does not accept this user and password", 1, provoke
        )

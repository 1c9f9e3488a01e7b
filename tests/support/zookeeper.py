"""A ZooKeeper for the tests of one process, and sources in it, each below a znode of its own."""

import atexit
import functools
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from emperord.monitors.contract import Monitor
from emperord.monitors.options import MonitorOptions
from emperord.monitors.zookeeper.monitor import open_url
from emperord.monitors.zookeeper.sockets import poll_sockets
from kazoo.client import KazooClient  # type: ignore[import-untyped]
from kazoo.handlers.threading import (  # type: ignore[import-untyped]
    SequentialThreadingHandler,
)
from kazoo.retry import KazooRetry  # type: ignore[import-untyped]
from kazoo.security import make_acl  # type: ignore[import-untyped]

from .services import Service, service

ALL = [make_acl("world", "anyone", all=True)]
UNREADABLE = [make_acl("world", "anyone", write=True, create=True, delete=True, admin=True)]


class _Handler(SequentialThreadingHandler):  # type: ignore[misc]
    """One that opens no descriptor for each look: tests count descriptors."""

    select = staticmethod(poll_sockets)


@functools.cache
def shared() -> Service:
    """The server that tests share which do it no harm."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(service("zookeeper"))


@functools.cache
def talk() -> Any:
    """A client of the shared server."""
    stack = ExitStack()
    client = stack.enter_context(talking(shared().where["hosts"]))
    atexit.register(stack.close)
    return client


@contextmanager
def talking(hosts: str, **more: Any) -> Iterator[Any]:
    """A client of a test's own. It waits for a server that is not there yet."""
    handler = _Handler()
    retry = KazooRetry(max_tries=-1, delay=0.05, max_delay=0.2, sleep_func=handler.sleep_func)
    client = KazooClient(hosts, handler=handler, connection_retry=retry, **more)
    client.start(30)
    try:
        yield client
    finally:
        client.stop()
        client.close()


def put(client: Any, path: str, data: str | bytes) -> None:
    """Set a znode's data; make it, and those above it, if there is none."""
    content = data.encode() if isinstance(data, str) else data
    if client.exists(path):
        client.set(path, content)
    else:
        client.create(path, content, makepath=True)


class ZooSource:
    """A znode of its own, and what is below it."""

    def __init__(self, _: Path | None = None) -> None:
        self.path = f"/s{uuid.uuid4().hex}"
        talk().create(self.path)

    @property
    def url(self) -> str:
        """How it is called."""
        return f"zoo://{shared().where['hosts']}{self.path}"

    def monitor(self, options: MonitorOptions) -> Monitor:
        """A monitor of the znodes below."""
        return open_url(self.url.removeprefix("zoo://"), options)

    def name(self, file: str) -> str:
        """As it is."""
        return file

    def put(self, file: str, content: str) -> None:
        """Set a znode's data, or make it."""
        put(talk(), f"{self.path}/{file}", content)

    def remove(self, file: str) -> None:
        """Delete the znode, and what is below it."""
        talk().delete(f"{self.path}/{file}", recursive=True)

    def fail(self) -> None:
        """Let no client read which znodes there are."""
        talk().set_acls(self.path, UNREADABLE)

    def mend(self) -> None:
        """Have everybody read it."""
        talk().set_acls(self.path, ALL)


def member(quorum: Service, number: int) -> Service:
    """One of a quorum."""
    return Service(f"zookeeper-{number}", {}, quorum._orders, quorum._answers)

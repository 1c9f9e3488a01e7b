"""A MongoDB for the tests of one process, and sources in it, each in a database of its own."""

import atexit
import functools
import itertools
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from emperord.monitors import polling
from emperord.monitors.mongodb.monitor import Mongo
from emperord.monitors.mongodb.url import read
from emperord.monitors.options import MonitorOptions
from pymongo import MongoClient
from pymongo.collection import Collection

from .services import Service, service

Document = Mapping[str, Any]


@functools.cache
def shared() -> Service:
    """The server that tests share which do it no harm."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(service("mongodb"))


def client_of(server: Service) -> MongoClient[dict[str, Any]]:
    """A client of a test's own, to be closed."""
    return MongoClient(server.where["hosts"], directConnection=True)


@functools.cache
def talk() -> MongoClient[dict[str, Any]]:
    """The tests' own client of the shared server."""
    client = client_of(shared())
    atexit.register(client.close)
    return client


class MongoSource:
    """A collection ``vassals`` in a database of its own."""

    def __init__(
        self,
        _: Path | None = None,
        *,
        client: MongoClient[dict[str, Any]] | None = None,
        hosts: str | None = None,
    ) -> None:
        self.client = client or talk()
        self.hosts = hosts or shared().where["hosts"]
        self.database = f"d{uuid.uuid4().hex}"
        self._ts = itertools.count(1)

    @property
    def vassals(self) -> Collection[dict[str, Any]]:
        """The collection."""
        return self.client[self.database]["vassals"]

    @property
    def rest(self) -> str:
        """The rest of the URL after ``mongodb://``; directly: it may know itself by other names."""
        return f"{self.hosts}/?directConnection=true,{self.database}.vassals"

    def monitor(self, options: MonitorOptions) -> Mongo:
        """A monitor of all in the collection."""
        return self.hurried(options, polling.LIMIT)

    def hurried(self, options: MonitorOptions, limit: float, more: str = "") -> Mongo:
        """One that waits ``limit`` seconds for its server, not more."""
        return Mongo(read(self.rest + more), options, limit=limit)

    def name(self, file: str) -> str:
        """As it is."""
        return file

    def put(self, file: str, content: str) -> None:
        """Insert a document, or change it."""
        fields = {"config": content, "ts": next(self._ts)}
        self.vassals.update_one({"name": file}, {"$set": fields}, upsert=True)

    def remove(self, file: str) -> None:
        """Delete it."""
        self.vassals.delete_one({"name": file})

    def fail(self) -> None:
        """Have the server answer readings with an error."""
        failure = {"failCommands": ["find"], "errorCode": 13}
        self.client.admin.command(
            "configureFailPoint", "failCommand", mode="alwaysOn", data=failure
        )

    def mend(self) -> None:
        """Undo that."""
        self.client.admin.command("configureFailPoint", "failCommand", mode="off")

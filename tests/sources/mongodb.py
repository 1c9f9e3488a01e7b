"""mongodb:// as a row."""

import contextlib
import functools
import itertools
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emperord.monitors.contract import Monitor
from emperord.monitors.mongodb.monitor import Mongo
from emperord.monitors.mongodb.url import read
from emperord.monitors.options import MonitorOptions
from pymongo import MongoClient, ReplaceOne
from pymongo.collection import Collection
from support.mongodb import client_of
from support.services import Service

from .row import Guarded, Row


class MongoRow(Row):
    """A collection with nothing in it; ``ts`` are numbers that are counted."""

    service = "mongodb"
    silent_at_connect = "takes connections and does not answer"
    silent_at_read = ""

    def __init__(self, folder: Path, server: Service | None) -> None:
        super().__init__(folder, server)
        self._database = f"d{uuid.uuid4().hex}"
        self._times = itertools.count(1)
        self._open = contextlib.ExitStack()

    @functools.cached_property
    def _client(self) -> MongoClient[dict[str, Any]]:
        """It has threads of its own, and a test may not want them."""
        return self._open.enter_context(client_of(self.server))

    @property
    def _vassals(self) -> Collection[dict[str, Any]]:
        return self._client[self._database]["vassals"]

    def close(self) -> None:
        self._open.close()

    @property
    def url(self) -> str:
        return f"mongodb://{self.server.where['hosts']},{self._database}.vassals,{{enabled:1}}"

    def monitor(
        self, options: MonitorOptions, limit: float = 1, port: int | None = None
    ) -> Monitor:
        hosts = self.server.where["hosts"] if port is None else f"127.0.0.1:{port}"
        rest = f"{hosts}/?directConnection=true,{self._database}.vassals,{{enabled:1}}"
        return Mongo(read(rest), options, limit=limit)

    def stranger(self, options: MonitorOptions, port: int, host: str = "127.0.0.1") -> Monitor:
        rest = f"me:hidden@{host}:{port}/?directConnection=true,x.y"
        return Mongo(read(rest), options, limit=1)

    def put(self, name: str, config: str) -> None:
        self.change([(name, config)])

    def remove(self, name: str) -> None:
        self._vassals.delete_one({"_id": name})

    def change(self, configs: Sequence[tuple[str, str]]) -> None:
        self._vassals.bulk_write(
            [
                ReplaceOne({"_id": name}, self._document(name, config), upsert=True)
                for name, config in configs
            ]
        )

    def _document(self, name: str, config: str) -> dict[str, Any]:
        return {"name": name, "config": config, "ts": next(self._times), "enabled": 1}

    def make_durable(self) -> None:
        self.server("stop")  # servers take their time for it
        self.server("start")

    def put_bad(self) -> dict[str, str]:
        self._vassals.insert_many(
            [
                {**self._document("bad", "x")},
                {**self._document("nan.ini", "x"), "ts": float("nan")},
                {"_id": "nameless", "config": "x", "ts": 1, "enabled": 1},
            ]
        )
        return {"bad": "extension", "nan.ini": "ts", "document nameless": "name"}

    def spoil(self, name: str) -> None:
        self._set(name, ts="soon")

    def change_behind(self, name: str, config: str) -> None:
        self._set(name, config=config)

    def touch(self, name: str) -> None:
        self._set(name, ts=next(self._times))

    def _set(self, name: str, **values: object) -> None:
        self._vassals.update_one({"_id": name}, {"$set": values})

    def guarded(self) -> Guarded:
        secret = "s3cr3t' ,@/x"  # noqa: S105
        admin = self._client.admin
        if admin.command("usersInfo", "guarded")["users"]:
            admin.command("dropUser", "guarded")
        admin.command("createUser", "guarded", pwd=secret, roles=["readAnyDatabase"])
        hosts = self.server.where["hosts"]
        escaped = "s3cr3t%27%20%2C%40%2Fx"
        monitors = [
            f"mongodb://guarded:{escaped}@{hosts}/?authSource=admin,{self._database}.vassals",
            "mongodb://me:s3cr3t@127.0.0.1:1,x.y",
            f"mongodb2://addr={hosts},coll=x.y,username=me,password=s3cr3t no,db=admin",
        ]
        return Guarded(monitors, [b"s3cr3t", b"%27"], "uthentication", 2)

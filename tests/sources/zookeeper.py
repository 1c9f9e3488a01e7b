"""zoo:// as a row."""

import contextlib
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from emperord.monitors.contract import Monitor
from emperord.monitors.options import MonitorOptions
from emperord.monitors.zookeeper import url as zoo_url
from emperord.monitors.zookeeper.monitor import ZooKeeper
from kazoo.security import make_digest_acl  # type: ignore[import-untyped]
from support.services import Service
from support.zookeeper import UNREADABLE, put, talking

from .row import Guarded, Row


class ZooRow(Row):
    """A znode, and what is below it."""

    service = "zookeeper"
    notices = False  # a short outage is none
    silent_at_connect = "takes connections and gives no session"
    silent_at_read = ""

    def __init__(self, folder: Path, server: Service | None) -> None:
        super().__init__(folder, server)
        self._open = contextlib.ExitStack()
        self.client: Any = self._open.enter_context(talking(self.server.where["hosts"]))
        self.path = f"/s{uuid.uuid4().hex}"
        self.client.create(self.path)

    def hang_up(self) -> None:
        self._open.close()

    def close(self) -> None:
        self._open.close()

    @property
    def url(self) -> str:
        return f"zoo://{self.server.where['hosts']}{self.path}"

    def monitor(
        self, options: MonitorOptions, limit: float = 1, port: int | None = None
    ) -> Monitor:
        hosts = self.server.where["hosts"] if port is None else f"127.0.0.1:{port}"
        return ZooKeeper(zoo_url.read(f"{hosts}{self.path}"), options, limit=limit)

    def stranger(self, options: MonitorOptions, port: int, host: str = "127.0.0.1") -> Monitor:
        rest = f"{host}:{port}/x?auth=digest:me:hidden"
        return ZooKeeper(zoo_url.read(rest), options, limit=1)

    def put(self, name: str, config: str) -> None:
        self.client.retry(put, self.client, f"{self.path}/{name}", config)

    def remove(self, name: str) -> None:
        self.client.retry(self.client.delete, f"{self.path}/{name}")

    def change(self, configs: Sequence[tuple[str, str]]) -> None:
        self._at_once(self.client.set_async, configs)

    def fill(self, configs: Iterable[tuple[str, str]]) -> None:
        self._at_once(self.client.create_async, list(configs))

    def _at_once(self, order: Any, configs: Sequence[tuple[str, str]]) -> None:
        for start in range(0, len(configs), 100):
            part = configs[start : start + 100]
            results = [order(f"{self.path}/{name}", text.encode()) for name, text in part]
            for result in results:
                result.get(20)

    def put_bad(self) -> dict[str, str]:
        self.put("bad", "x")
        self.put("empty.ini", "")
        self.put("long.ini", "#" * 65536)
        return {"bad": "extension", "empty.ini": "empty", "long.ini": "65536 bytes"}

    def guarded(self) -> Guarded:
        secret = "s3cr3t' ;@/x"  # noqa: S105
        readers = [make_digest_acl("deployer", secret, read=True), *UNREADABLE]
        for path in (f"{self.path}/a.ini", self.path):
            self.client.set_acls(path, readers)
        url = f"{self.url}?auth=digest:deployer:"
        monitors = [url + quote(secret), url + "s3cr3t-no&announce=/e"]
        reason = f"ZooKeeper does not let us list {self.path}; check its ACL"
        return Guarded(monitors, [b"s3cr3t", b"%27"], reason, 1)

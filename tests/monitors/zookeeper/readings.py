"""One reading of the source, and what it was not able to read."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import trio
from emperord.monitors.options import MonitorOptions
from emperord.monitors.zookeeper import monitor as zookeeper
from emperord.monitors.zookeeper.client import Client
from support.zookeeper import shared, talking

from ..watching import NEVER, Watching

SELDOM = MonitorOptions(freq=NEVER)

TYRANT = MonitorOptions(freq=NEVER, tyrant=True)

QUOTED = "s3cr3t:%26?%25/@ x"


def fields_of(watch: Watching, name: str) -> tuple[int | None, int | None, str | None]:
    spec = watch.seen[name].spec
    return spec.uid, spec.gid, spec.socket


class Meddler:
    """Does something before a znode's data is asked for, or before it is ``listed``.

    Or before it is ``looked for``, or when it was ``looked for and answered``.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clients: list[Client] = []
        self.deeds: Mapping[str, Callable[[], object]] = {}
        self.heard: list[str] = []  # the znodes of which a client was told
        meddler = self

        class Meddled(Client):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments)
                meddler.clients.append(self)

            def _change(self, path: str) -> None:
                super()._change(path)
                meddler.heard.append(path)

            async def get(self, path: str) -> tuple[bytes | None, Any]:
                await self.meddle(path)
                return await super().get(path)

            async def children(self, path: str) -> tuple[list[str], Any]:
                await self.meddle(f"{path} listed")
                return await super().children(path)

            async def exists(self, path: str) -> Any:
                await self.meddle(f"{path} looked for")
                stat = await super().exists(path)
                await self.meddle(f"{path} looked for and answered")
                return stat

            async def meddle(self, key: str) -> None:
                if (deed := meddler.deeds.get(key)) is not None:
                    await trio.to_thread.run_sync(deed)

        monkeypatch.setattr(zookeeper, "Client", Meddled)


async def expire(client: Client) -> None:
    """End a client's session behind its back."""
    identity = client._kazoo.client_id
    with talking(shared().where["hosts"], client_id=identity) as thief:
        assert thief.client_id[0] == identity[0]

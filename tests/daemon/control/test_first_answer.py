"""A daemon that takes over tells its status before it knows which vassals still run."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from emperord.daemon.control import server
from emperord.daemon.host.host import Host
from support.steered import Source, inline, steered

SPEAKS = "say 1 5 17\n"


class Client:
    """A client of the control socket."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    async def ask(self, do: str) -> dict[str, Any]:
        await self._stream.send_all(json.dumps({"do": do}).encode() + b"\n")
        line = b""
        while not line.endswith(b"\n"):
            line += await self._stream.receive_some()
        answer: dict[str, Any] = json.loads(line)
        return answer


@asynccontextmanager
async def client(path: Path) -> AsyncIterator[Client]:
    async with await trio.open_unix_socket(str(path)) as stream:
        yield Client(stream)


async def test_the_status_comes_before_the_recovery_and_all_else_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, path, recovered = Source(), tmp_path / "sock", trio.Event()
    recover = Host.recover

    async def held(self: Host, *given: Any) -> Any:
        await recovered.wait()
        return await recover(self, *given)

    async with steered(tmp_path, source, uwsgi="/bin/true") as before:
        await source.lists(a=inline(SPEAKS, 1))
        await before.phase("a.ini", "throttled")
    monkeypatch.setattr(Host, "recover", held)
    listener = server.bind(str(path))
    async with (
        steered(tmp_path, Source(), control=listener) as daemon,
        client(path) as early,
        client(path) as patient,
        trio.open_nursery() as nursery,
    ):
        seq = daemon.fleet.seq
        listed: list[dict[str, Any]] = []

        async def list_() -> None:
            listed.append(await patient.ask("list"))

        nursery.start_soon(list_)
        status = (await early.ask("status"))["status"]
        assert (status["recovers"], status["seq"]) == (True, seq)
        assert sum(status["vassals"].values()) == 1
        assert listed == []
        recovered.set()
        assert (await early.ask("list"))["seq"] > seq
        assert (await early.ask("status"))["status"]["recovers"] is False
    listener.close()
    assert listed[0]["seq"] > seq

"""An error of the daemon's own while it answers: the client is told, and others are answered."""

import json
import logging
import socket
from pathlib import Path
from typing import Any

import pytest
import trio
from emperord.daemon.control.connection_limits import ClientLimits
from emperord.daemon.control.server import Answered, Client, bind, serve
from support.hostile import SECRET, Planted


async def answer(request: dict[str, Any], client: Client) -> Answered:
    if request["do"] == "list":
        raise Planted(f"password={SECRET} \u202e")
    if request["do"] == "wait":
        return await client.aside(never)
    return {"status": {}}


async def never() -> Answered:
    raise Planted


async def ask(path: str, request: dict[str, Any]) -> dict[str, Any]:
    async with await trio.open_unix_socket(path) as stream:
        await stream.send_all(json.dumps(request).encode() + b"\n")
        answered: dict[str, Any] = json.loads(await stream.receive_some())
        return answered


async def test_it_ends_one_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = str(tmp_path / "control.sock")
    with bind(path) as listener, caplog.at_level(logging.ERROR):
        assert isinstance(listener, socket.socket)
        async with trio.open_nursery() as nursery:
            await nursery.start(serve, listener, answer)
            told = await ask(path, {"do": "list"})
            assert not told["ok"]
            assert told["error"].startswith(
                "an error of the daemon, whose log says more: Planted: "
            )
            assert SECRET not in told["error"] + caplog.text
            assert "\u202e" not in told["error"]
            assert "test_own_errors.py" in caplog.text  # where it was raised
            assert "Planted" in (await ask(path, {"do": "wait"}))["error"]
            assert (await ask(path, {"do": "status"}))["ok"]
            nursery.cancel_scope.cancel()


async def test_it_ends_one_client(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside of an answer, too: its connection is closed, and the daemon serves the others."""
    path = str(tmp_path / "control.sock")

    async def fails(_: ClientLimits, client: object) -> bool:
        raise Planted(f"password={SECRET}")

    with bind(path) as listener, caplog.at_level(logging.ERROR):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve, listener, answer)
            with monkeypatch.context() as planted:
                planted.setattr(ClientLimits, "take", fails)
                async with await trio.open_unix_socket(path) as stream:
                    assert await stream.receive_some() == b""
            assert "disconnecting a client of the control socket" in caplog.text
            assert "Planted" in caplog.text
            assert SECRET not in caplog.text
            assert (await ask(path, {"do": "status"}))["ok"]
            nursery.cancel_scope.cancel()

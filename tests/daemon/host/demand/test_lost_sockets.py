"""The look for sockets that are lost, while others are given back."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from emperord.daemon.core.draft import Draft
from emperord.daemon.host import on_demand
from emperord.daemon.host.accounts import Accounts
from emperord.daemon.host.epoll import Epoll
from emperord.daemon.host.on_demand import OnDemand
from emperord.daemon.host.opening import Listener
from emperord.daemon.host.socket_files import Terms
from emperord.daemon.host.user_threads import UserThreads
from emperord.daemon.keeper.link import KeeperLink
from emperord.journal.policy import Policy
from support.waiting import until

TERMS = Terms(0o600, -1, -1, 5)


class Demand:
    """Sockets without a daemon. ``told`` and ``failed`` are what came of them."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.told: list[Draft] = []
        self.failed: list[tuple[Any, ...]] = []
        self.sockets = OnDemand(
            KeeperLink(None),
            Epoll(),
            UserThreads(),
            self.told.append,
            lambda *failure: self.failed.append(failure),
            lambda _: False,
            Policy,
            Accounts(),
        )
        self.sockets.begin(nursery)

    async def listen(self, vassal: str, path: Path) -> None:
        path.parent.mkdir()
        self.sockets.listen(vassal, str(path), TERMS)
        await self.sockets.settled(vassal)


@asynccontextmanager
async def listening() -> AsyncIterator[Demand]:
    async with trio.open_nursery() as nursery:
        demand = Demand(nursery)
        yield demand
        await demand.sockets.unlisten_all()
        nursery.cancel_scope.cancel()
    demand.sockets.close()


async def test_a_socket_that_is_given_back_during_a_look_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The look is at one directory after the other, and a file system may be slow."""
    monkeypatch.setattr(on_demand, "LOOK_AFTER", 0.05)
    looks, goes_on = threading.Semaphore(0), threading.Event()
    both, looked = threading.Event(), threading.Event()
    has_file = Listener.has_file

    def slow(listener: Listener) -> bool:
        if listener.vassal == "one" and both.is_set() and looks.acquire(blocking=False):
            looked.set()
            assert goes_on.wait(20)
        elif listener.vassal == "one" and both.is_set():
            looks.release()  # the next look began when both were listened for
        return has_file(listener)

    monkeypatch.setattr(Listener, "has_file", slow)
    async with listening() as demand:
        await demand.listen("one", tmp_path / "a/s")
        await demand.listen("two", tmp_path / "b/s")
        both.set()
        await trio.to_thread.run_sync(looked.wait, 20)
        demand.sockets.unlisten("two")
        goes_on.set()
        (tmp_path / "a/s").unlink()
        await trio.to_thread.run_sync(until, (tmp_path / "a/s").exists, "the look goes on")
    assert caplog.messages == ["one: its socket is lost; making it anew"]
    assert demand.failed == []

"""pg:// on a server that restarts, or falls silent."""

import gc
import os
from collections.abc import Iterator
from functools import partial

import pytest
import trio
from emperord.monitors.contract import Listing
from emperord.monitors.postgres.monitor import (
    DEFAULT_QUERY,
)
from support.postgres import blocks, conninfo_of, talking
from support.services import Service, order, service

from ..watching import cancelled_in_silence, watching
from .readings import BUSY, SELDOM, hurried


@pytest.fixture(scope="module")
def breakable() -> Iterator[Service]:
    with service("postgres") as running:
        yield running


@pytest.fixture
def server(breakable: Service) -> Iterator[Service]:
    """A server to be stopped, killed and frozen; it runs again when the test is over."""
    yield breakable
    breakable("thaw")


@pytest.fixture
def uncollected() -> Iterator[None]:
    """A connection that only the garbage collector closes was left behind."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


# Servers that come, go and hang


def filled(server: Service) -> str:
    with talking(conninfo_of(server)) as link:
        link.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        link.execute(blocks()[0])
        link.execute("INSERT INTO vassals (name, config) VALUES ('a.ini', 'one')")
    return conninfo_of(server)


def change(server: Service, content: str) -> None:
    with talking(conninfo_of(server)) as link:
        link.execute("UPDATE vassals SET config = %s", (content,))


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_a_server_that_restarts(server: Service, end: str) -> None:
    async with watching(hurried(filled(server), DEFAULT_QUERY, SELDOM)) as watch:
        await order(server, end)
        await watch.until(watch.failures)
        assert list(watch.seen) == ["a.ini"]
        await order(server, "start")
        await watch.until(lambda: isinstance(watch.told[-1], Listing))
        await trio.to_thread.run_sync(change, server, "two")
        await watch.shows("a.ini", "two")


async def test_a_server_that_is_silent_at_connect(server: Service) -> None:
    conninfo = filled(server)
    await order(server, "freeze")
    async with watching(hurried(conninfo, DEFAULT_QUERY)) as watch:
        assert watch.failures() == ["connecting to it took longer than 1 s"]
        await order(server, "thaw")
        await watch.shows("a.ini", "one")


async def test_a_server_that_is_silent_at_read(server: Service) -> None:
    async with watching(hurried(filled(server), DEFAULT_QUERY)) as watch:
        await order(server, "freeze")
        await watch.until(watch.failures)
        assert watch.failures() == ["reading it took longer than 1 s"]
        assert list(watch.seen) == ["a.ini"]
        await order(server, "thaw")
        await trio.to_thread.run_sync(change, server, "two")
        await watch.shows("a.ini", "two")


@pytest.mark.few(2)
@pytest.mark.usefixtures("way")
@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("silent", ["connect", "read", "wait"])
async def test_who_is_cancelled_does_not_wait_for_a_silent_server(
    server: Service, silent: str
) -> None:
    conninfo = filled(server)
    options = SELDOM if silent == "wait" else BUSY
    monitor = hurried(conninfo, DEFAULT_QUERY, options, limit=60)
    if silent == "connect":
        await order(server, "freeze")
    before = os.listdir("/proc/self/fd")
    await cancelled_in_silence(monitor, partial(order, server, "freeze"), silent)
    assert os.listdir("/proc/self/fd") == before

"""ldap:// gives up on a server that is silent, and a cancelled reading never waits for it."""

import math

import pytest
import trio
from emperord.monitors.ldap import requests
from emperord.monitors.ldap.ber import element
from support.gate import Gate
from support.ldap import (
    LdapSource,
    Request,
    entry,
    message,
    result,
    scripted,
    state,
)
from support.waiting import until

from ..watching import Watching, watching
from .readings import BUSY, SELDOM, scripted_monitor, vassal


def large(below: str) -> LdapSource:
    """With 600 kB of configs."""
    source = LdapSource(below=below)
    for count in range(300):
        source.put(f"v{count}.ini", f"{count}".ljust(2000))
    return source


@pytest.mark.parametrize("below", ["suffix", "plain"])
async def test_a_slow_line_may_take_longer_than_the_limit(below: str) -> None:
    source = large(below)
    with Gate(source.server.where["port"]) as gate:
        gate.rate = 200_000
        began = trio.current_time()
        async with watching(source.hurried(SELDOM, 1, port=gate.port)) as watch:
            assert watch.failures() == []
            assert len(watch.seen) == 300
            assert trio.current_time() - began > 2


@pytest.mark.parametrize("below", ["suffix", "plain"])
async def test_a_server_that_falls_silent_within_a_reading(below: str) -> None:
    source = large(below)
    with Gate(source.server.where["port"]) as gate:
        gate.silent_after = 300_000
        began = trio.current_time()
        async with watching(source.hurried(BUSY, 1, port=gate.port)) as watch:
            assert trio.current_time() - began < 5
            assert watch.failures() == ["the server was silent for 1 s"]
            assert not watch.seen
            gate.silent_after, gate.silent = math.inf, False
            await watch.until(lambda: len(watch.seen) == 300)


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("below", ["suffix", "plain"])
async def test_who_is_cancelled_within_a_reading(below: str) -> None:
    source = large(below)
    with Gate(source.server.where["port"]) as gate:
        gate.silent_after = 300_000
        async with trio.open_nursery() as nursery:
            nursery.start_soon(source.hurried(BUSY, 60, port=gate.port).run, Watching().tell, {})
            await trio.to_thread.run_sync(until, lambda: gate.silent, "it has fallen silent")
            began = trio.current_time()
            nursery.cancel_scope.cancel()
        assert trio.current_time() - began < 5


@pytest.mark.parametrize("said", ["the same entry", "referrals"])
async def test_a_reading_without_an_end(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Message follows message, and none of them brings more entries."""
    monkeypatch.setattr(requests, "_MOST_MESSAGES", 50)

    def answer(request: Request) -> bytes:
        if said == "referrals" and b"contextCSN" in request.whole:
            return message(request.number, element(0x73, element(0x04, b"ldap://x"))) * 100
        if request.is_sync:
            return vassal(request.number, 1, "one") * 100
        return result(request.number)

    more = "????x-poll" if said == "referrals" else ""
    async with scripted(answer) as port, watching(scripted_monitor(port, more)) as watch:
        assert watch.failures() == ["the server sent 50 messages and was not done"]


async def test_a_server_that_falls_silent_within_a_message() -> None:
    """libldap has begun to read one, and does not wait for the rest."""
    part = entry(0, "cn=a.ini,o=x", state(1, 1), cn="a.ini", emperorConfig="x" * 1000)[:500]

    def answer(request: Request) -> bytes:
        return part if request.is_sync else result(request.number)

    async with scripted(answer) as port, watching(scripted_monitor(port, limit=1)) as watch:
        assert watch.failures() == ["the server was silent for 1 s"]

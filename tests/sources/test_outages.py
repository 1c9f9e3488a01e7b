"""Every source's monitor when its server goes, comes back, falls silent, or is no such server."""

from functools import partial

import pytest
import trio
from emperord.monitors.contract import Failed, Listing, Recovered, Touched
from emperord.monitors.options import MonitorOptions
from monitors.watching import NEVER, OFTEN, Watching, cancelled_in_silence, watching
from support.descriptors import descriptors
from support.gate import Gate
from support.services import Order, order

from .row import Row
from .table import SERVED, THREAD, WAYS, over, over_all_but

SELDOM = MonitorOptions(freq=NEVER)
BUSY = MonitorOptions(freq=OFTEN)
POLLED_TOO = (*SERVED, "ldap-plain")
THREADS = tuple(name for name in WAYS if name.endswith(THREAD))


def options_of(row: Row) -> MonitorOptions:
    """Seldom asked, so that it must notice by itself; often, if it does not."""
    return SELDOM if row.notices else BUSY


async def recovered(watch: Watching) -> None:
    """Return when the last word is not of a failure."""
    await watch.until(lambda: watch.told and isinstance(watch.told[-1], (Listing, Recovered)))


@pytest.mark.few(
    *("stop-pg", "kill-pg", "stop-ldap", "kill-ldap", "stop-ldap-plain", "kill-ldap-plain"),
    *("stop-mongodb", "stop-zoo"),
)
@over(*POLLED_TOO)
@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_a_server_that_restarts(row: Row, end: Order) -> None:
    row.put("a.ini", "one")
    if end == "kill":
        row.make_durable()
        row.again()
    async with watching(row.monitor(options_of(row))) as watch:
        await watch.shows("a.ini", "one")
        spec = watch.seen["a.ini"].spec
        await order(row.server, end)
        await watch.until(watch.failures)
        assert list(watch.seen) == ["a.ini"]
        await order(row.server, "start")
        await recovered(watch)
        await trio.to_thread.run_sync(row.again)
        assert watch.seen["a.ini"].spec == spec
        await trio.to_thread.run_sync(row.put, "a.ini", "two")
        await watch.shows("a.ini", "two")


@over(*SERVED, "amqp-thread")
async def test_nothing_is_lost_when_the_connection_was_lost(row: Row) -> None:
    def change(count: int) -> None:
        row.remove("a.ini")
        row.put("b.ini", f"two {count}")
        row.put(f"d{count}.ini", "one")

    for name in ("a.ini", "b.ini", "c.ini"):
        row.put(name, "one")
    with Gate(row.server.where["port"]) as gate:
        async with watching(row.monitor(options_of(row), 1, gate.port)) as watch:
            await watch.until(lambda: len(watch.seen) == 3)
            unchanged = watch.seen["c.ini"].spec
            for count in range(2):
                gate.shut()
                await watch.until(lambda: isinstance(watch.told[-1], Failed))
                before = dict(watch.seen)
                await trio.to_thread.run_sync(change, count)
                assert watch.seen == before
                gate.open()
                await watch.until(partial(is_as, watch, count))
                await trio.to_thread.run_sync(row.put, "a.ini", "one")
                await watch.shows("a.ini", "one")
            # A broker sends again what was not acknowledged before the connection was lost.
            assert row.tells_all or watch.seen["c.ini"].spec == unchanged


def is_as(watch: Watching, count: int) -> bool:
    """Whether it is told what the source has after so many changes."""
    new = [f"d{number}.ini" for number in range(count + 1)]
    there = sorted(watch.seen) == ["b.ini", "c.ini", *new]
    return there and watch.contents["b.ini"] == f"two {count}".encode()


# Silence


@over(*SERVED)
async def test_a_server_that_is_silent_at_connect(row: Row) -> None:
    row.put("a.ini", "one")
    await order(row.server, "freeze")
    async with watching(row.monitor(BUSY)) as watch:
        assert row.silent_at_connect in watch.failures()[0]
        await order(row.server, "thaw")
        await watch.shows("a.ini", "one")


@over(*POLLED_TOO)
async def test_a_server_that_falls_silent(row: Row) -> None:
    row.put("a.ini", "one")
    async with watching(row.monitor(BUSY)) as watch:
        await watch.shows("a.ini", "one")
        await order(row.server, "freeze")
        await watch.until(watch.failures)
        assert row.silent_at_read in watch.failures()[0]
        assert list(watch.seen) == ["a.ini"]
        await order(row.server, "thaw")
        await recovered(watch)
        await trio.to_thread.run_sync(row.put, "a.ini", "two")
        await watch.shows("a.ini", "two")


@pytest.mark.few(
    *("connect-ldap", "read-ldap", "wait-ldap", "connect-zoo"),
    *("connect-pg", "wait-pg-thread", "read-mongodb", "read-mongodb-thread", "connect-amqp"),
)
@over(*SERVED, *THREADS)
@pytest.mark.parametrize("silent", ["connect", "read", "wait"])
async def test_a_cancelled_monitor_does_not_wait_for_a_silent_server(
    row: Row, silent: str, uncollected: None
) -> None:
    row.hang_up()
    monitor = row.monitor(SELDOM if silent == "wait" else BUSY, 60)
    if silent == "connect":
        await order(row.server, "freeze")
    before = descriptors()
    await cancelled_in_silence(monitor, partial(order, row.server, "freeze"), silent)
    assert descriptors() <= before


# Nothing there, or something else


@over(*SERVED)
async def test_no_server_is_there(row: Row) -> None:
    async with watching(row.stranger(BUSY, 1)) as watch:
        reason = watch.failures()[0]
        assert "connection refused" in reason.lower()
        assert "Errno" not in reason


@over(*SERVED)
async def test_a_host_of_no_known_name(row: Row) -> None:
    async with watching(row.stranger(BUSY, 1, "nowhere.invalid")) as watch:
        reason = watch.failures()[0]
        assert "Errno" not in reason
        assert "hidden" not in reason


GREETINGS = {
    "HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "noise": bytes(range(256)) * 16,
    "nothing": b"",
}


@over(*SERVED, *THREADS)
@pytest.mark.parametrize("greeting", GREETINGS.values(), ids=GREETINGS)
async def test_a_server_of_another_kind(row: Row, greeting: bytes) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            if greeting:
                await stream.receive_some()
                await stream.send_all(greeting)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        async with watching(row.stranger(BUSY, port)) as watch:
            await watch.until(lambda: len(watch.told) > 1)
            assert all(isinstance(each, Failed) for each in watch.told)
            assert "hidden" not in str(watch.told)
        nursery.cancel_scope.cancel()


# A flood

NAMES, CHANGES = 20, 1000


@over_all_but("dir")
async def test_a_flood_is_told_in_few_goes(row: Row) -> None:
    changes = [(f"v{count % NAMES}.ini", str(count)) for count in range(CHANGES)]
    for name, _ in changes[:NAMES]:
        row.put(name, "first")
    async with watching(row.monitor(SELDOM, 20)) as watch:
        await watch.until(lambda: len(watch.seen) == NAMES)
        before = watch.calls
        # A monitor may be as fast as the changes come; a busy daemon always lets them gather.
        async with watch.busy():
            await trio.to_thread.run_sync(row.change, changes)
        for name, content in changes[-NAMES:]:
            await watch.shows(name, content)
        # A flood is read as a whole, again and again, and not once for each change.
        assert watch.calls - before < row.most_goes
        touched = [each for each in watch.told if isinstance(each, Touched)]
        assert not row.tells_all or len(touched) == NAMES + CHANGES

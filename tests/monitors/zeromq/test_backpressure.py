"""zmq:// reads no further while the journal is paused, and loses no message."""

import contextlib
import os
from pathlib import Path

import pytest
import trio
import trio.testing
import zmq
import zmq.auth
from emperord.monitors.contract import (
    Observation,
)
from emperord.monitors.registry import open_monitor
from emperord.monitors.zeromq.endpoint import QUEUE
from support.pushing import Pusher

from ..watching import Watching
from .listening import BUSY, touched

pytestmark = pytest.mark.usefixtures("here")


# How it runs


async def test_messages_are_told_in_order_one_after_the_other(
    endpoint: str, pusher: Pusher
) -> None:
    watch = Watching()
    inside = 0

    async def tell(*observations: Observation) -> None:
        nonlocal inside
        assert inside == 0
        inside += 1
        await trio.testing.wait_all_tasks_blocked()  # all others have had their turn
        await watch.tell(*observations)
        inside -= 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_monitor(f"zmq://{endpoint}", BUSY).run, tell, {})
        for number in range(500):
            pusher.touch("a.ini", str(number))
            if number % 50 == 0:
                await trio.lowlevel.checkpoint()
        await watch.shows("a.ini", "499")
        nursery.cancel_scope.cancel()
    assert [touched(each).content for each in watch.told[1:]] == [b"%d" % n for n in range(500)]


async def test_a_paused_journal_holds_senders_back_and_loses_nothing(endpoint: str) -> None:
    gate = trio.Event()
    watch = Watching()

    async def tell(*observations: Observation) -> None:
        await gate.wait()
        await watch.tell(*observations)

    config = "x" * 60_000
    sent = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_monitor(f"zmq://{endpoint}", BUSY).run, tell, {})
        with Pusher(endpoint, queue=10, patience=1) as pusher:
            before = _memory()
            with contextlib.suppress(zmq.Again):  # for a second nothing has been taken any more
                while True:
                    await trio.to_thread.run_sync(pusher.touch, f"{sent}.ini", config)
                    sent += 1
            held = (8 << 20) // len(config) + QUEUE + 10
            assert held - QUEUE - 10 <= sent <= held + 1000  # and what TCP buffers
            assert _memory() - before < 100 << 20
            gate.set()
            await watch.until(lambda: len(watch.seen) == sent)
        nursery.cancel_scope.cancel()


def _memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

"""zmq:// ends at once when it is cancelled, and can run again."""

import pytest
import trio
from emperord.monitors.contract import (
    Observation,
)
from emperord.monitors.registry import open_monitor
from support.descriptors import descriptors
from support.pushing import Pusher

from ..watching import watching
from .listening import BUSY

pytestmark = pytest.mark.usefixtures("here")


async def test_it_can_be_cancelled_and_run_again(endpoint: str) -> None:
    monitor = open_monitor(f"zmq://{endpoint}", BUSY)
    async with watching(monitor):
        pass
    before = descriptors()
    for number in range(3):
        async with watching(monitor) as watch:
            with Pusher(endpoint) as pusher:
                pusher.touch("a.ini", str(number))
                await watch.shows("a.ini", str(number))
    assert descriptors() <= before


async def test_it_can_be_cancelled_while_the_journal_is_paused(
    endpoint: str, pusher: Pusher
) -> None:
    entered = trio.Event()

    async def tell(*observations: Observation) -> None:
        entered.set()
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_monitor(f"zmq://{endpoint}", BUSY).run, tell, {})
        for _ in range(200):
            pusher.touch("a.ini", "x" * 60_000)
        await entered.wait()
        nursery.cancel_scope.cancel()

"""The leave of a daemon that is to be replaced, without a keeper and a host."""

import socket
from functools import partial
from typing import Any, cast

import pytest
import trio
import trio.testing
from emperord.daemon.core.fleet import Fleet
from emperord.daemon.loop.handover import Handover
from emperord.daemon.loop.input_queue import BarrierInput


class World:
    """Keeper, host, monitors and loop, as far as a handover needs them.

    ``takes`` are the keeper's answers.
    """

    entrusted: dict[str, Any] = {}

    def __init__(self, *takes: bool) -> None:
        self.alive = True
        self.spawns = trio.CapacityLimiter(1)
        self.stayed = False
        self._takes = list(takes)
        self.handover = Handover(*cast(Any, (self, self, self.tell, self)))

    def deliver(self) -> bool:
        return self._takes.pop(0)

    def no_spawns(self) -> trio.CapacityLimiter:
        return self.spawns

    def take_deferred(self, _: Fleet) -> tuple[()]:
        return ()

    def stay(self) -> None:
        self.stayed = True

    async def tell(self, given: BarrierInput) -> None:
        list(given(Fleet()))


@pytest.mark.parametrize("takes", [True, False])
async def test_a_daemon_leaves_only_when_its_keeper_has_all(
    takes: bool, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(takes)
    with trio.move_on_after(1):
        await world.handover.renew()
    assert world.handover.may_leave() == takes
    assert ("the keeper takes no packets" in caplog.text) == (not takes)


async def test_no_vassal_is_started_while_the_daemon_leaves() -> None:
    world = World(True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.handover.renew)
        while not world.handover.renewing:
            await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.WouldBlock):
            world.spawns.acquire_nowait()
        world.alive = False  # now it has to stay
        assert not world.handover.may_leave()
        assert world.stayed
        async with world.spawns:
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("successor", [False, True], ids=["an upgrade", "a takeover"])
def test_a_start_that_hangs_keeps_the_daemon_here(
    successor: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise it would leave at any later time, without a client that waits for it."""
    world = World()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    leave = partial(world.handover.hand_over, ours) if successor else world.handover.renew

    async def main() -> None:
        async with world.spawns, trio.open_nursery() as nursery:
            nursery.start_soon(leave)

    with ours, theirs:
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert not world.handover.may_leave()
    assert "the start of a vassal has hung for 10 s" in caplog.text


async def test_the_last_packets_are_told_whatever_time_it_takes() -> None:
    """A keeper that takes none could not start the next daemon either."""
    world = World(False, False, True)
    await world.handover.finish()
    assert world._takes == []


async def test_a_keeper_that_dies_is_told_nothing_more() -> None:
    world = World()
    world.alive = False
    await world.handover.finish()

"""The daemon leaves with its vassals running: to the one of the next version, or to a successor."""

import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Final

import trio

from ..control import takeover
from ..core.draft import Draft
from ..core.fleet import Fleet
from ..host import failures, threads
from ..keeper.link import TAKES_NOTHING, finish
from . import ports
from .input_queue import BarrierInput
from .monitor_runner import MonitorRunner
from .turn import Tell

log = logging.getLogger("emperor")

_LONGEST_START: Final = 10.0  # seconds for a start of a vassal that is under way
_FAREWELL: Final = 0.1  # seconds for the answer to the client that asked for the upgrade


class Handover:
    """Whether and to whom this daemon leaves its vassals.

    ``renewing``: it is to be replaced. ``succeeded``: the daemon of another keeper has them.
    ``monitors`` know changes that are not recorded yet. Those become durable with the leave.
    """

    def __init__(
        self, host: ports.Host, keeper: ports.Keeper, tell: Tell, monitors: MonitorRunner
    ) -> None:
        self.renewing = False
        self.succeeded = False
        self._host = host
        self._keeper = keeper
        self._tell = tell
        self._monitors = monitors
        self._stays = trio.Event()  # it was to be replaced, and may not leave

    def may_leave(self) -> bool:
        """Whether the daemon is to be replaced, and a keeper holds the vassals meanwhile."""
        if self.renewing and not self.succeeded and not self._keeper.alive:
            log.error("not leaving to be replaced: the keeper died, and would hold no vassal")
            self.renewing = False
            self._stays.set()
            self._monitors.stay()
        return self.renewing

    async def renew(self) -> None:
        """Leave, so that the keeper starts the next daemon. One that takes no packets could not."""
        await trio.sleep(_FAREWELL)
        # The sockets of a vassal that is started later might not get to the keeper.
        async with self._no_spawns() as may_leave:
            if not may_leave:
                return
            if not await threads.run_sync(self._keeper.deliver):
                log.error("not leaving to be replaced: %s", TAKES_NOTHING)
                return
            self._stays = trio.Event()
            await self._tell(BarrierInput(self._leave))
            await self._stays.wait()

    async def finish(self) -> None:
        """Tell the keeper all that this daemon has told it since. Descriptors are still open."""
        await threads.run_sync(finish, self._keeper)

    def give_way(self, nursery: trio.Nursery) -> socket.socket:
        """Hand everything over to a successor; its end of the socket over which that happens."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        nursery.start_soon(self.hand_over, ours)
        return theirs

    async def hand_over(self, channel: socket.socket) -> None:
        """Hand everything over to the successor at the other end; leave when it has it."""
        with channel:
            async with self._no_spawns() as may_leave:
                entrusted = dict(self._keeper.entrusted)
                if may_leave and await threads.run_sync(takeover.hand_over, channel, entrusted):
                    self.succeeded = True
                    await self._tell(self._leave)  # at once: the successor waits
                    await trio.sleep_forever()

    @contextlib.asynccontextmanager
    async def _no_spawns(self) -> AsyncIterator[bool]:
        """While in this context, no vassal is being started; False where a start hangs."""
        async with contextlib.AsyncExitStack() as held:
            with trio.move_on_after(_LONGEST_START) as waiting:
                await held.enter_async_context(self._host.no_spawns())
            if waiting.cancelled_caught:
                log.error(
                    "not leaving to be replaced: the start of a vassal has hung for %g s; see"
                    " whether the file system of its program or log answers",
                    _LONGEST_START,
                )
            yield not waiting.cancelled_caught

    def _leave(self, fleet: Fleet) -> Iterator[Draft | None]:
        """An input: the changes that wait, and then nothing more."""
        try:
            yield from self._monitors.take_deferred(fleet)
        except Exception as error:  # the other daemon is here, or is about to be
            log.error("changes that wait may be lost: %s", failures.describe(error))
        self.renewing = True

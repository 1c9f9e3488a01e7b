"""The daemon leaves with its vassals running: to the one of the next version, or to a successor."""

import logging
import socket
from collections.abc import Iterator
from typing import Final

import trio

from ..control import takeover
from ..core.draft import Draft
from ..core.fleet import Fleet
from ..host import threads
from . import ports
from .input_queue import BarrierInput
from .turn import Input, Tell

log = logging.getLogger("emperor")

_FAREWELL: Final = 0.1  # seconds for the answer to the client that asked for the upgrade


class Handover:
    """Whether and to whom this daemon leaves its vassals.

    ``renewing``: it is to be replaced. ``succeeded``: the daemon of another keeper has them.
    ``rest`` is an input of what only this daemon knows: it is the last to become durable.
    """

    def __init__(self, host: ports.Host, keeper: ports.Keeper, tell: Tell, rest: Input) -> None:
        self.renewing = False
        self.succeeded = False
        self._host = host
        self._keeper = keeper
        self._tell = tell
        self._rest = rest

    def may_leave(self) -> bool:
        """Whether the daemon is to be replaced, and a keeper holds the vassals meanwhile."""
        if self.renewing and not self.succeeded and not self._keeper.alive:
            log.error("not leaving to be replaced: the keeper died, and would hold no vassal")
            self.renewing = False
        return self.renewing

    async def renew(self) -> None:
        """Leave, so that the keeper starts the next daemon."""
        await trio.sleep(_FAREWELL)
        await self._leave()

    def give_way(self, nursery: trio.Nursery) -> socket.socket:
        """Hand everything over to a successor; its end of the socket over which that happens."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        nursery.start_soon(self.hand_over, ours)
        return theirs

    async def hand_over(self, channel: socket.socket) -> None:
        """Hand everything over to the successor at the other end; leave when it has it."""
        with channel:
            async with self._host.no_spawns():
                entrusted = dict(self._keeper.entrusted)
                if await threads.run_sync(takeover.hand_over, channel, entrusted):
                    self.succeeded = True
                    await self._leave()

    async def _leave(self) -> None:
        def leave(fleet: Fleet) -> Iterator[Draft | None]:
            yield from self._rest(fleet)
            self.renewing = True

        await self._tell(BarrierInput(leave))

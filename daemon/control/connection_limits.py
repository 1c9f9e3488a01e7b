"""Limits of the control socket: how many clients are served at a time, and of which users.

One user may have three quarters of the places, so the other users always find one. If there is no
place for a new client, the daemon takes one from the user with the most places. It disconnects the
client that has been idle for longest. A client is idle while the daemon waits for its next request,
or for it to read an answer. A client that makes room for more of a long answer is fresh again.
"""

import math
from collections import Counter
from typing import Final, Protocol

import trio

MOST: Final = 64  # clients that are served at a time
SHARE: Final = 48  # of one user
MOST_QUEUED: Final = 512  # clients of one user that wait for a place
_FRESH: Final = 0.5  # seconds; a client that has just come is about to ask
_TURNS: Final = 3  # of the event loop, until a request that has arrived is read


class LimitedClient(Protocol):
    """A client, as far as its place is concerned."""

    uid: int
    idle_since: float | None  # trio's time; None while a request of it is answered

    def hang_up(self) -> None: ...


class ClientLimits:
    """The places, and the clients that have one."""

    def __init__(self) -> None:
        self._served: dict[LimitedClient, None] = {}
        self._looked_at: set[LimitedClient] = set()  # that may be disconnected in a moment
        self._queued: Counter[int] = Counter()
        self._changed = trio.Event()
        self.waiting = 0  # clients that wait for a vassal, beside those

    async def take(self, client: LimitedClient) -> bool:
        """Return when the client has a place; False if too many of its user's clients wait."""
        if self._queued[client.uid] >= MOST_QUEUED:
            return False
        self._queued[client.uid] += 1
        try:
            while not self._has_room(client.uid):
                idle = self._idle(client.uid)
                until = math.inf if idle is None else self._fresh_until(idle)
                if idle is not None and trio.current_time() >= until:
                    await self._disconnect(idle, client.uid)
                    continue
                with trio.move_on_at(until):
                    await self._changed.wait()
            self._served[client] = None
        finally:
            self._queued[client.uid] -= 1
        return True

    async def _disconnect(self, client: LimitedClient, uid: int) -> None:
        """Take the place of an idle client for one of this user, unless it has just asked.

        A daemon that is late has requests to read that have arrived. In the first turn of the event
        loop it learns of them. A client that has just been answered reads in the second one, and is
        busy by the third.
        """
        since = client.idle_since
        self._looked_at.add(client)  # others take the place of another one
        try:
            for _ in range(_TURNS):
                await trio.lowlevel.checkpoint()
        finally:
            self._looked_at.remove(client)
            self.changed()
        # Other clients came and left meanwhile.
        is_next = not self._has_room(uid) and self._idle(uid) is client
        if is_next and client.idle_since == since:
            self.leave(client)
            client.hang_up()

    def leave(self, client: LimitedClient) -> None:
        """The client's place, if it has one, is free."""
        if client in self._served:
            del self._served[client]
            self.changed()

    def changed(self) -> None:
        """A place is free, or a client has become idle."""
        self._changed.set()
        self._changed = trio.Event()

    def _has_room(self, uid: int) -> bool:
        return len(self._served) < MOST and self._counts()[uid] < SHARE

    def _counts(self) -> Counter[int]:
        return Counter(client.uid for client in self._served)

    def _idle(self, uid: int) -> LimitedClient | None:
        """The client whose place a new one of this user gets next."""
        counts = self._counts()
        guests = [
            client
            for client in self._served
            if client.idle_since is not None and client not in self._looked_at
        ]
        if counts[uid] >= SHARE:
            guests = [client for client in guests if client.uid == uid]
        return min(
            guests,
            key=lambda client: (-counts[client.uid], self._fresh_until(client)),
            default=None,
        )

    @staticmethod
    def _fresh_until(client: LimitedClient) -> float:
        return math.inf if client.idle_since is None else client.idle_since + _FRESH

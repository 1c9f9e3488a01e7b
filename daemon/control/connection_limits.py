"""Places at the control socket: how many clients are served at a time, and of which users.

One user may have three quarters of the places, so the other users always find one. If there is no
place for a new client, the daemon takes one from the user with the most places. It disconnects the
client that has been idle for longest. A client is idle while the daemon waits for its next request,
or for it to read an answer.
"""

import math
from collections import Counter
from typing import Final, Protocol

import trio

MOST: Final = 64  # clients that are served at a time
SHARE: Final = 48  # of one user
MOST_QUEUED: Final = 512  # clients of one user that wait for a place
_FRESH: Final = 0.5  # seconds; a client that has just come is about to ask


class Guest(Protocol):
    """A client, as far as places are concerned."""

    uid: int
    idle_since: float | None  # trio's time; None while a request of it is answered

    def hang_up(self) -> None: ...


class Places:
    """The places, and the clients that have one."""

    def __init__(self) -> None:
        self._served: dict[Guest, None] = {}
        self._queued: Counter[int] = Counter()
        self._changed = trio.Event()
        self.waiting = 0  # clients that wait for a vassal, beside those

    async def take(self, guest: Guest) -> bool:
        """Return when the client has a place; False if too many of its user's clients wait."""
        if self._queued[guest.uid] >= MOST_QUEUED:
            return False
        self._queued[guest.uid] += 1
        try:
            while not self._has_room(guest.uid):
                idle = self._idle(guest.uid)
                if idle is not None and self._age(idle) >= _FRESH:
                    self.leave(idle)
                    idle.hang_up()
                    continue
                patience = math.inf if idle is None else _FRESH - self._age(idle)
                with trio.move_on_after(patience):
                    await self._changed.wait()
            self._served[guest] = None
        finally:
            self._queued[guest.uid] -= 1
        return True

    def leave(self, guest: Guest) -> None:
        """The client's place, if it has one, is free."""
        if guest in self._served:
            del self._served[guest]
            self.changed()

    def changed(self) -> None:
        """A place is free, or a client has become idle."""
        self._changed.set()
        self._changed = trio.Event()

    def _has_room(self, uid: int) -> bool:
        return len(self._served) < MOST and self._counts()[uid] < SHARE

    def _counts(self) -> Counter[int]:
        return Counter(guest.uid for guest in self._served)

    def _idle(self, uid: int) -> Guest | None:
        """The client whose place a new one of this user gets next."""
        counts = self._counts()
        guests = [guest for guest in self._served if guest.idle_since is not None]
        if counts[uid] >= SHARE:
            guests = [guest for guest in guests if guest.uid == uid]
        return max(guests, key=lambda guest: (counts[guest.uid], self._age(guest)), default=None)

    @staticmethod
    def _age(guest: Guest) -> float:
        return 0.0 if guest.idle_since is None else trio.current_time() - guest.idle_since

"""Places for jobs at once, which users share fairly even if the jobs of some never end in time.

A user gets another place while it holds fewer than are free, and fewer than its share. So the more
places are taken, the fewer a single user may have, and the last one is for a user that holds none.
(Switches share their buffers in this way: "dynamic thresholds", Choudhury and Hahne, 1998.)

Users that wait take turns. The jobs of a user wait in the order in which they came.
"""

import contextlib
import itertools
from collections import deque
from collections.abc import AsyncIterator, Hashable

import trio


class FairPlaces:
    """So many places for ``all_users`` together, and a share of them for ``one_user``."""

    def __init__(self, all_users: int, one_user: int) -> None:
        self._free = all_users
        self._share = one_user
        self._held: dict[Hashable, int] = {}
        # The jobs that wait, by user. The users are in the order of their turns.
        self._waiting: dict[Hashable, deque[trio.Event]] = {}

    @contextlib.asynccontextmanager
    async def place(self, user: Hashable) -> AsyncIterator[None]:
        """Wait for a place of this user, and hold it."""
        await self._wait(user)
        try:
            yield
        finally:
            self._give_back(user)

    async def _wait(self, user: Hashable) -> None:
        turn = trio.Event()
        self._waiting.setdefault(user, deque()).append(turn)
        self._grant()
        try:
            await turn.wait()
        except trio.Cancelled:
            if turn.is_set():
                self._give_back(user)
            else:
                self._leave(user, turn)
            raise

    def _may_have(self, user: Hashable) -> bool:
        return self._held.get(user, 0) < min(self._share, self._free)

    def _grant(self) -> None:
        """Give free places to those who wait, in turn."""
        # The user None is one, too: the daemon's own, outside of tyrant mode.
        while able := list(itertools.islice(filter(self._may_have, self._waiting), 1)):
            (user,) = able
            turns = self._waiting.pop(user)
            turns.popleft().set()
            if turns:
                self._waiting[user] = turns  # after all others
            self._free -= 1
            self._held[user] = self._held.get(user, 0) + 1

    def _give_back(self, user: Hashable) -> None:
        self._free += 1
        self._held[user] -= 1
        if not self._held[user]:
            del self._held[user]
        self._grant()

    def _leave(self, user: Hashable, turn: trio.Event) -> None:
        """Its job waits no longer."""
        turns = self._waiting[user]
        turns.remove(turn)
        if not turns:
            del self._waiting[user]

"""News for the loop: the bytes of vassals, and events about them, in the order in which they came.

The loop takes all that wait in one turn, so many vassals that report at once cost one fsync. Equal
news that wait together are one: a vassal that repeats a byte adds no event.
"""

import trio

from ..core.draft import Draft
from ..core.inputs import HostEvent, News, TellNews


class Outbox:
    """News that wait for the loop."""

    def __init__(self) -> None:
        self._waiting: dict[News, None] = {}  # an ordered set
        self._any = trio.Event()
        self._tell: TellNews | None = None

    def begin(self, tell: TellNews) -> None:
        """From now on the loop takes news."""
        self._tell = tell

    def put(self, news: News) -> None:
        """Queue one of the news; returns at once."""
        self._waiting[news] = None
        self._any.set()

    def report(self, draft: Draft) -> None:
        """Queue an event."""
        self.put(HostEvent(draft))

    async def take(self) -> list[News]:
        """Wait for news and take all of them."""
        await self._any.wait()
        self._any = trio.Event()
        taken, self._waiting = self._waiting, {}
        return list(taken)

    async def tell(self, news: list[News]) -> None:
        """Hand news over; return when they are durable. While the journal is paused, this waits."""
        assert self._tell is not None
        await self._tell(news)

    async def record(self, draft: Draft) -> None:
        """Hand over one event ahead of the queue; return when it is durable."""
        await self.tell([HostEvent(draft)])

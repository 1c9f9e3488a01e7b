"""Messages that stay unacknowledged until their URLs have answered."""

from collections.abc import Iterable
from functools import partial
from typing import Final

from ..asyncio_loop import AsyncioLoop
from .connection import PREFETCH, AmqpConnection, Delivery

_MOST_HELD: Final = PREFETCH // 2  # messages whose URLs have not answered


class Unacknowledged:
    """Messages of one connection whose URLs have not answered yet, oldest first."""

    def __init__(self, link: AmqpConnection, loop: AsyncioLoop, *, durable: bool) -> None:
        self._link = link
        self._loop = loop
        self._durable = durable
        self._tags: dict[int, str] = {}  # tag -> URL

    def settle(self, batch: Iterable[tuple[Delivery, str | None]]) -> None:
        """Acknowledge a batch but for those that wait for a URL."""
        done = []
        for delivery, url in batch:
            if url is None or not self._durable:
                done.append(delivery.tag)
            else:
                self._tags[delivery.tag] = url
        if done and not any(tag < done[-1] for tag in self._tags):
            self._acknowledge(done[-1], all_before=True)
        else:
            for tag in done:
                self._acknowledge(tag, all_before=False)
        while len(self._tags) > _MOST_HELD:
            self._release(next(iter(self._tags)))

    def answered(self, urls: Iterable[str]) -> None:
        """These URLs are done with."""
        gone = set(urls)
        for tag in [tag for tag, url in self._tags.items() if url in gone]:
            self._release(tag)

    def _release(self, tag: int) -> None:
        del self._tags[tag]
        self._acknowledge(tag, all_before=False)

    def _acknowledge(self, tag: int, *, all_before: bool) -> None:
        self._loop.post(partial(self._link.acknowledge, tag, all_before=all_before))

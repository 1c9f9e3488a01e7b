"""The host's news as inputs: bytes of vassals, and events that happened to their processes."""

import logging
from collections.abc import Iterator
from functools import partial

import trio

from ...journal.events import OfAttempt
from ..core import attempts
from ..core.draft import Draft
from ..core.fleet import Fleet
from ..core.inputs import HostEvent, News, Notice, VassalByte
from ..host import emperor_protocol, failures
from . import notices, ports
from .turn import Tell

log = logging.getLogger("emperor")


class _Batch:
    """News of several senders, who wait for the same commit."""

    def __init__(self) -> None:
        self.news: list[News] = []
        self.durable = trio.Event()


class VassalNews:
    """Hands the host's news to the loop. ``recorded`` is the fleet as the journal has it.

    Thousands of vassals may start or end at once, each with a sender of its own. All that they say
    until the loop reads it is one input.
    """

    def __init__(self, recorded: Fleet, host: ports.Host, tell: Tell) -> None:
        self._recorded = recorded
        self._host = host
        self._tell = tell
        self._unread: _Batch | None = None

    async def take(self, news: list[News]) -> None:
        """Return when the events of the news are durable. Senders are cancelled all together."""
        batch = self._unread
        if batch is not None:
            batch.news += news
            await batch.durable.wait()
            return
        batch = self._unread = _Batch()
        batch.news += news
        await self._tell(partial(self._read, batch))
        batch.durable.set()

    def _read(self, batch: _Batch, fleet: Fleet) -> Iterator[Draft | None]:
        """The events of a batch, which is complete now."""
        self._unread = None
        for item in batch.news:
            if isinstance(item, HostEvent):
                yield item.draft
                continue
            yield None
            try:
                drafts = self._meaning(fleet, item)
            except Exception as error:
                told = failures.describe(error)
                log.error("%s: the daemon met an error in its news: %s", item.vassal, told)
                body = failures.failed("hear", error)
                drafts = [Draft("vassal_failed", body, None, item.vassal)]
            yield from drafts

    def _meaning(self, fleet: Fleet, item: VassalByte | Notice) -> list[Draft]:
        if isinstance(item, Notice):
            return notices.meaning(fleet, item)
        stale = self._host.is_stale(item) or self._is_outrun(fleet, item)
        return [] if stale else meaning_of_byte(fleet, item)

    def _is_outrun(self, fleet: Fleet, said: VassalByte) -> bool:
        """Whether this turn orders a reload, so that the byte is of the program before it.

        The host cannot know that yet, because it gets the order when the turn is durable.
        """
        vassal = attempts.of_attempt(fleet.vassals.get(said.vassal), said.attempt)
        if vassal is None or said.byte != emperor_protocol.ACCEPTING or vassal.phase != "reloading":
            return False
        return vassal.order is not None and vassal.order > self._recorded.seq


def meaning_of_byte(fleet: Fleet, said: VassalByte) -> list[Draft]:
    """The event that a byte is; none if it is of an attempt that is over, or changes nothing."""
    vassal = attempts.of_attempt(fleet.vassals.get(said.vassal), said.attempt)
    if vassal is None:
        return []
    kind = emperor_protocol.news(vassal, said.byte)
    body = OfAttempt(attempt=said.attempt)
    return [] if kind is None else [Draft(kind, body, None, said.vassal)]

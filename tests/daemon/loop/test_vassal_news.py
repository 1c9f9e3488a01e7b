"""News of vassals: what several senders tell before the loop reads it is one input."""

from typing import Any

import trio
import trio.testing
from emperord.daemon.core.draft import Draft
from emperord.daemon.core.fleet import Fleet
from emperord.daemon.core.inputs import HostEvent
from emperord.daemon.loop.turn import Input
from emperord.daemon.loop.vassal_news import VassalNews
from emperord.journal.events import OfAttempt


class Loop:
    """A loop that reads inputs, and makes them durable, when it is told to."""

    def __init__(self) -> None:
        self.inputs: list[tuple[Input, trio.Event]] = []
        host: Any = None  # nothing is asked of it here
        self.news = VassalNews(Fleet(), host, self.tell)
        self.durable: list[str] = []

    async def tell(self, given: Input) -> None:
        durable = trio.Event()
        self.inputs.append((given, durable))
        await durable.wait()

    async def sends(self, name: str) -> None:
        body = OfAttempt(attempt=1)
        await self.news.take([HostEvent(Draft("vassal_deaf", body, None, name))])
        self.durable.append(name)

    def reads(self) -> tuple[list[str | None], trio.Event]:
        given, durable = self.inputs.pop(0)
        return [draft.vassal for draft in given(Fleet()) if draft is not None], durable


async def test_senders_share_an_input_until_it_is_read() -> None:
    loop = Loop()
    async with trio.open_nursery() as nursery:
        for name in ("a", "b", "c"):
            nursery.start_soon(loop.sends, name)
        await trio.testing.wait_all_tasks_blocked()
        assert len(loop.inputs) == 1
        told, durable = loop.reads()
        assert sorted(map(str, told)) == ["a", "b", "c"]
        nursery.start_soon(loop.sends, "late")
        await trio.testing.wait_all_tasks_blocked()
        assert loop.durable == []
        durable.set()
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(loop.durable) == ["a", "b", "c"]
        told, durable = loop.reads()
        assert told == ["late"]
        durable.set()
    assert loop.durable[3:] == ["late"]

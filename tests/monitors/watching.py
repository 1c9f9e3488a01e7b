"""A monitor at work, and what it told so far."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import trio
from emperord.journal.chain import digest
from emperord.journal.events import Spec
from emperord.monitors.contract import (
    Destroyed,
    Failed,
    Listing,
    Monitor,
    Observation,
    Refused,
    Seen,
    Touched,
    Vanished,
)
from emperord.monitors.files.watches import Watches

NEVER = 3600.0  # a freq in seconds: what is told is told because of an event
OFTEN = 0.02
QUIET = 0.5  # seconds without a word; who is woken without end has told many times by then


class Blind(Watches):
    """Eyes for a system without inotify: all is left to rescans."""

    def open(self) -> None:
        """See nothing."""


class Watching:
    """The observations of a monitor, and the state that follows from them."""

    def __init__(self) -> None:
        self.told: list[Observation] = []
        self.calls = 0
        self.seen: dict[str, Seen] = {}
        self.contents: dict[str, bytes | None] = {}  # the last content given of each vassal
        self.refused: dict[str, str] = {}
        self._news = trio.Event()
        self._busy = trio.Lock()

    async def tell(self, *observations: Observation) -> None:
        """Take observations in."""
        self.calls += 1
        for each in observations:
            self.told.append(each)
            self._apply(each)
        self._news.set()
        self._news = trio.Event()
        async with self._busy:
            await trio.lowlevel.checkpoint()

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """In this block no call of ``tell`` returns, as when the daemon is busy."""
        async with self._busy:
            yield

    def _apply(self, each: Observation) -> None:
        if isinstance(each, Listing):
            for name, seen in each.seen.items():
                self._see(name, seen)
            self.seen = dict(each.seen)
            self.refused = dict(each.refused)
        elif isinstance(each, Touched):
            self._see(each.name, each.seen)
            self.seen[each.name] = each.seen
        elif isinstance(each, Vanished):
            del self.seen[each.name]
        elif isinstance(each, Destroyed):
            self.seen.pop(each.name, None)
        elif isinstance(each, Refused):
            self.refused[each.label] = each.reason

    def _see(self, name: str, seen: Seen) -> None:
        if seen.content is not None:
            assert seen.spec.config == digest(seen.content)
            self.contents[name] = seen.content

    async def until(self, condition: Callable[[], object]) -> None:
        """Return when it holds."""
        while not condition():
            await self._news.wait()

    async def shows(self, name: str, content: str) -> None:
        """Return when the vassal is seen with this config."""
        mark = digest(content.encode())
        await self.until(lambda: name in self.seen and self.seen[name].spec.config == mark)

    async def rest(self) -> None:
        """Return when nothing has been told for a while, as it must be when nothing happens."""
        while True:
            with trio.move_on_after(QUIET) as quiet:
                await self._news.wait()
            if quiet.cancelled_caught:
                return

    async def listings(self, count: int) -> list[Listing]:
        """So many listings from now on."""
        start = len(self.told)

        def later() -> list[Listing]:
            return [each for each in self.told[start:] if isinstance(each, Listing)]

        await self.until(lambda: len(later()) >= count)
        return later()

    def failures(self) -> list[str]:
        """The reasons of all failures told."""
        return [each.reason for each in self.told if isinstance(each, Failed)]

    def kinds(self) -> list[str]:
        """The kinds of all that was told, in order."""
        return [type(each).__name__ for each in self.told]


# A text that fits the emperor protocol and is slow to read: some 50 ms.
SLOW = "uwsgi:\n" + "".join(f"  x{n}: [a, b, {{c: d}}, e{n}]\n" for n in range(2000)) + "emperor:\n"


class Turns:
    """How others got on while a monitor worked, in seconds."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.all = 0.0

    async def take(self) -> None:
        """Wait for one turn after the other, until cancelled."""
        while True:
            began = trio.current_time()
            try:
                await trio.sleep(OFTEN)  # not to be in the way itself
            finally:
                took = trio.current_time() - began
                self.longest = max(self.longest, took)
                self.all += took


@asynccontextmanager
async def taking_turns() -> AsyncIterator[Turns]:
    """Another task waits for turns as long as the block runs."""
    turns = Turns()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turns.take)
        yield turns
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def watching(
    monitor: Monitor, *, listed: bool = True, known: Mapping[str, Spec] | None = None
) -> AsyncIterator[Watching]:
    """The monitor runs in this block; with ``listed`` it has told once before it begins.

    ``known`` is what the fleet has of it already.
    """
    watch = Watching()
    watch.seen = {name: Seen(spec) for name, spec in (known or {}).items()}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(monitor.run, watch.tell, known or {})
        if listed:
            await watch.until(lambda: watch.told)
        yield watch
        nursery.cancel_scope.cancel()


async def listing_of(monitor: Monitor) -> Listing:
    """The first word of a monitor, which is a listing."""
    async with watching(monitor) as watch:
        (told,) = watch.told
        assert isinstance(told, Listing), told
        return told


async def failure_of(monitor: Monitor) -> str:
    """The reason of a failure, which is the first word of a monitor."""
    async with watching(monitor) as watch:
        assert watch.kinds()[0] == "Failed"
        return watch.failures()[0]


async def cancelled_in_silence(
    monitor: Monitor, freeze: Callable[[], Awaitable[None]], silent: str
) -> None:
    """Cancel a monitor whose server fell silent: it ends without a wait for the server.

    ``silent`` says since when: ``connect``, where the server is frozen already, or later.
    """
    watch = Watching()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(monitor.run, watch.tell, {})
        if silent != "connect":
            await watch.until(lambda: watch.told)
            await freeze()
        with trio.move_on_after(0.3):  # let it run into the silence
            await watch.listings(1000)
        began = trio.current_time()
        nursery.cancel_scope.cancel()
    assert trio.current_time() - began < 5

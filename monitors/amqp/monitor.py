"""amqp://: a message on the exchange ``uwsgi.emperor`` announces a vassal.

    routing key   body                  means
    NAME          a config              this vassal has this config
    NAME          nothing               this vassal is to end
    none          an absolute path      the vassal of this name runs this file
    none          an http(s) URL        the vassal of this name has the config that is there

The broker tells everything once and remembers nothing, so the journal keeps what it told. A message
is acknowledged when its meaning is durable. A daemon that dies before that may get the message
again, which costs a reload. Each announcement has a ts of its own, later than all before:
announcing again reloads, whatever else is the same.

Three tasks may have something to tell: the messages, the files that were announced (they may go),
and the URLs (they may answer late). They take turns. A finding of one is void once a later message
has announced that name again or destroyed it.

A message whose URL does not answer stays unacknowledged, so that a durable queue delivers it again
after a crash. At most ``_MOST_HELD`` messages do, because the broker stops delivery when it waits
for too many. Any other queue ends with its connection and delivers nothing again. There no message
stays unacknowledged, because a broker that has waited for half an hour closes the channel.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Final

import msgspec
import trio

from ...journal.events import Spec
from .. import names, rows
from ..asyncio_loop import AsyncioLoop, asyncio_loop
from ..backoff import Backoff
from ..blocking import BlockingRunner, Stalled
from ..contract import (
    Destroyed,
    Failed,
    Observation,
    Recovered,
    Refused,
    Seen,
    Tell,
    Touched,
    Vanished,
)
from ..files.file_state import Absent, FileState, Found, Unreadable, Unsettled
from ..files.reader import Reader
from ..options import MonitorOptions
from ..polling import LIMIT, SourceFailed, within
from .connection import PREFETCH, AmqpConnection
from .fetching import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MOST,
    ConfigText,
    Fetcher,
    Fetches,
    NoReply,
    NoSuchConfig,
    Outcome,
    UnusableReply,
)
from .fetching import LIMIT as FETCH_LIMIT
from .meaning import Address, Config, End, File, Meaning, meaning
from .paths import PATIENCE, Paths, look, mount_of
from .unacknowledged import Unacknowledged
from .url import Broker, parse

_MOST_READ: Final = 8 << 20  # bytes of files that are told at once
_UNSETTLED: Final = 0.05  # seconds until a file that is being written is looked at again
_TRIES: Final = 20  # times that is done


Ahead = tuple[FileState, str] | Seen | None  # found out of a message beforehand


class Limits(msgspec.Struct, frozen=True):
    """Times in seconds: for connecting, for a URL's answer, between tries for one."""

    connect: float = LIMIT
    fetch: float = FETCH_LIMIT
    pauses: tuple[float, float] = (FIRST_PAUSE, LONGEST_PAUSE)


_USUAL: Final = Limits()


class AmqpMonitor:
    """A monitor of the exchange on one broker."""

    trusts_content = False

    def __init__(
        self, url: str, broker: Broker, options: MonitorOptions, *, limits: Limits = _USUAL
    ) -> None:
        self.url = url
        self.broker = broker
        self.options = options
        self.limits = limits

    async def run(self, tell: Tell, known: Mapping[str, Spec]) -> None:
        """Watch until cancelled. ``known`` are the files and URLs of earlier announcements."""
        async with asyncio_loop() as loop, self._fetcher() as fetcher:
            await Listener(self, tell, known, fetcher, loop).go()

    def _fetcher(self) -> Fetcher:
        if self.options.allow_link_local:
            return Fetcher(self.limits.fetch, lambda _: None)
        return Fetcher(self.limits.fetch)

    async def reach(self) -> None:
        """Return when the broker lets us in. Raises SourceFailed."""
        link = AmqpConnection(self.broker.queue)
        async with asyncio_loop() as loop:
            try:
                reaching = loop.run(link.reach, self.broker.parameters)
                await within(self.limits.connect, reaching, "connecting to it")
            finally:
                with trio.CancelScope(shield=True):
                    await loop.run(link.close)


class Listener:
    """One run of the monitor."""

    def __init__(
        self,
        monitor: AmqpMonitor,
        tell: Tell,
        known: Mapping[str, Spec],
        fetcher: Fetcher,
        loop: AsyncioLoop,
    ) -> None:
        self._loop = loop
        self._broker = monitor.broker
        self._options = monitor.options
        self._limits = monitor.limits
        self._tell = tell
        self._turn = trio.Lock()
        self._ts = max((spec.ts for spec in known.values()), default=0)
        self._reader = Reader(self._options, None)
        self._runner = BlockingRunner(trio.CapacityLimiter(1), PATIENCE / 2)
        self._held: Unacknowledged | None = None
        self._fetches = Fetches(fetcher, self._limits.pauses)
        # Names that have their config from there, as far as was told.
        self._urls = {name for name, spec in known.items() if "url" in spec.attrs}
        files = {
            name: spec.attrs.get("mount", "")
            for name, spec in known.items()
            if spec.path is not None
        }
        self._paths = Paths(files, self._options, monitor.url, self._say)

    async def go(self) -> None:
        """Listen until cancelled."""
        async with trio.open_nursery() as nursery, self._fetches.running():
            nursery.start_soon(self._paths.watch)
            nursery.start_soon(self._report_fetches)
            await self._stay_connected()

    async def _say(self, found: Callable[[], Iterable[Observation]]) -> None:
        """Tell what ``found`` gives when it is our turn."""
        async with self._turn:
            observations = list(found())
            if observations:
                await self._tell(*observations)

    def _stamp(self) -> int:
        """A ts later than all before, whatever happens to the clock."""
        self._ts = max(time.time_ns(), self._ts + 1)
        return self._ts

    # The connection

    async def _stay_connected(self) -> None:
        backoff = Backoff(min(self._options.freq, 1.0))
        while True:
            link = AmqpConnection(self._broker.queue)
            try:
                try:
                    opening = self._loop.run(link.open, self._broker.parameters)
                    await within(self._limits.connect, opening, "connecting to it")
                    backoff.reset()
                    await self._say(partial(list, [Recovered()]))
                    await self._listen(link)
                finally:
                    self._held = None
                    with trio.CancelScope(shield=True):
                        await self._loop.run(link.close)
            except SourceFailed as failure:
                await self._say(partial(list, [Failed(str(failure))]))
            await trio.sleep(backoff.pause())

    async def _listen(self, link: AmqpConnection) -> None:
        self._held = Unacknowledged(link, self._loop, durable=self._broker.queue is not None)
        while True:
            batch = await self._loop.run(link.deliveries, self._options.freq)
            meanings = [meaning(message, self._options) for message in batch]
            while batch:
                states = await self._look_ahead(meanings)
                count = len(states)
                waits: list[str | None] = []
                part = list(zip(meanings[:count], states, strict=True))
                await self._say(partial(self._judge, part, waits))
                # A later message of the same batch may have put an end to it.
                waits = [url if url in self._fetches else None for url in waits]
                self._held.settle(zip(batch[:count], waits, strict=True))
                batch, meanings = batch[count:], meanings[count:]

    # Messages

    async def _look_ahead(self, meanings: list[Meaning]) -> list[Ahead]:
        """Look at the paths, their mounts and their configs, for as many messages as may be told at
        once."""
        size = sum(len(each.content) for each in meanings if isinstance(each, Config))
        if size <= rows.MUCH and not any(isinstance(each, File) for each in meanings):
            return [None] * len(meanings)

        def search() -> list[Ahead]:
            states: list[Ahead] = []
            read = 0
            for each in meanings:
                states.append(None)
                if isinstance(each, Config):
                    self._runner.beat()
                    states[-1] = self._understand(each)
                elif isinstance(each, File):
                    self._runner.beat()
                    state = self._look_at(each.path)
                    states[-1] = (state, mount_of(each.path))
                    if isinstance(state, Found) and state.content is not None:
                        read += len(state.content)
                        if read > _MOST_READ:
                            break
            return states

        try:
            return await self._runner.run(search)
        except Stalled:
            hangs = Unreadable("its file system does not answer"), ""
            return [hangs if isinstance(each, File) else None for each in meanings]

    def _look_at(self, path: str) -> FileState:
        """Look at an announced file. Its author has written it, or nearly so."""
        for _ in range(_TRIES):
            state = look(self._reader, path)
            if not isinstance(state, Unsettled):
                break
            time.sleep(_UNSETTLED)
        return state

    def _judge(
        self,
        part: list[tuple[Meaning, Ahead]],
        waits: list[str | None],
    ) -> Iterator[Observation]:
        """The observations that messages lead to; ``waits`` gets the URLs that they wait for."""
        for each, found in part:
            waits.append(None)
            match each:
                case Config():
                    self._forget(each.name)
                    seen = found if isinstance(found, Seen) else self._understand(each)
                    attrs = rows.attrs_of({"user": each.user})
                    yield Touched(each.name, self._stamped(seen, each.content, attrs))
                case End():
                    self._forget(each.name)
                    by = f" of user {each.user}" if each.user else ""
                    yield Destroyed(each.name, f"an empty body{by}")
                case File():
                    assert isinstance(found, tuple)
                    yield self._file(each.path, *found)
                case Address():
                    self._paths.discard(each.url)
                    if self._fetches.begin(each.url):
                        waits[-1] = each.url
                    else:
                        reason = f"{MOST} URLs are being waited for already"
                        yield Refused(names.shown(each.url), reason)
                case Refused():
                    yield each

    def _forget(self, name: str) -> None:
        """Nothing that was found out about this name counts any more."""
        self._paths.discard(name)
        self._urls.discard(name)
        self._fetches.forget(name)
        if self._held is not None:
            self._held.answered([name])

    def _understand(self, config: Config) -> Seen:
        """The vassal that a config describes, without its time."""
        return rows.seen_of(rows.Row(config.name, config.content, 0), self._options)[1]

    def _stamped(self, seen: Seen, content: bytes, attrs: dict[str, str]) -> Seen:
        """The vassal that a config describes, announced now."""
        spec = msgspec.structs.replace(seen.spec, ts=self._stamp(), attrs=attrs)
        return Seen(spec, content)

    def _file(self, path: str, state: FileState, mount: str) -> Observation:
        label = names.shown(path)
        match state:
            case Found(record, content):
                self._forget(path)
                self._paths.add(path, mount)
                spec = msgspec.structs.replace(
                    record.seen.spec, ts=self._stamp(), attrs={"mount": mount}
                )
                return Touched(path, Seen(spec, content))
            case Absent() if path in self._paths:
                self._paths.discard(path)
                return Vanished(path, "the file is gone")
            case Absent():
                return Refused(label, "there is no such file")
            case Unreadable(reason):
                return Refused(label, f"it cannot be read: {reason}")
        return Refused(label, "it is being written; announce it when it is complete")

    # URLs

    async def _report_fetches(self) -> None:
        while True:
            await self._fetches.wait()
            done: list[str] = []
            await self._say(partial(self._judge_answers, done))
            if self._held is not None:
                self._held.answered(done)

    def _judge_answers(self, done: list[str]) -> Iterator[Observation]:
        for url, outcome in self._fetches.take(PREFETCH).items():
            word, final = self._judge_answer(url, outcome)
            if final:
                done.append(url)
            yield word

    def _judge_answer(self, url: str, outcome: Outcome) -> tuple[Observation, bool]:
        label = names.shown(url)
        match outcome:
            case ConfigText(content):
                try:
                    seen = self._understand(Config(url, content))
                except rows.Flaw as flaw:
                    return Refused(label, str(flaw)), True
                self._urls.add(url)
                return Touched(url, self._stamped(seen, content, {"url": url})), True
            case NoSuchConfig(reason) if url in self._urls:
                self._urls.discard(url)
                return Vanished(url, reason), True
            case NoSuchConfig(reason):
                return Refused(label, reason), True
            case UnusableReply(reason):
                return Refused(label, reason), True
            case NoReply(reason):
                return Refused(label, f"no answer ({reason}); it is asked again"), False


def open_url(rest: str, options: MonitorOptions) -> AmqpMonitor:
    """The monitor of ``amqp://rest``. Raises MonitorURLError."""
    return AmqpMonitor(*parse("amqp", rest), options)


def open_secured(rest: str, options: MonitorOptions) -> AmqpMonitor:
    """The monitor of ``amqps://rest``. Raises MonitorURLError."""
    return AmqpMonitor(*parse("amqps", rest), options)

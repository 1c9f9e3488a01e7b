"""The simulated sources: what they have, and monitors that tell of it, more or less truly.

``files`` and ``rows`` list all they have, again and again. ``messages`` tells each thing once, and
has it taken from its queue only when it is durable. The content of a source outlives the daemon; a
monitor is one daemon's.
"""

from collections.abc import Mapping
from random import Random
from typing import Final

import msgspec
import trio
from emperord.journal.chain import digest
from emperord.journal.events import Spec
from emperord.monitors import contract as c

from .script import AWAITED, CANARY, KEEPING, NOTIFYING, OWN, REPLACES, ROLLS

FREQUENCY: Final = 0.8  # seconds between listings


def _settings(behaviour: str, preflight: str, number: int, *, replaces: bool) -> dict[str, str]:
    """The settings in the section ``[emperor]`` of a config, the source's one of that number."""
    settings = {"command": behaviour} if behaviour in OWN else {}
    if behaviour in NOTIFYING:
        settings |= {"ready": "notify", "ready-timeout": "2s", "reload": "restart"}
    if behaviour in KEEPING:
        settings |= {"listen": f"127.0.0.1:{8000 + number % 3}"}
    if behaviour in AWAITED:
        limit = {"never": "500ms", "tardy": "4s"}.get(behaviour, "2s")
        settings |= {"ready": "tcp://a:1", "ready-timeout": limit, "reload": "restart"}
    if behaviour in ("sickens", "ails"):
        settings |= {"health": "tcp://a:1"}
        settings |= {"health-action": "restart" if behaviour == "sickens" else "record"}
    more = {"once": {"restart": "no"}, "restarts": {"reload": "restart"}}
    if replaces:
        found = settings | more.get(behaviour, {})
        more = {}
        settings = found | {"listen": "/simulated.sock", "reload": "replace"}
        settings |= {"replace-settle": "500ms"}
    if preflight:
        settings |= {"preflight": preflight, "preflight-timeout": "700ms"}
    # In the order in which the journal has them.
    return dict(sorted((settings | more.get(behaviour, {})).items()))


class Source:
    """One source. ``faults`` are on until ``mend`` is called."""

    def __init__(self, kind: str, rng: Random, texts: dict[str | None, str]) -> None:
        self.kind = kind
        self.url = f"{kind}://simulated"
        self.trusts_content = kind != "rows"
        self.has: dict[str, c.Seen] = {}
        self.told: dict[str, c.Seen] = {}  # messages: what the daemon was told and took
        self.queue: list[c.Observation] = []
        self.fails_until = self.held_until = 0.0
        self.raises = False
        self.lie = ""
        self.mistaken: set[str] = set()
        self._stale: dict[str, c.Seen] = {}
        self._repeat = False
        self._ts = 0
        self._rng = rng
        self._texts = texts
        self.news = trio.Event()

    @property
    def lists(self) -> bool:
        return self.kind != "messages"

    # Changes of the source

    def put(self, name: str, behaviour: str, *more: str, ts: bool = True) -> None:
        """It has this vassal now, or has it otherwise than before."""
        preflight = next((word for word in more if word not in (CANARY, REPLACES, ROLLS)), "")
        self._ts += 1
        deaf = "!" if behaviour in ("deaf", "silent") else ""
        settings = _settings(behaviour, preflight, self._ts, replaces=REPLACES in more)
        settings |= {"rollback": "2"} if ROLLS in more else {}
        settings |= {"canary": "yes"} if CANARY in more else {}
        settings = dict(sorted(settings.items()))
        text = f"{behaviour} {self._ts} of {self.kind}{deaf}".encode()
        self._texts[digest(text)] = text.decode()
        spec = Spec(
            ts=self._ts if ts or name not in self.has else self.has[name].spec.ts,
            config=digest(text),
            path=f"/simulated/{name}" if self.kind == "files" else None,
            socket={"demand": f"@{name}", "shares": "@shared"}.get(behaviour),
            settings=settings,
        )
        self._change(name, c.Seen(spec, text))

    def mistake(self, name: str, behaviour: str) -> None:
        """Its text is another and its ts is not."""
        if name in self.has and not self.trusts_content:
            self.mistaken.add(name)
            self.put(name, behaviour, ts=False)

    def touch(self, name: str) -> None:
        """Its ts is another and nothing else."""
        if name in self.has:
            self._ts += 1
            seen = self.has[name]
            self._change(name, c.Seen(_at(seen.spec, self._ts), seen.content))

    def drop(self, name: str) -> None:
        """It has it no longer."""
        self._stale = dict(self.has)
        if self.has.pop(name, None) is not None and not self.lists:
            self.queue.append(c.Destroyed(name, "told to"))
        self.news.set()

    def _change(self, name: str, seen: c.Seen) -> None:
        self._stale = dict(self.has)
        self.has[name] = seen
        if not self.lists:
            self.queue.append(c.Touched(name, seen))
        self.news.set()

    def repeat(self) -> None:
        """It says something again that it said before, and lists what was."""
        self._repeat = True
        if not self.lists and self.has:
            name = self._rng.choice(sorted(self.has))
            self.queue.append(c.Touched(name, self.has[name]))
        self.news.set()

    def says_false(self, lie: str) -> None:
        """Its next word is not true."""
        self.lie = lie
        if not self.lists:
            self.queue.append(c.Destroyed("nobody.ini") if lie == "nothing" else _REFUSED)
        self.news.set()

    def mend(self) -> None:
        """From here on it tells the truth, and is there."""
        self.fails_until = self.held_until = 0.0
        self.raises, self.lie, self._repeat = False, "", False
        for name in sorted(self.mistaken & self.has.keys()):
            self.touch(name)
        self.mistaken.clear()
        self.news.set()

    # The daemon's view of the source

    def monitor(self) -> "Monitor":
        """One daemon's eyes on it."""
        return Monitor(self)

    def listing(self) -> c.Listing:
        """All that it has, unless it lies."""
        seen = dict(self.has)
        if self._repeat:
            seen, self._repeat = dict(self._stale), False
        if self.lie == "nothing":
            seen = {}
        elif self.lie == "half":
            seen = {name: seen[name] for name in list(seen)[::2]}
        elif self.lie == "phantom":
            text = b"healthy phantom"
            self._texts[digest(text)] = text.decode()
            seen["phantom.ini"] = c.Seen(Spec(ts=1, config=digest(text)), text)
        self.lie = ""
        return c.Listing(seen, {"not a vassal": "has no extension"})


_REFUSED: Final = c.Refused("nonsense", "is no message")


def _at(spec: Spec, ts: int) -> Spec:
    return msgspec.structs.replace(spec, ts=ts)


class Monitor:
    """A monitor, as the shell runs it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.url = source.url
        self.trusts_content = source.trusts_content

    async def run(self, tell: c.Tell, known: Mapping[str, Spec]) -> None:
        """Watch the source until cancelled."""
        source = self._source
        if not source.lists:
            await tell(c.Recovered())
        while True:
            if source.raises:
                source.raises = False
                raise RuntimeError("a bug of the monitor")
            now = trio.current_time()
            if now < source.held_until:
                pass
            elif now < source.fails_until:
                await tell(c.Failed("is away"))
            elif source.lists:
                await tell(source.listing())
            elif source.queue:
                await self._tell_next(tell)
                continue
            with trio.move_on_after(FREQUENCY):
                await source.news.wait()
                source.news = trio.Event()
                await trio.sleep(0.01)

    async def _tell_next(self, tell: c.Tell) -> None:
        source = self._source
        if source._repeat and len(source.queue) > 1:
            # Two that overtook each other on the way.
            source.queue[0], source.queue[1] = source.queue[1], source.queue[0]
            source._repeat = False
        message = source.queue[0]
        await tell(message)
        source.queue.pop(0)
        if isinstance(message, c.Touched):
            source.told[message.name] = message.seen
        elif isinstance(message, c.Destroyed):
            source.told.pop(message.name, None)

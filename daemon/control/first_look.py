"""The first look at each source since the daemon started.

Until it is over the daemon may not know all vassals: of a new journal it knows none.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

import trio

from ...monitors.names import shown
from ..core.fleet import Fleet
from .pauses import paused_advice

_TOLD: Final = 3  # sources that are told of many


class Daemon(Protocol):
    """The daemon as far as clients wait for its first look."""

    @property
    def fleet(self) -> Fleet: ...

    @property
    def paused(self) -> str | None: ...


class FirstLook:
    """The sources that are still to be read. ``silent`` are those that have told nothing at all."""

    def __init__(self) -> None:
        self.silent: set[str] = set()
        self._unread: dict[str, None] = {}
        self._ready = False
        self._news = trio.Event()

    @property
    def is_over(self) -> bool:
        """Whether each source was read, and the vassals of these looks may start."""
        return self._ready and not self._unread

    def expect(self, url: str) -> None:
        """A source is there to be read."""
        self.silent.add(url)
        self._unread[url] = None

    def note(self, url: str, *, read: bool) -> None:
        """A source has told something; it was not ``read`` if that is an outage."""
        self.silent.discard(url)
        if read:
            self._unread.pop(url, None)
        self.changed()

    def ready(self) -> None:
        """The daemon is ready: vassals may start."""
        self._ready = True
        self.changed()

    def changed(self) -> None:
        """Have those that wait look again."""
        self._news.set()
        self._news = trio.Event()

    async def hear_all(self, seconds: float) -> None:
        """Wait until every source has told something, for so long at the most."""
        with trio.move_on_after(seconds):
            while self.silent:
                await self._news.wait()

    async def wait(self, daemon: Daemon, patience: float) -> str | None:
        """Wait until it is over; the reason where it is not after so many seconds, or never."""
        with trio.move_on_after(patience):
            while not self.is_over:
                if daemon.fleet.leaving:
                    return "the daemon stops"
                if daemon.paused is not None:
                    return f"{daemon.paused}{paused_advice(daemon.paused)}"
                await self._news.wait()
            return None
        return f"{self._missing(daemon.fleet)}, after {patience:.3g} s"

    def _missing(self, fleet: Fleet) -> str:
        if not self._unread:
            return "it is not ready yet"
        outages = {url: each.reason for url, each in fleet.outages.items()}
        text = "; ".join(_missed(list(self._unread)[:_TOLD], outages))
        others = len(self._unread) - _TOLD
        return f"{text}; {others} other sources" if others > 0 else text


def _missed(urls: Iterable[str], outages: Mapping[str, str]) -> Iterable[str]:
    for url in urls:
        reason = outages.get(url)
        why = "has not answered" if reason is None else f"cannot be read ({reason})"
        yield f"{shown(url)} {why}"

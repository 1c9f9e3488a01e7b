"""Changes that wait, because more is recorded of their account than its budget allows.

A source that lists its vassals tells of a change with each listing. A source that announces each
change once does not. Therefore the last change of each vassal is kept here and tried again. A text
is kept for inline configs only, because a file can be read again.
"""

from collections import Counter
from typing import Final, NamedTuple

import msgspec
import trio

from ...monitors import contract as c
from ..core.fleet import Fleet

_MOST: Final = 1000  # vassals of one source


class Source(msgspec.Struct, frozen=True):
    """A monitor, as far as the observer needs it."""

    url: str
    trusts_content: bool


class _Change(NamedTuple):
    account: str
    source: Source
    seen: c.Seen


class Deferred:
    """The last change of each vassal that waits, by source."""

    def __init__(self) -> None:
        self._changes: dict[str, dict[str, _Change]] = {}
        self._counts: Counter[tuple[str, str]] = Counter()  # by source and account
        self._added = trio.Event()

    async def wait(self) -> None:
        """Return when a change waits."""
        while not self:
            self._added = trio.Event()
            await self._added.wait()

    def add(self, source: Source, name: str, seen: c.Seen, account: str) -> bool:
        """A change waits. Whether it is the only one of its account and source."""
        if seen.spec.path is not None:
            seen = msgspec.structs.replace(seen, content=None)
        url = source.url
        changes = self._changes.setdefault(url, {})
        alone = not self._counts[url, account]
        self.drop(url, name)
        if len(changes) >= _MOST:
            self.drop(url, next(iter(changes)))
        changes[name] = _Change(account, source, seen)
        self._counts[url, account] += 1
        self._added.set()
        return alone

    def drop(self, url: str, name: str) -> None:
        """It waits no longer: it was taken, or the vassal is gone."""
        change = self._changes.get(url, {}).pop(name, None)
        if change is not None:
            self._counts[url, change.account] -= 1
            if not self._counts[url, change.account]:
                del self._counts[url, change.account]

    def keep(self, url: str, listing: c.Listing, fleet: Fleet) -> None:
        """Drop the changes of a source that its listing does not have any more."""
        for name in list(self._changes.get(url, ())):
            vassal, seen = fleet.vassals.get(name), listing.seen.get(name)
            if seen is None or (vassal is not None and vassal.spec == seen.spec):
                self.drop(url, name)

    def all(self) -> list[tuple[Source, c.Touched]]:
        """All changes that wait."""
        return [
            (change.source, c.Touched(name, change.seen))
            for changes in self._changes.values()
            for name, change in changes.items()
        ]

    def has(self, url: str, touched: c.Touched) -> bool:
        """Whether this change still waits: it was not taken, and none came after it."""
        change = self._changes.get(url, {}).get(touched.name)
        return change is not None and change.seen is touched.seen

    def counts(self) -> dict[str, int]:
        """How many changes wait, by account."""
        found: Counter[str] = Counter()
        for (_, account), count in self._counts.items():
            found[account] += count
        return dict(found)

    def __bool__(self) -> bool:
        return bool(self._counts)

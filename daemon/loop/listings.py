"""Listings: all that a source has, compared with the fleet in parts.

A part is at most ``_PART`` events. Between two parts others may change the fleet, so each part is
compared with the fleet of its moment. News of single vassals of the same source may come between,
too. They are newer than the listing. So what the listing says of these vassals is left out.

In tyrant mode a listing is taken in turns of its users. Otherwise the change of a user would wait
for thousands of another user's. Vassals that the listing lacks are found when it comes. They are
removed after all others of their user.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Final

from ...journal.events import Gone, Spec
from ...monitors import contract as c
from ...monitors.names import shown
from ...monitors.round_robin import round_robin
from ..core.draft import Draft
from ..core.fleet import Fleet
from .announcer import Announcer
from .deferred import Source
from .doubts import Doubts
from .rejections import Rejections, Said

_PART: Final = 100  # events that are found together
_LARGE: Final = 1 << 18  # bytes of texts, after which events are found one by one
_LOOKS: Final = 500  # vassals that are compared together


# Adds the drafts of one vassal that is listed.
See = Callable[[Fleet, Source, str, c.Seen, list[Draft], Said | None], None]
# Adds the draft of a vassal on which the daemon itself failed.
Fail = Callable[[Fleet, str, str, Exception, list[Draft], c.Seen | None], None]


class Listings:
    """Takes listings in. ``begin`` begins a part; it is told whether the listing is the first."""

    def __init__(
        self,
        announcer: Announcer,
        rejections: Rejections,
        begin: Callable[[Fleet, bool], None],
        see: See,
        fail: Fail,
    ) -> None:
        self.doubts = Doubts()
        self._announcer = announcer
        self._rejections = rejections
        self._begin = begin
        self._see = see
        self._fail = fail
        self._listed: set[str] = set()  # sources whose first listing came
        # By source whose listing is being taken, the names of which it told something newer.
        self._overtaken: dict[str, set[str]] = {}

    def overtake(self, url: str, seen: c.Observation) -> None:
        """A source told of a single vassal. A listing that is being taken says nothing of it."""
        if url in self._overtaken:
            self._overtaken[url] |= _labels(seen)

    def parts(
        self, fleet: Fleet, source: Source, listing: c.Listing, drafts: list[Draft]
    ) -> Iterator[list[Draft]]:
        """All parts but the last, each a copy of ``drafts``, which has the last at the end."""
        self._overtaken[source.url] = set()
        try:
            yield from self._parts(fleet, source, listing, drafts)
        finally:
            del self._overtaken[source.url]
            self._rejections.present.end_listing(source.url)
        self._listed.add(source.url)

    def _parts(
        self, fleet: Fleet, source: Source, listing: c.Listing, drafts: list[Draft]
    ) -> Iterator[list[Draft]]:
        url = source.url
        first = url not in self._listed
        before = self._rejections.begin_listing(url)
        self._announcer.begin_listing(fleet, url, listing)
        doubted, missing = self.doubts.of_listing(fleet, url, listing)
        self._begin(fleet, first)
        drafts += doubted
        lines: dict[Hashable, list[str]] = {}
        for part in self._compare(fleet, url, listing, missing, lines):
            drafts += part
            yield _cut(drafts)
            self._begin(fleet, first)
        overtaken = self._overtaken[url]
        for number, name in enumerate(round_robin(lines.values()), 1):
            if self._is_long(drafts) or number % _LOOKS == 0:
                yield _cut(drafts)
                self._begin(fleet, first)
            if name in overtaken:
                continue
            if name in listing.seen:
                self._see(fleet, source, name, listing.seen[name], drafts, before)
            else:
                _miss(fleet, url, name, drafts)
        for label, reason in listing.refused.items():
            if self._is_long(drafts):
                yield _cut(drafts)
                self._begin(fleet, first)
            if label not in overtaken:
                self._rejections.reject(url, label, reason, drafts, before)

    def _compare(
        self,
        fleet: Fleet,
        url: str,
        listing: c.Listing,
        missing: Iterable[str],
        lines: dict[Hashable, list[str]],
    ) -> Iterator[list[Draft]]:
        """Find what may be news, in lines of their users. It gives the drafts of failures."""
        failed: list[Draft] = []
        for number, (name, seen) in enumerate(listing.seen.items(), 1):
            if number % _LOOKS == 0:
                yield _cut(failed)
            try:
                vassal = fleet.vassals.get(name)
                # The whole cost of an unchanged vassal, ten thousand times a rescan.
                if (
                    vassal is not None
                    and vassal.spec is seen.spec
                    and vassal.wanted
                    and vassal.monitor == url
                ):
                    continue
                lines.setdefault(_turn(fleet, seen.spec), []).append(name)
            except Exception as error:
                self._fail(fleet, url, name, error, failed, seen)
        for name in missing:
            gone = fleet.vassals.get(name)
            if gone is not None:
                lines.setdefault(_turn(fleet, gone.spec), []).append(name)
        if failed:
            yield failed

    def _is_long(self, drafts: list[Draft]) -> bool:
        """Whether others may act before more is found."""
        return len(drafts) >= _PART or (bool(drafts) and self._announcer.size >= _LARGE)


def _turn(fleet: Fleet, spec: Spec) -> Hashable:
    """In whose turn a vassal is taken: its user's in tyrant mode.

    A barred vassal has a turn of its own. A user may be named by a file that another one made, and
    such a file is barred.
    """
    return (spec.uid, spec.bar is not None) if fleet.policy.tyrant else None


def _miss(fleet: Fleet, url: str, name: str, drafts: list[Draft]) -> None:
    """A listing lacks a vassal."""
    vassal = fleet.vassals.get(name)
    if vassal is not None and vassal.monitor == url and vassal.wanted:
        drafts.append(Draft("vassal_removed", Gone(reason="no longer listed"), url, name))


def _labels(seen: c.Observation) -> set[str]:
    """The name, and how the rejections of a listing call it."""
    if isinstance(seen, c.Refused):
        return {seen.label}
    if isinstance(seen, c.Touched | c.Vanished | c.Destroyed):
        return {seen.name, shown(seen.name)}
    return set()


def _cut(drafts: list[Draft]) -> list[Draft]:
    part = drafts.copy()
    drafts.clear()
    return part

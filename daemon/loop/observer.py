"""The observer: observations of monitors become events, as far as they are new.

A monitor tells what its source has. The observer compares that with the fleet, for all sources in
one place, and drafts an event for each difference. It decides nothing about vassals, because that
is the fold's. Its memory only keeps the record from repeating itself.

``listings`` compares a listing; this file compares the news of one vassal.
"""

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Set

import msgspec

from ...journal.events import Empty, Failed, Gone, Spec
from ...monitors import contract as c
from ..core import claims
from ..core.draft import Draft
from ..core.fleet import Fleet, Vassal
from ..host.emperor_protocol import LONGEST_CONFIG
from .announcer import Announcer
from .deferred import Deferred, Source
from .differences import difference
from .listings import Listings
from .own_errors import OwnErrors
from .rejections import Rejections, Said


class Observer:
    """Turns observations into drafts, and collects the config texts to be stored with them.

    ``altered`` are vassals whose config text in the journal is not what was recorded. It is taken
    anew as soon as the source gives it.
    """

    def __init__(self, altered: Iterable[str] = ()) -> None:
        self.clock: Callable[[], int] = lambda: 0  # the time by which events are stamped
        self.defers = True  # changes of an account that is above its budget wait
        self._announcer = Announcer(altered)
        self._rejections = Rejections()
        self.present = self._rejections.present
        self._errors = OwnErrors()
        # By source, a listing that had no news, and the fleet's last event and its time then.
        self._no_news: dict[str, tuple[weakref.ref[c.Listing], int, int]] = {}
        self._listings = Listings(
            self._announcer, self._rejections, self._begin, self._see, self._fail
        )

    @property
    def altered(self) -> Set[str]:
        """Vassals whose config text in the journal is not what was recorded."""
        return self._announcer.altered

    @property
    def doubted(self) -> Mapping[str, set[str]]:
        """By source, the vassals that its last listing lacks, where the next one must agree."""
        return self._listings.doubts.missing

    @property
    def deferred(self) -> Deferred:
        """Changes that wait for room in the budget of their account."""
        return self._announcer.deferred

    @property
    def uncounted(self) -> Mapping[str, int]:
        """By source, how many rejections are not recorded."""
        return self._rejections.uncounted

    def known(self, vassal: Vassal) -> Spec:
        """The spec of a vassal that a source is told as known.

        A source need not give a text whose digest is known, so an altered one is not.
        """
        if vassal.name in self.altered:
            return msgspec.structs.replace(vassal.spec, config=None)
        return vassal.spec

    def take_contents(self) -> dict[str, bytes]:
        """The config texts that are to be stored with the drafts since the last call."""
        return self._announcer.take_contents()

    def size(self) -> int:
        """How many bytes of config texts are to be stored with the drafts so far."""
        return self._announcer.size

    def translate(
        self, fleet: Fleet, source: Source, seen: c.Observation
    ) -> Iterator[Draft | None]:
        """The events of an observation, none if it has nothing new.

        They are to be folded as they come. After a None, others may be folded before what follows.
        """
        if isinstance(seen, c.Failed):
            if source.url not in fleet.outages:
                yield Draft("monitor_failed", Failed(reason=seen.reason), source.url)
            return
        drafts: list[Draft] = []
        self._begin(fleet)
        if source.url in fleet.outages:
            drafts.append(Draft("monitor_recovered", Empty(), source.url))
        if isinstance(seen, c.Listing):
            yield from self._listed(fleet, source, seen, drafts)
        else:
            self._announced(fleet, source, seen, drafts)
            yield from drafts

    def _listed(
        self, fleet: Fleet, source: Source, seen: c.Listing, drafts: list[Draft]
    ) -> Iterator[Draft | None]:
        """The events of a listing. One that is told again has none, if nothing happened since."""
        url, moment = source.url, (fleet.seq, fleet.at)
        former = self._no_news.pop(url, None)
        if former is not None and former[0]() is seen and former[1:] == moment:
            self._no_news[url] = former
            return
        for part in self._listings.parts(fleet, source, seen, drafts):
            yield from part
            yield None
        yield from drafts
        waits = self.deferred or self.altered or self.doubted.get(url) or self.rejects(url)
        if moment == (fleet.seq, fleet.at) and not waits:
            self._no_news[url] = (weakref.ref(seen), *moment)

    def _begin(self, fleet: Fleet, first: bool = False) -> None:
        """Begin a part: the drafts that follow are found by the fleet of this moment."""
        now = max(self.clock(), fleet.at)
        self._announcer.begin(now, free=first or not self.defers)
        self._rejections.begin(now)

    def _announced(
        self, fleet: Fleet, source: Source, seen: c.Observation, drafts: list[Draft]
    ) -> None:
        url = source.url
        self._listings.overtake(url, seen)
        match seen:
            case c.Touched():
                self._see(fleet, source, seen.name, seen.seen, drafts)
            case c.Vanished() | c.Destroyed():
                try:
                    self._end(fleet, url, seen, drafts)
                except Exception as error:
                    self._fail(fleet, url, seen.name, error, drafts)
            case c.Refused():
                self._rejections.reject(url, seen.label, seen.reason, drafts)

    def rejects(self, url: str) -> bool:
        """Whether something of this source was rejected."""
        return self._rejections.has(url)

    # One vassal

    def _see(
        self,
        fleet: Fleet,
        source: Source,
        name: str,
        seen: c.Seen,
        drafts: list[Draft],
        before: Said | None = None,
    ) -> None:
        try:
            self._compare(fleet, source, name, seen, drafts, before)
        except Exception as error:
            self._fail(fleet, source.url, name, error, drafts, seen)

    def _fail(
        self,
        fleet: Fleet,
        url: str,
        name: str,
        error: Exception,
        drafts: list[Draft],
        seen: c.Seen | None = None,
    ) -> None:
        """The daemon itself failed about one vassal. That vassal is barred."""
        if seen is not None:
            self._announcer.keep_text(seen)
        self._errors.fail(fleet, url, name, error, drafts, seen)

    def _compare(
        self,
        fleet: Fleet,
        source: Source,
        name: str,
        seen: c.Seen,
        drafts: list[Draft],
        before: Said | None = None,
    ) -> None:
        url, spec = source.url, seen.spec
        vassal = fleet.vassals.get(name)
        if spec.path is None and seen.content is not None and len(seen.content) > LONGEST_CONFIG:
            reason = f"the config has {len(seen.content)} bytes, {LONGEST_CONFIG} fit the protocol"
            self._reject(url, name, reason, drafts, before)
        elif vassal is None:
            self._announce(fleet, source, name, seen, "", drafts)
        elif vassal.monitor != url:
            self._claim(fleet, vassal, source, seen, drafts, before)
        elif not vassal.wanted:
            self._announce(fleet, source, name, seen, "again", drafts)
        elif vassal.spec != spec and (change := difference(vassal.spec, spec)):
            if change == "config" and not source.trusts_content:
                reason = "its config changed but its ts did not; give it another ts"
                self._announcer.hold_back(url, name, seen)
                self._reject(url, name, reason, drafts, before)
            else:
                self._announce(fleet, source, name, seen, change, drafts, "vassal_changed")
        else:
            self._announcer.deferred.drop(url, name)  # the source took that back
            if before is None:  # a listing may reject its change as well
                self.present.forget(url, name)
            if name in self.altered and seen.content is not None:
                self._announcer.restore(fleet, seen.content, drafts)

    def _claim(
        self,
        fleet: Fleet,
        vassal: Vassal,
        source: Source,
        seen: c.Seen,
        drafts: list[Draft],
        before: Said | None,
    ) -> None:
        """Another source's vassal has this name. The source that is given first owns it.

        A rejected claim is kept by sources that list their vassals: the next listing claims
        again. A source that announces each vassal once has to announce it again.
        """
        name, owner, url = vassal.name, vassal.monitor, source.url
        if claims.is_free(fleet, vassal):
            self._announce(fleet, source, name, seen, "claimed", drafts)
        elif claims.precedes(fleet, url, owner):
            change = f"claimed from {owner}"
            self._announce(fleet, source, name, seen, change, drafts, "vassal_changed")
        else:
            self._announcer.hold_back(url, name, seen)
            reason = f"the name belongs to {owner}, which is given before this source"
            self._reject(url, name, reason, drafts, before)

    def _reject(
        self, url: str, name: str, reason: str, drafts: list[Draft], before: Said | None
    ) -> None:
        """Reject what a vassal is to be. An older change of it waits no longer."""
        self._announcer.deferred.drop(url, name)
        self._rejections.reject(url, name, reason, drafts, before, name)

    def _announce(
        self,
        fleet: Fleet,
        source: Source,
        name: str,
        seen: c.Seen,
        change: str,
        drafts: list[Draft],
        kind: str = "vassal_added",
    ) -> None:
        if self._announcer.announce(fleet, source, name, seen, change, drafts, kind):
            self._rejections.forget(source.url, name)  # the source has mended it
            self._errors.forget(source.url, name)

    def _end(
        self, fleet: Fleet, url: str, seen: c.Vanished | c.Destroyed, drafts: list[Draft]
    ) -> None:
        self._announcer.forget(url, seen.name)
        vassal = fleet.vassals.get(seen.name)
        destroyed = isinstance(seen, c.Destroyed)
        if vassal is not None and vassal.monitor == url and vassal.wanted:
            self._announcer.altered.discard(seen.name)
            kind = "vassal_destroyed" if destroyed else "vassal_removed"
            drafts.append(Draft(kind, Gone(reason=seen.reason), url, seen.name))
        elif destroyed:
            owner = None if vassal is None else vassal.monitor
            reason = "told to destroy it, but there is no such vassal"
            if owner not in (None, url):
                reason = f"told to destroy it, but it belongs to {owner}"
            self._rejections.reject(url, seen.name, reason, drafts)


def orphans(fleet: Fleet) -> list[Draft]:
    """The end of vassals whose source is not configured any more and that none claimed."""
    reason = "its source is no longer configured"
    return [
        Draft("vassal_removed", Gone(reason=reason), vassal.monitor, vassal.name)
        for vassal in fleet.vassals.values()
        if vassal.wanted and vassal.monitor not in fleet.monitors
    ]

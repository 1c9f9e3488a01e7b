"""From observations to events: what of a monitor's news is new.

A monitor says what its source has; here that is compared with the fleet, in one place for all
sources, and what differs becomes events. Nothing is decided about vassals here; that is the
fold's. What the observer remembers only keeps the record from repeating itself: which
rejections were said, and which vassals a doubted listing lacked.
"""

import logging
from collections.abc import Iterable, Mapping, Set
from typing import Final

import msgspec

from ..journal.chain import digest
from ..journal.events import (
    Announced,
    Doubted,
    Empty,
    Failed,
    Gone,
    Rejected,
    Restored,
    Spec,
)
from ..monitors import contract as c
from ..monitors.names import shown
from . import claims, failures
from .draft import Draft
from .fleet import Fleet, Vassal
from .protocol import LONGEST_CONFIG

__all__ = ["DOUBT_FROM", "Draft", "Observer", "Source", "difference"]

log = logging.getLogger("emperor")

DOUBT_FROM: Final = 5  # vassals
_MOST_REMEMBERED: Final = 1000  # rejections of one source

Said = Mapping[str, set[str]]  # label -> the reasons that were given


class Source(msgspec.Struct, frozen=True):
    """What the observer needs to know of a monitor."""

    url: str
    trusts_content: bool


class Observer:
    """Turns observations into drafts. ``contents`` fills with config texts to be stored.

    ``altered`` are vassals whose config text in the journal is not what was recorded. It is taken
    anew as soon as the source gives it.
    """

    def __init__(self, altered: Iterable[str] = ()) -> None:
        self.contents: dict[str, bytes] = {}
        self._altered = set(altered)
        self._said: dict[str, dict[str, set[str]]] = {}  # url -> label -> reasons
        # By source and name, the errors of the daemon's own that were told.
        self._failed: dict[str, dict[str, tuple[str, Spec | None]]] = {}
        self._missing: dict[str, set[str]] = {}  # url -> what its doubted listing lacked
        # Texts that came with a rejection: a source need not give one again when it is accepted.
        self._held_back: dict[str, dict[str, bytes]] = {}  # url -> name -> text

    @property
    def altered(self) -> Set[str]:
        """Vassals whose config text in the journal is not what was recorded."""
        return self._altered

    @property
    def doubted(self) -> Mapping[str, set[str]]:
        """What the last listing of a source lacks, where the next one must agree."""
        return self._missing

    def known(self, vassal: Vassal) -> Spec:
        """What to tell a source that is known of a vassal.

        A source need not give a text whose digest is known, so an altered one is not.
        """
        if vassal.name in self._altered:
            return msgspec.structs.replace(vassal.spec, config=None)
        return vassal.spec

    def take_contents(self) -> dict[str, bytes]:
        contents, self.contents = self.contents, {}
        return contents

    def translate(self, fleet: Fleet, source: Source, seen: c.Observation) -> list[Draft]:
        """The events that an observation amounts to, none if it says nothing new."""
        drafts: list[Draft] = []
        url = source.url
        if isinstance(seen, c.Failed):
            if url not in fleet.outages:
                drafts.append(Draft("monitor_failed", Failed(reason=seen.reason), url))
            return drafts
        if url in fleet.outages:
            drafts.append(Draft("monitor_recovered", Empty(), url))
        match seen:
            case c.Listing():
                self._list(fleet, source, seen, drafts)
            case c.Touched():
                try:
                    self._sight(fleet, source, seen.name, seen.seen, drafts)
                except Exception as error:
                    self._fail(fleet, url, seen.name, error, drafts, seen.seen)
            case c.Vanished() | c.Destroyed():
                try:
                    self._end(fleet, url, seen, drafts)
                except Exception as error:
                    self._fail(fleet, url, seen.name, error, drafts)
            case c.Refused():
                self._reject(url, seen.label, seen.reason, drafts)
        return drafts

    def rejects(self, url: str) -> bool:
        """Whether something of this source was rejected."""
        return bool(self._said.get(url))

    def orphans(self, fleet: Fleet) -> list[Draft]:
        """The end of vassals whose source is not configured any more and that none claimed."""
        reason = "its source is no longer configured"
        return [
            Draft("vassal_removed", Gone(reason=reason), vassal.monitor, vassal.name)
            for vassal in fleet.vassals.values()
            if vassal.wanted and vassal.monitor not in fleet.monitors
        ]

    # One listing

    def _list(self, fleet: Fleet, source: Source, listing: c.Listing, drafts: list[Draft]) -> None:
        url = source.url
        before = self._said.get(url, {})
        self._said[url] = {}
        held_back = self._held_back.get(url, {})
        for name in held_back.keys() - listing.seen.keys():
            del held_back[name]
        for name, seen in listing.seen.items():
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
                self._sight(fleet, source, name, seen, drafts, before)
            except Exception as error:
                self._fail(fleet, url, name, error, drafts, seen)
        for label, reason in listing.refused.items():
            self._reject(url, label, reason, drafts, before)
        if self._missing.get(url) or self._lacks(fleet, url, listing):
            self._miss(fleet, url, listing, drafts)

    @staticmethod
    def _lacks(fleet: Fleet, url: str, listing: c.Listing) -> bool:
        return any(
            vassal.monitor == url and name not in listing.seen
            for name, vassal in fleet.vassals.items()
        )

    def _miss(self, fleet: Fleet, url: str, listing: c.Listing, drafts: list[Draft]) -> None:
        owned = [v.name for v in fleet.vassals.values() if v.monitor == url and v.wanted]
        # What cannot be read is still there.
        missing = {
            name for name in owned if name not in listing.seen and name not in listing.refused
        }
        if len(missing) >= DOUBT_FROM and len(missing) * 2 > len(owned):
            doubted = self._missing.get(url, set())
            self._missing[url] = missing
            fresh = missing - doubted
            missing = missing & doubted
            if fresh:
                body = Doubted(missing=tuple(sorted(fresh)), known=len(owned))
                drafts.append(Draft("listing_doubted", body, url))
        else:
            self._missing.pop(url, None)
        drafts.extend(
            Draft("vassal_removed", Gone(reason="no longer listed"), url, name)
            for name in owned
            if name in missing
        )

    # One vassal

    def _fail(
        self,
        fleet: Fleet,
        url: str,
        name: str,
        error: Exception,
        drafts: list[Draft],
        seen: c.Seen | None = None,
    ) -> None:
        """An error of the daemon's own about one vassal: that one is barred. It is said once."""
        spec = None if seen is None else seen.spec
        if seen is not None and seen.content is not None and seen.spec.config is not None:
            self.contents[seen.spec.config] = seen.content  # its source may not give it again
        body = failures.failed("observe", error, spec=spec)
        known = self._failed.setdefault(url, {})
        if known.get(name) == (body.reason, spec):
            return
        if len(known) >= _MOST_REMEMBERED and name not in known:
            del known[next(iter(known))]
        known[name] = (body.reason, spec)
        log.error("%s: error about %s: %s", url, shown(name), failures.told(error))
        vassal = fleet.vassals.get(name)
        if vassal is None or vassal.monitor == url:
            drafts.append(Draft("vassal_failed", body, url, name))

    def _sight(
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
            self._reject(url, name, reason, drafts, before, name)
        elif vassal is None:
            self._announce("vassal_added", url, name, seen, "", drafts)
        elif vassal.monitor != url:
            self._claim(fleet, vassal, url, seen, drafts, before)
        elif not vassal.wanted:
            self._announce("vassal_added", url, name, seen, "again", drafts)
        elif vassal.spec != spec:
            change = difference(vassal.spec, spec)
            if change == "config" and not source.trusts_content:
                reason = "its config changed but its ts did not; give it another ts"
                self._hold_back(url, name, seen)
                self._reject(url, name, reason, drafts, before, name)
            elif change:
                self._announce("vassal_changed", url, name, seen, change, drafts)
        elif name in self._altered and seen.content is not None:
            self._restore(fleet, seen.content, drafts)

    def _restore(self, fleet: Fleet, content: bytes, drafts: list[Draft]) -> None:
        """Put a text back for all vassals that have it. They run it, so none is reloaded."""
        config = digest(content)
        self.contents[config] = content
        for name in sorted(self._altered):
            vassal = fleet.vassals.get(name)
            if vassal is not None and vassal.spec.config == config:
                self._altered.discard(name)
                body = Restored(config=config)
                drafts.append(Draft("config_restored", body, vassal.monitor, name))

    def _claim(
        self,
        fleet: Fleet,
        vassal: Vassal,
        url: str,
        seen: c.Seen,
        drafts: list[Draft],
        before: Said | None,
    ) -> None:
        """Another source's vassal has this name: the source that is given first owns it.

        A rejected claim is kept by sources that list their vassals: the next listing claims
        again. A source that announces each thing once has to announce it again.
        """
        name, owner = vassal.name, vassal.monitor
        if claims.is_free(fleet, vassal):
            self._announce("vassal_added", url, name, seen, "claimed", drafts)
        elif claims.precedes(fleet, url, owner):
            self._announce("vassal_changed", url, name, seen, f"claimed from {owner}", drafts)
        else:
            self._hold_back(url, name, seen)
            reason = f"the name belongs to {owner}, which is given before this source"
            self._reject(url, name, reason, drafts, before, name)

    def _hold_back(self, url: str, name: str, seen: c.Seen) -> None:
        if seen.content is not None:
            self._held_back.setdefault(url, {})[name] = seen.content

    def _announce(
        self, kind: str, url: str, name: str, seen: c.Seen, change: str, drafts: list[Draft]
    ) -> None:
        held_back = self._held_back.get(url, {}).pop(name, None)
        if seen.spec.config is not None:
            if seen.content is not None:
                self.contents[seen.spec.config] = seen.content
            elif held_back is not None and digest(held_back) == seen.spec.config:
                self.contents[seen.spec.config] = held_back
            if seen.spec.config in self.contents:
                self._altered.discard(name)
        self._said.get(url, {}).pop(name, None)  # what was wrong with it is mended
        self._failed.get(url, {}).pop(name, None)
        drafts.append(Draft(kind, Announced(spec=seen.spec, change=change), url, name))

    def _end(
        self, fleet: Fleet, url: str, seen: c.Vanished | c.Destroyed, drafts: list[Draft]
    ) -> None:
        self._held_back.get(url, {}).pop(seen.name, None)
        vassal = fleet.vassals.get(seen.name)
        destroyed = isinstance(seen, c.Destroyed)
        if vassal is not None and vassal.monitor == url and vassal.wanted:
            self._altered.discard(seen.name)
            kind = "vassal_destroyed" if destroyed else "vassal_removed"
            drafts.append(Draft(kind, Gone(reason=seen.reason), url, seen.name))
        elif destroyed:
            owner = None if vassal is None else vassal.monitor
            reason = "told to destroy it, but there is no such vassal"
            if owner not in (None, url):
                reason = f"told to destroy it, but it belongs to {owner}"
            self._reject(url, seen.name, reason, drafts)

    def _reject(
        self,
        url: str,
        label: str,
        reason: str,
        drafts: list[Draft],
        before: Said | None = None,
        vassal: str | None = None,
    ) -> None:
        said = self._said.setdefault(url, {})
        known = (said if before is None else before).get(label, ())
        new = reason not in known
        # A listing bounds itself; what is announced could go on for ever.
        if before is None and len(said) >= _MOST_REMEMBERED and label not in said:
            del said[next(iter(said))]
        said.setdefault(label, set()).add(reason)
        if new:
            body = Rejected(name=shown(label), reason=reason)
            drafts.append(Draft("observation_rejected", body, url, vassal))


def difference(old: Spec, new: Spec) -> str:
    """What differs in a way that matters, as words: ts, config, owner, socket, place, settings."""
    pairs: Iterable[tuple[str, object, object]] = (
        ("ts", old.ts, new.ts),
        ("config", old.config, new.config),
        (_owners(old, new), (old.uid, old.gid), (new.uid, new.gid)),
        ("socket", old.socket, new.socket),
        ("place", (old.path, old.cwd), (new.path, new.cwd)),
        ("settings", (old.settings, old.bar), (new.settings, new.bar)),
    )
    return ",".join(word for word, was, is_ in pairs if was != is_)


def _owners(old: Spec, new: Spec) -> str:
    """Both, as ``owner 1001:1001 to 1002:1002``; a dash where the source gives none."""
    ids = ("-" if each is None else str(each) for each in (old.uid, old.gid, new.uid, new.gid))
    return "owner {}:{} to {}:{}".format(*ids)

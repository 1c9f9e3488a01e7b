"""From observations to events: what of a monitor's news is new.

A monitor says what its source has; here that is compared with the fleet, in one place for all
sources, and what differs becomes events. Nothing is decided about vassals here; that is the
fold's. What the observer remembers only keeps the record from repeating itself: which
rejections were said, and which vassals a doubted listing lacked.

A listing is taken in parts of ``_PART`` events, between which others may change the fleet. So each
part is compared with the fleet of its moment. What the listing lacks is found by the fleet as it is
when the listing comes, and removed when all of it has been taken.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Final

import msgspec

from ...journal.chain import digest
from ...journal.events import Announced, Doubted, Empty, Failed, Gone, Rejected, Restored, Spec
from ...journal.leaky_bucket import Bucket
from ...monitors import contract as c
from ...monitors.names import shown
from ..core import budget, claims
from ..core.draft import Draft
from ..core.fleet import Fleet, Vassal
from ..host import failures
from ..host.emperor_protocol import LONGEST_CONFIG
from .deferred import Deferred, Source

__all__ = ["DOUBT_FROM", "Draft", "Observer", "Source", "difference"]

log = logging.getLogger("emperor")

DOUBT_FROM: Final = 5  # vassals
_PART: Final = 100  # events of a listing that are found together
_MOST_REMEMBERED: Final = 1000  # rejections of one source
_REJECTIONS: Final = 10_000  # of one source that are recorded at once; as many more an hour

Said = Mapping[str, set[str]]  # label -> the reasons that were given


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
        self.deferred = Deferred()
        self._listed: set[str] = set()  # sources whose first listing came
        self.clock: Callable[[], int] = lambda: 0  # the time by which events are stamped
        self._now = 0
        self._due: dict[str, int] = {}  # by account, what this observation costs and is not folded
        self._first = False  # the observation is the first listing of its source
        self._rejections: dict[str, Bucket] = {}  # by source
        self.uncounted: dict[str, int] = {}  # by source, rejections that are not recorded

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

    def translate(
        self, fleet: Fleet, source: Source, seen: c.Observation
    ) -> Iterator[Draft | None]:
        """The events that an observation amounts to, none if it says nothing new.

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
            for part in self._list(fleet, source, seen, drafts):
                yield from part
                yield None
            self._listed.add(source.url)
        else:
            self._announced(fleet, source, seen, drafts)
        yield from drafts

    def _begin(self, fleet: Fleet, *, first: bool = False) -> None:
        """Begin with what is found together, by the fleet of this moment."""
        self._now, self._due, self._first = max(self.clock(), fleet.at), {}, first

    def _announced(
        self, fleet: Fleet, source: Source, seen: c.Observation, drafts: list[Draft]
    ) -> None:
        url = source.url
        match seen:
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

    def _list(
        self, fleet: Fleet, source: Source, listing: c.Listing, drafts: list[Draft]
    ) -> Iterator[list[Draft]]:
        """All but the last part, each a copy of what ``drafts`` had; those then hold the last."""
        url = source.url
        first = url not in self._listed
        before = self._said.get(url, {})
        self._said[url] = {}
        self.deferred.keep(url, listing)
        held_back = self._held_back.get(url, {})
        for name in held_back.keys() - listing.seen.keys():
            del held_back[name]
        doubted, missing = self._lacked(fleet, url, listing)
        self._begin(fleet, first=first)
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
                if len(drafts) >= _PART:
                    yield self._cut(drafts)
                    self._begin(fleet, first=first)
                self._sight(fleet, source, name, seen, drafts, before)
            except Exception as error:
                self._fail(fleet, url, name, error, drafts, seen)
        for label, reason in listing.refused.items():
            if len(drafts) >= _PART:
                yield self._cut(drafts)
                self._begin(fleet, first=first)
            self._reject(url, label, reason, drafts, before)
        drafts += doubted
        for name in missing:
            if len(drafts) >= _PART:
                yield self._cut(drafts)
            vassal = fleet.vassals.get(name)
            if vassal is not None and vassal.monitor == url and vassal.wanted:
                drafts.append(Draft("vassal_removed", Gone(reason="no longer listed"), url, name))

    @staticmethod
    def _cut(drafts: list[Draft]) -> list[Draft]:
        part = drafts.copy()
        drafts.clear()
        return part

    def _lacked(self, fleet: Fleet, url: str, listing: c.Listing) -> tuple[list[Draft], list[str]]:
        """What is to be said if the listing is doubted, and the vassals that are to be removed."""
        if not self._missing.get(url) and not self._lacks(fleet, url, listing):
            return [], []
        owned = [v.name for v in fleet.vassals.values() if v.monitor == url and v.wanted]
        # What cannot be read is still there.
        missing = {
            name for name in owned if name not in listing.seen and name not in listing.refused
        }
        drafts: list[Draft] = []
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
        return drafts, [name for name in owned if name in missing]

    @staticmethod
    def _lacks(fleet: Fleet, url: str, listing: c.Listing) -> bool:
        return any(
            vassal.monitor == url and name not in listing.seen
            for name, vassal in fleet.vassals.items()
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
            self._announce(fleet, source, name, seen, "", drafts)
        elif vassal.monitor != url:
            self._claim(fleet, vassal, source, seen, drafts, before)
        elif not vassal.wanted:
            self._announce(fleet, source, name, seen, "again", drafts)
        elif vassal.spec != spec:
            change = difference(vassal.spec, spec)
            if change == "config" and not source.trusts_content:
                reason = "its config changed but its ts did not; give it another ts"
                self._hold_back(url, name, seen)
                self._reject(url, name, reason, drafts, before, name)
            elif change:
                self._announce(fleet, source, name, seen, change, drafts, "vassal_changed")
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
        source: Source,
        seen: c.Seen,
        drafts: list[Draft],
        before: Said | None,
    ) -> None:
        """Another source's vassal has this name: the source that is given first owns it.

        A rejected claim is kept by sources that list their vassals: the next listing claims
        again. A source that announces each thing once has to announce it again.
        """
        name, owner, url = vassal.name, vassal.monitor, source.url
        if claims.is_free(fleet, vassal):
            self._announce(fleet, source, name, seen, "claimed", drafts)
        elif claims.precedes(fleet, url, owner):
            change = f"claimed from {owner}"
            self._announce(fleet, source, name, seen, change, drafts, "vassal_changed")
        else:
            self._hold_back(url, name, seen)
            reason = f"the name belongs to {owner}, which is given before this source"
            self._reject(url, name, reason, drafts, before, name)

    def _hold_back(self, url: str, name: str, seen: c.Seen) -> None:
        if seen.content is not None:
            self._held_back.setdefault(url, {})[name] = seen.content

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
        url, spec = source.url, seen.spec
        text = self._new_text(fleet, url, name, seen)
        account = budget.account_of(fleet.policy, name, spec)
        free = fleet.policy.record_budget == 0 or self._first
        due = self._due.get(account, 0)
        over = not free and budget.is_over(fleet, account, self._now, more=due)
        if over and self._must_wait(fleet, account, spec, text):
            self._hold_back(url, name, seen)
            if self.deferred.add(source, name, seen, account):
                reason = Rejected(name=shown(account), reason=budget.SPENT)
                drafts.append(Draft("observation_rejected", reason, url))
            return
        self.deferred.drop(url, name)
        self._held_back.get(url, {}).pop(name, None)
        unrecorded = over and text is not None
        if text is not None and spec.config is not None and not over:
            self.contents[spec.config] = text
            self._altered.discard(name)
        cost = 0
        if not free:
            cost = budget.EVENT + (0 if text is None or over else len(text))
            self._due[account] = due + cost
        self._said.get(url, {}).pop(name, None)  # what was wrong with it is mended
        self._failed.get(url, {}).pop(name, None)
        body = Announced(spec=spec, change=change, cost=cost, over_budget=unrecorded)
        drafts.append(Draft(kind, body, url, name))

    def _new_text(self, fleet: Fleet, url: str, name: str, seen: c.Seen) -> bytes | None:
        """The config text that is to be recorded with a change."""
        known, config = fleet.vassals.get(name), seen.spec.config
        if config is None:
            return None
        inline = seen.spec.path is None
        if inline and known is not None and known.spec.config == config:
            return seen.content if name in self._altered else None  # it is recorded already
        if seen.content is not None:
            return seen.content
        held_back = self._held_back.get(url, {}).get(name)
        return held_back if held_back is not None and digest(held_back) == config else None

    def _must_wait(self, fleet: Fleet, account: str, spec: Spec, text: bytes | None) -> bool:
        """Whether a change waits. An inline config cannot run without its text in the journal."""
        more = self._due.get(account, 0)
        far = budget.is_over(fleet, account, self._now, times=2, more=more)
        return far or (spec.path is None and text is not None)

    def _end(
        self, fleet: Fleet, url: str, seen: c.Vanished | c.Destroyed, drafts: list[Draft]
    ) -> None:
        self._held_back.get(url, {}).pop(seen.name, None)
        self.deferred.drop(url, seen.name)
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
        if new and self._may_reject(url, drafts):
            body = Rejected(name=shown(label), reason=reason)
            drafts.append(Draft("observation_rejected", body, url, vassal))

    def _may_reject(self, url: str, drafts: list[Draft]) -> bool:
        """Whether a rejection is recorded. Beyond the limit of its source it is counted only."""
        bucket = self._rejections.setdefault(url, Bucket(_REJECTIONS, _REJECTIONS / 3600))
        now = self._now / 1e9
        room = bucket.room(now)
        if room >= 1:
            bucket.fill(1, now)
            if room > _REJECTIONS / 2:
                self.uncounted.pop(url, None)
            return True
        if url not in self.uncounted:
            body = Rejected(name="...", reason=f"{_REJECTIONS} in an hour; others are only counted")
            drafts.append(Draft("observation_rejected", body, url))
        self.uncounted[url] = self.uncounted.get(url, 0) + 1
        return False


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

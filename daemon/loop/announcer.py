"""Announcements: a vassal that is new or changed, with its config text, within its budget.

A text is recorded with the event that needs it. A source need not give a text again that came with
a rejection or a change that waits, so those texts are kept.
"""

from collections.abc import Iterable
from typing import Final

from ...journal.chain import digest
from ...journal.events import Announced, Rejected, Restored, Spec
from ...monitors import contract as c
from ...monitors import preflight
from ...monitors.names import shown
from ..core import budget, target
from ..core.draft import Draft
from ..core.fleet import Fleet
from ..core.spec_order import in_order
from .deferred import Deferred, Source

_SELDOM: Final = 3600 * 10**9  # ns between two records that changes of an account wait
_MOST_TOLD: Final = 10_000  # accounts of which that is known


class Announcer:
    """Announces vassals. ``contents`` are config texts to be stored with the drafts.

    ``altered`` are vassals whose config text in the journal is not what was recorded. ``deferred``
    are changes that wait for room in the budget of their account.
    """

    def __init__(self, altered: Iterable[str]) -> None:
        self.contents: dict[str, bytes] = {}
        self.size = 0  # bytes of ``contents``
        self.altered = set(altered)
        self.deferred = Deferred()
        self._held_back: dict[str, dict[str, bytes]] = {}  # url -> name -> text
        self._told: dict[tuple[str, str], int] = {}  # when changes of an account waited
        self._now = 0
        self._free = False
        self._due: dict[str, int] = {}  # by account, the cost of drafts that are not folded yet

    def begin(self, now: int, *, free: bool) -> None:
        """The announcements that follow are of this moment. Those that are free have no budget."""
        self._now, self._due, self._free = now, {}, free

    def begin_listing(self, fleet: Fleet, url: str, listing: c.Listing) -> None:
        """Forget vassals and changes of the source that it does not list any more."""
        self.deferred.keep(url, listing, fleet)
        held_back = self._held_back.get(url, {})
        for name in held_back.keys() - listing.seen.keys():
            del held_back[name]

    def hold_back(self, url: str, name: str, seen: c.Seen) -> None:
        """Keep the text of a config that is not accepted now."""
        if seen.content is not None:
            self._held_back.setdefault(url, {})[name] = seen.content

    def keep_text(self, seen: c.Seen) -> None:
        """Store the text with the next drafts, because its source may not give it again."""
        if seen.content is not None and seen.spec.config is not None:
            self._store(seen.spec.config, seen.content)

    def _store(self, config: str, text: bytes) -> None:
        self.contents[config] = text
        self.size += len(text)

    def take_contents(self) -> dict[str, bytes]:
        """The config texts that are to be stored with the drafts since the last call."""
        contents, self.contents, self.size = self.contents, {}, 0
        return contents

    def forget(self, url: str, name: str) -> None:
        """The source has the vassal no longer."""
        self._held_back.get(url, {}).pop(name, None)
        self.deferred.drop(url, name)

    def announce(
        self,
        fleet: Fleet,
        source: Source,
        name: str,
        seen: c.Seen,
        change: str,
        drafts: list[Draft],
        kind: str,
    ) -> bool:
        """Add the draft of a vassal; False if the change has to wait."""
        url, spec = source.url, seen.spec
        text = self._new_text(fleet, url, name, seen)
        account = budget.account_of(fleet.policy, name, spec)
        free = fleet.policy.record_budget == 0 or self._free
        due = self._due.get(account, 0)
        over = not free and budget.is_over(fleet, account, self._now, more=due)
        if over and self._must_wait(fleet, account, spec, text):
            self.hold_back(url, name, seen)
            if self.deferred.add(source, name, seen, account) and self._may_tell(url, account):
                reason = Rejected(name=shown(account), reason=budget.SPENT)
                drafts.append(Draft("observation_rejected", reason, url))
            return False
        self.deferred.drop(url, name)
        self._held_back.get(url, {}).pop(name, None)
        unrecorded = over and text is not None
        if text is not None and spec.config is not None and not over:
            self._store(spec.config, text)
            self.altered.discard(name)
        cost = 0
        if not free:
            cost = budget.EVENT + (0 if text is None or over else len(text))
            self._due[account] = due + cost
        bound = self._bound(fleet, name, spec, None if over else text)
        body = Announced(
            spec=in_order(spec), change=change, cost=cost, over_budget=unrecorded, bound=bound
        )
        drafts.append(Draft(kind, body, url, name))
        return True

    def _may_tell(self, url: str, account: str) -> bool:
        """Whether to record that changes of an account wait.

        Not each time: a source may take a change back and make it again without end.
        """
        told = self._told.get((url, account))
        if told is not None and self._now - told < _SELDOM:
            return False
        self._told.pop((url, account), None)
        if len(self._told) >= _MOST_TOLD:
            del self._told[next(iter(self._told))]
        self._told[url, account] = self._now
        return True

    def _new_text(self, fleet: Fleet, url: str, name: str, seen: c.Seen) -> bytes | None:
        """The config text that is to be recorded with a change."""
        known, config = fleet.vassals.get(name), seen.spec.config
        if config is None:
            return None
        inline = seen.spec.path is None
        if inline and known is not None and known.spec.config == config:
            return seen.content if name in self.altered else None  # it is recorded already
        if seen.content is not None:
            return seen.content
        held_back = self._held_back.get(url, {}).get(name)
        return held_back if held_back is not None and digest(held_back) == config else None

    def _bound(self, fleet: Fleet, name: str, spec: Spec, text: bytes | None) -> str:
        """Why a text that is about to be recorded could not be run from a copy."""
        if not target.runs_file(spec) or spec.bar is not None:
            return ""
        if text is not None:
            return preflight.bound_by(text)
        known = fleet.vassals.get(name)
        if known is not None and known.spec.config == spec.config is not None:
            return known.bound
        return target.NOT_RECORDED

    def _must_wait(self, fleet: Fleet, account: str, spec: Spec, text: bytes | None) -> bool:
        """Whether a change waits. An inline config cannot run without its text in the journal."""
        more = self._due.get(account, 0)
        far = budget.is_over(fleet, account, self._now, times=2, more=more)
        return far or (spec.path is None and text is not None)

    def restore(self, fleet: Fleet, content: bytes, drafts: list[Draft]) -> None:
        """Put a text back for all vassals that have it. They run it, so none is reloaded."""
        config = digest(content)
        self._store(config, content)
        for name in sorted(self.altered):
            vassal = fleet.vassals.get(name)
            if vassal is not None and vassal.spec.config == config:
                self.altered.discard(name)
                body = Restored(config=config)
                drafts.append(Draft("config_restored", body, vassal.monitor, name))

"""Rejections: each one is recorded once, and not more than so many of one source in an hour.

``Present`` has those that last. A vassal whose source has something that is rejected runs as it was
told before, so the fleet alone does not tell.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from ...journal.events import Rejected
from ...journal.leaky_bucket import Bucket
from ...monitors.names import shown
from ..core.draft import Draft
from ..core.fleet import Fleet

_MOST_REMEMBERED: Final = 1000  # rejections of one source
_LIMIT: Final = 10_000  # of one source that are recorded at once; as many more an hour

Said = Mapping[str, set[str]]  # label -> the reasons that were given


class Rejection(NamedTuple):
    """The reason of a rejection that lasts, and since when in UTC nanoseconds."""

    since: int
    reason: str


class Present:
    """The rejections that last, by source and label.

    A listing may have several reasons for one label. Each of them has its time; the last one is
    told.
    """

    def __init__(self) -> None:
        self._now: dict[str, dict[str, dict[str, int]]] = {}  # since when, by reason
        self._former: dict[str, dict[str, dict[str, int]]] = {}  # while a listing is being taken

    def begin_listing(self, url: str) -> None:
        """A listing says anew what it rejects. Until it has, those before it last."""
        self._former[url] = self._now.pop(url, {})

    def end_listing(self, url: str) -> None:
        self._former.pop(url, None)

    def add(self, url: str, label: str, reason: str, at: int) -> None:
        """Something is rejected, at that time in UTC nanoseconds. It may have been before."""
        now, former = self._now.setdefault(url, {}), self._former.get(url)
        known = now.get(label, {})
        since = known.pop(reason, at)
        if former is None:  # single news: its reason replaces the one before
            known = {}
        else:
            since = min(since, former.get(label, {}).get(reason, at))
        now[label] = {**known, reason: since}

    def forget(self, url: str, label: str) -> None:
        """The source has something now that is not rejected. ``label`` may be a name as well."""
        for rejections in (self._now.get(url), self._former.get(url)):
            if rejections:
                rejections.pop(label, None)
                rejections.pop(shown(label), None)

    def of_vassals(self, fleet: Fleet) -> dict[str, Rejection]:
        """Those of vassals of the same source, by name."""
        found: dict[str, Rejection] = {}
        hidden: dict[str, str] | None = None  # names that are not printable, by label
        for url in fleet.monitors:
            lasting = {**self._former.get(url, {}), **self._now.get(url, {})}
            for label, reasons in lasting.items():
                name = label
                if label not in fleet.vassals and "\\" in label:
                    if hidden is None:
                        hidden = {shown(each): each for each in fleet.vassals}
                    name = hidden.get(label, label)
                vassal = fleet.vassals.get(name)
                if vassal is not None and vassal.monitor == url and vassal.wanted:
                    reason, since = next(reversed(reasons.items()))
                    found[name] = Rejection(since, reason)
        return found


class Rejections:
    """Remembers which rejections were recorded.

    ``uncounted`` is the number of rejections that are not recorded, by source.
    """

    def __init__(self) -> None:
        self.uncounted: dict[str, int] = {}
        self.present = Present()
        self._said: dict[str, dict[str, set[str]]] = {}  # url -> label -> reasons
        self._buckets: dict[str, Bucket] = {}  # by source
        self._now = 0

    def begin(self, now: int) -> None:
        """The rejections that follow are of this moment."""
        self._now = now

    def begin_listing(self, url: str) -> Said:
        """A listing says anew what it rejects. The rejections before it."""
        self.present.begin_listing(url)
        before = self._said.get(url, {})
        self._said[url] = {}
        return before

    def has(self, url: str) -> bool:
        """Whether something of this source is rejected."""
        return bool(self._said.get(url))

    def forget(self, url: str, label: str) -> None:
        """The source has mended this one."""
        self.present.forget(url, label)
        self._said.get(url, {}).pop(label, None)

    def reject(
        self,
        url: str,
        label: str,
        reason: str,
        drafts: list[Draft],
        before: Said | None = None,
        vassal: str | None = None,
    ) -> None:
        """Add a draft if the rejection is new. ``before``: those before the listing it is from."""
        said = self._said.setdefault(url, {})
        known = (said if before is None else before).get(label, ())
        new = reason not in known
        # A listing bounds itself. A source that announces vassals could go on for ever.
        if before is None and len(said) >= _MOST_REMEMBERED and label not in said:
            oldest = next(iter(said))
            del said[oldest]
            self.present.forget(url, oldest)
        said.setdefault(label, set()).add(reason)
        self.present.add(url, label, reason, self._now)
        if new and self._has_room(url, drafts):
            body = Rejected(name=shown(label), reason=reason)
            drafts.append(Draft("observation_rejected", body, url, vassal))

    def _has_room(self, url: str, drafts: list[Draft]) -> bool:
        """Whether a rejection is recorded. Beyond the limit of its source it is counted only."""
        bucket = self._buckets.setdefault(url, Bucket(_LIMIT, _LIMIT / 3600))
        now = self._now / 1e9
        room = bucket.room(now)
        if room >= 1:
            bucket.fill(1, now)
            if room > _LIMIT / 2:
                self.uncounted.pop(url, None)
            return True
        if url not in self.uncounted:
            body = Rejected(name="...", reason=f"{_LIMIT} in an hour; others are only counted")
            drafts.append(Draft("observation_rejected", body, url))
        self.uncounted[url] = self.uncounted.get(url, 0) + 1
        return False

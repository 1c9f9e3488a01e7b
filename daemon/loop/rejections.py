"""Rejections: each one is recorded once, and not more than so many of one source in an hour."""

from collections.abc import Mapping
from typing import Final

from ...journal.events import Rejected
from ...journal.leaky_bucket import Bucket
from ...monitors.names import shown
from ..core.draft import Draft

_MOST_REMEMBERED: Final = 1000  # rejections of one source
_LIMIT: Final = 10_000  # of one source that are recorded at once; as many more an hour

Said = Mapping[str, set[str]]  # label -> the reasons that were given


class Rejections:
    """Remembers which rejections were recorded.

    ``uncounted`` is the number of rejections that are not recorded, by source.
    """

    def __init__(self) -> None:
        self.uncounted: dict[str, int] = {}
        self._said: dict[str, dict[str, set[str]]] = {}  # url -> label -> reasons
        self._buckets: dict[str, Bucket] = {}  # by source
        self._now = 0

    def begin(self, now: int) -> None:
        """The rejections that follow are of this moment."""
        self._now = now

    def begin_listing(self, url: str) -> Said:
        """A listing says anew what it rejects. The rejections before it."""
        before = self._said.get(url, {})
        self._said[url] = {}
        return before

    def has(self, url: str) -> bool:
        """Whether something of this source is rejected."""
        return bool(self._said.get(url))

    def forget(self, url: str, label: str) -> None:
        """The source has mended this one."""
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
            del said[next(iter(said))]
        said.setdefault(label, set()).add(reason)
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

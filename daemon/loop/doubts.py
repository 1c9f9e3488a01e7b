"""Doubts: a listing that lacks most vassals of its source removes none until the next one agrees.

A directory that is not mounted and a table that is being rebuilt look like a source without
vassals. One listing must not stop a whole fleet.
"""

from typing import Final

from ...journal.events import Doubted
from ...monitors import contract as c
from ..core.draft import Draft
from ..core.fleet import Fleet

DOUBT_FROM: Final = 5  # vassals


class Doubts:
    """``missing``: by source, the vassals that its last listing lacked, if it is doubted."""

    def __init__(self) -> None:
        self.missing: dict[str, set[str]] = {}

    def of_listing(
        self, fleet: Fleet, url: str, listing: c.Listing
    ) -> tuple[list[Draft], list[str]]:
        """The drafts if the listing is doubted, and the vassals that are to be removed."""
        if not self.missing.get(url) and not _lacks(fleet, url, listing):
            return [], []
        owned = [v.name for v in fleet.vassals.values() if v.monitor == url and v.wanted]
        # A config that cannot be read is still there.
        missing = {
            name for name in owned if name not in listing.seen and name not in listing.refused
        }
        drafts: list[Draft] = []
        if len(missing) >= DOUBT_FROM and len(missing) * 2 > len(owned):
            doubted = self.missing.get(url, set())
            self.missing[url] = missing
            fresh = missing - doubted
            missing = missing & doubted
            if fresh:
                body = Doubted(missing=tuple(sorted(fresh)), known=len(owned))
                drafts.append(Draft("listing_doubted", body, url))
        else:
            self.missing.pop(url, None)
        return drafts, [name for name in owned if name in missing]


def _lacks(fleet: Fleet, url: str, listing: c.Listing) -> bool:
    return any(
        vassal.monitor == url and name not in listing.seen for name, vassal in fleet.vassals.items()
    )

"""Errors of the daemon's own about one vassal, while it looks at an observation."""

import logging
from typing import Final

from ...journal.events import Spec
from ...monitors import contract as c
from ...monitors.names import shown
from ..core.draft import Draft
from ..core.fleet import Fleet
from ..host import failures

log = logging.getLogger("emperor")

_MOST_REMEMBERED: Final = 1000  # errors of one source


class OwnErrors:
    """Bars the vassal at fault, and records each error once."""

    def __init__(self) -> None:
        self._told: dict[str, dict[str, tuple[str, Spec | None]]] = {}  # url -> name -> error

    def forget(self, url: str, name: str) -> None:
        """The vassal is announced without an error."""
        self._told.get(url, {}).pop(name, None)

    def fail(
        self,
        fleet: Fleet,
        url: str,
        name: str,
        error: Exception,
        drafts: list[Draft],
        seen: c.Seen | None = None,
    ) -> None:
        """Add the draft that bars the vassal, if the error is new."""
        spec = None if seen is None else seen.spec
        body = failures.failed("observe", error, spec=spec)
        known = self._told.setdefault(url, {})
        if known.get(name) == (body.reason, spec):
            return
        if len(known) >= _MOST_REMEMBERED and name not in known:
            del known[next(iter(known))]
        known[name] = (body.reason, spec)
        log.error("%s: error about %s: %s", url, shown(name), failures.describe(error))
        vassal = fleet.vassals.get(name)
        if vassal is None or vassal.monitor == url:
            drafts.append(Draft("vassal_failed", body, url, name))

"""The reload that a vassal has not confirmed, followed through its record.

The fold keeps it as ``Vassal.reload_at``. A record of one vassal is read without a fold, so it is
found once more from the recorded orders.
"""

from collections.abc import Mapping
from typing import Any

from ..daemon.core import deaths, rules
from ..daemon.core.fleet import Fleet
from ..journal.events import Event


class ReloadOrder:
    """Follows the events of a vassal. ``fleet`` has the policy and the rules that count."""

    def __init__(self, fleet: Fleet) -> None:
        self._mercy = fleet.policy.mercy
        self._counts = rules.holds(fleet, rules.RELOAD_ENDS)
        self._since: int | None = None  # UTC nanoseconds
        self._control = True  # the daemon can talk to its process

    def take(self, event: Event, *, own: bool, spawns: bool, reloads: bool, taken: bool) -> None:
        """See an event: whether it is the vassal's, and what it ordered for its first instance.

        ``taken``: the second instance has taken the place of the first.
        """
        body: Any = event.body
        if own and event.kind == "adopted":
            self._control = body.control
        if spawns or taken:
            self._since, self._control = None, True
        elif own and event.kind == "vassal_accepting":
            self._since = None
        if reloads and self._counts:
            self._since = event.at

    def ended_it(self, event: Event, settings: Mapping[str, str]) -> bool:
        """Whether an ``exited`` of the vassal, which runs with these settings, is of the reload."""
        if self._since is None:
            return False
        confirms = self._control and "command" not in settings
        return deaths.is_of_reload(event, self._since, None if confirms else self._mercy, settings)

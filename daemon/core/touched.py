"""Which vassals the events since some moment may have changed.

A fold changes the vassal of its event and those that it orders about. An event of the whole fleet
may change any of them. With this, a caller looks at those few and not at all of a large fleet.
"""

from collections.abc import Iterable

from ...journal.events import Event
from .actions import Action
from .fleet import Fleet
from .fold import MOVES_NO_VASSAL


class Touched:
    """The vassals that may have changed. Call ``note`` after each fold.

    ``blocked`` are the names in the fleet's field of that name before the first event.
    """

    def __init__(self, blocked: Iterable[str] = (), *, all_of_them: bool = False) -> None:
        self.names: set[str] = set()
        self.all = all_of_them
        self._blocked = tuple(blocked)  # before the next event

    def note(self, fleet: Fleet, event: Event, actions: Iterable[Action]) -> None:
        """An event was folded, and ordered these actions."""
        if event.vassal is not None:
            self.names.add(event.vassal)
        elif event.kind not in MOVES_NO_VASSAL:
            self.all = True
        for action in actions:
            self.names.add(action.vassal)
        if fleet.turned:
            self.names.update(fleet.turned)
        if event.kind == "vassal_failed":
            self.names.update(getattr(event.body, "also", ()))
        if self._blocked or fleet.blocked:
            # A blocked vassal may begin when another one gives its address back.
            self.names.update(self._blocked)
            self._blocked = tuple(fleet.blocked)

    def among(self, fleet: Fleet) -> set[str]:
        """The names; with those of the fleet, where any vassal may have changed."""
        return self.names.union(fleet.vassals) if self.all else set(self.names)

    def clear(self) -> None:
        """Begin anew."""
        self.names.clear()
        self.all = False

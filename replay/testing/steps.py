"""The fixture ``replay``: a recorded history, folded again one step after the other.

    def test_the_deploy_is_accepted(replay):
        steps = replay("outage.history")
        steps.first(kind="vassal_changed", vassal="shop03.ini")
        assert steps.orders == ["reload shop03.ini"]
        steps.first(kind="vassal_accepting", vassal="shop03.ini")
        assert steps.vassals["shop03.ini"].phase == "accepting"

``actions`` are what this version orders; ``recorded`` are what the daemon ordered that day.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...daemon.core.actions import Action
from ...daemon.core.fleet import Fleet, Vassal
from ...journal.events import Event
from ..histories.history import Step
from ..rebuild import fold_one
from .orders import orders_of


class EndOfHistory(LookupError):
    """The history has no such event behind the one that was folded last."""


class Steps:
    """A history under way. Each step folds one or more events; none can be taken back."""

    def __init__(self, name: str, start: Fleet, events: Iterable[Step]) -> None:
        self.name = name
        self.state = start
        self.actions: list[Action] = []  # of the last event, by this version
        self._events = iter(events)
        self._last: Step | None = None

    # The last event

    @property
    def event(self) -> Event:
        """The event that was folded last. Raises EndOfHistory before the first step."""
        return self._current().event

    @property
    def seq(self) -> int:
        """The number of the last event; before the first step, of the start."""
        return self.state.seq

    @property
    def recorded(self) -> list[Action]:
        """The actions that are recorded of the last event."""
        return list(self._current().actions)

    @property
    def orders(self) -> list[str]:
        """``actions`` in words: ``["spawn a.ini"]``."""
        return orders_of(self.actions)

    @property
    def attempt(self) -> int | None:
        """The attempt that the last event is about, or else the present one of its vassal."""
        own = getattr(self.event.body, "attempt", None)
        if own is not None:
            return int(own)
        vassal = self.vassals.get(self.event.vassal or "")
        return None if vassal is None else vassal.attempt

    @property
    def vassals(self) -> Mapping[str, Vassal]:
        """The vassals by name, as they are after the last event."""
        return self.state.vassals

    def _current(self) -> Step:
        if self._last is None:
            raise EndOfHistory(f"{self.name}: no step was taken yet")
        return self._last

    # Steps

    def next(self) -> Event:
        """Fold the next event. Raises EndOfHistory behind the last one."""
        recorded = next(self._events, None)
        if recorded is None:
            raise EndOfHistory(f"{self.name}: event {self.seq} is the last one")
        self._last = recorded
        self.actions = fold_one(self.state, recorded.event)
        return recorded.event

    def until(self, seq: int) -> Event:
        """Fold up to event ``seq``, that one included. Raises EndOfHistory."""
        if seq <= self.seq:
            raise EndOfHistory(
                f"{self.name}: event {seq} was folded before event {self.seq};"
                " open the history again to step through it from its start"
            )
        while self.next().seq < seq:
            pass
        return self.event

    def first(self, *, kind: str | None = None, vassal: str | None = None, **body: Any) -> Event:
        """Fold up to the next event of this kind, vassal and fields. Raises EndOfHistory."""
        begin = self.seq
        for event in self:
            if _fits(event, kind, vassal, body):
                return event
        wanted = [f"{key} {value!r}" for key, value in _given(kind, vassal, body)]
        raise EndOfHistory(
            f"{self.name}: no event of {', '.join(wanted) or 'any kind'} is behind event {begin};"
            f" the last one is {self.seq}"
        )

    def __iter__(self) -> Iterator[Event]:
        """Fold the rest, event by event."""
        while True:
            try:
                yield self.next()
            except EndOfHistory:
                return


def _fits(event: Event, kind: str | None, vassal: str | None, body: Mapping[str, Any]) -> bool:
    if kind not in (None, event.kind) or vassal not in (None, event.vassal):
        return False
    return all(getattr(event.body, field, None) == value for field, value in body.items())


def _given(kind: str | None, vassal: str | None, body: Mapping[str, Any]) -> Iterator[Any]:
    yield from ((k, v) for k, v in (("kind", kind), ("vassal", vassal)) if v is not None)
    yield from body.items()

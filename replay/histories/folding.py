"""Folds a history: the actions of each event, and the states of the vassals that it changed."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ...daemon.core.fleet import Fleet, Vassal
from ...daemon.core.touched import Touched
from ...journal.events import Event
from ..rebuild import FoldFailed, fold_one
from .history import GONE, Expectation, History, Step

FACTS: Final = (
    "attempt", "config", "running", "deaths", "loyal", "due", "held", "deadline"
)  # fmt: skip


def facts(vassal: Vassal) -> dict[str, Any]:
    """The fields of a vassal that expectations have, without those that are the default.

    ``config`` is the wanted one, ``running`` that of its process where it is another.
    """
    running = None if vassal.running is None else vassal.running.config
    found = {
        "attempt": vassal.attempt,
        "config": vassal.spec.config,
        "running": None if running == vassal.spec.config else running,
        "deaths": vassal.deaths,
        "loyal": vassal.loyal,
        "due": vassal.due,
        "held": vassal.held,
        "deadline": vassal.deadline,
    }
    return {key: value for key, value in found.items() if value not in (None, False, 0)}


def state_of(fleet: Fleet, name: str) -> Expectation:
    """The state of a vassal as an expectation has it."""
    vassal = fleet.vassals.get(name)
    if vassal is None:
        return Expectation(name, GONE)
    return Expectation(name, vassal.phase, facts(vassal))


class Folding:
    """A fleet that is folded on, and the states of its vassals."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self._states = {name: state_of(fleet, name) for name in fleet.vassals}
        self._touched = Touched(fleet.blocked)

    def take(self, event: Event) -> Step:
        """Fold an event; the step with what this version decides.

        Raises FoldFailed, NewerFormat.
        """
        actions = fold_one(self.fleet, event)
        self._touched.note(self.fleet, event, actions)
        changed = sorted(self._touched.among(self.fleet))
        self._touched.clear()
        return Step(event, tuple(actions), tuple(filter(self._is_new, map(self._now, changed))))

    def _now(self, name: str) -> Expectation:
        return state_of(self.fleet, name)

    def _is_new(self, state: Expectation) -> bool:
        before = self._states.get(state.vassal)
        if state.phase == GONE:
            return self._states.pop(state.vassal, None) is not None
        self._states[state.vassal] = state
        return state != before


def anew(history: History) -> History:
    """The history with the actions and expectations that this version decides.

    Raises FoldFailed, NewerFormat.
    """
    folding = Folding(history.fleet())
    return history.replaced(
        steps=tuple(
            msgspec.structs.replace(folding.take(step.event), comments=step.comments)
            for step in history.steps
        )
    )


def decided(history: History) -> Iterator[Step]:
    """The steps as this version decides them, up to the first event that it cannot fold."""
    folding = Folding(history.fleet())
    for step in history.steps:
        try:
            yield folding.take(step.event)
        except FoldFailed:
            return


def rewritten(history: History, line: str) -> History:
    """The history folded anew, with a line that says when and why; it stays in the header."""
    header = history.header
    header = msgspec.structs.replace(header, rewritten=(*header.rewritten, line))
    return anew(history).replaced(header=header)

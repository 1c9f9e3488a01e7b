"""The fleet that runs ahead of the journal: drafts are numbered and folded into it.

A turn folds each draft at once, so that the next input sees what it changed. The recorded fleet
gets the same events when they are durable. A turn that is given up is taken back here.
"""

import logging
from collections.abc import Iterator
from typing import Final

from ...journal import chain
from ...journal.errors import JournalError, NewerFormat
from ...journal.events import Announced, Event
from ..core import attempts, budget
from ..core.actions import Action, recorded
from ..core.checkpoints import States
from ..core.deploys import Deploys
from ..core.draft import Draft
from ..core.fleet import Fleet, copied
from ..core.fold import fold
from ..core.thinning import thinned
from ..host import failures
from .clock import Clock
from .deadlines import Deadlines, may_move
from .event_log import Line, say
from .turn import Folded, Input, Turn

log = logging.getLogger("emperor")

# Events that follow from the phase that a vassal is in, not from the last order.
_OF_PHASE: Final = ("deadline_passed", "connection_waiting", "listen_failed")


class Pending:
    """``fleet`` is the recorded one and the events that are being recorded.

    ``deploys`` is what became of each deploy, as far as ``fleet``.
    """

    def __init__(
        self, recorded: Fleet, deploys: Deploys, deadlines: Deadlines, clock: Clock
    ) -> None:
        self.fleet = copied(recorded)
        self.deploys = deploys
        self._states = States()
        self._recorded = recorded
        self._deadlines = deadlines
        self._clock = clock

    def checkpoint(self, _: object = None) -> Iterator[Draft]:
        """An input: a checkpoint of the fleet as it is when the input is read."""
        yield Draft("checkpoint", self._states.checkpoint(self.fleet))

    def read(self, given: Input) -> Iterator[Draft | None]:
        """The events of an input. One that raises has no more; its sender guards the others."""
        try:
            yield from given(self.fleet)
        except Exception as error:
            log.error("an input was given up: %s", failures.describe(error))

    def take(self, draft: Draft, turn: Turn) -> None:
        """Fold a draft, unless it is thinned out, and a checkpoint when one is due."""
        given = thinned(self.fleet, draft, self._clock.now)
        if given is None:
            return
        self._take(given, turn)
        if self._states.is_due(self.fleet):
            for due in self.checkpoint():
                self._take(due, turn)

    def _take(self, draft: Draft, turn: Turn) -> None:
        """Fold a draft. If the fold raises, that is recorded and bars the vassal at fault.

        The draft is folded again when another vassal was at fault than the one that a source
        announced. An event that happened is recorded even if the daemon fails on it.
        """
        blamed: set[str] = set()
        while True:
            try:
                turn.folded.append(self._fold(draft))
                return
            except NewerFormat:
                raise
            except Exception as error:
                self._restore(turn)
                log.error("error in the fold of %s: %s", draft.kind, failures.describe(error))
                verdict = self._skip(draft, turn, error)
            if verdict is None or verdict.vassal is None:
                if draft.kind == "daemon_started":
                    raise JournalError("the daemon cannot take its journal over: see its log")
                return
            if draft.kind == "vassal_failed":
                more = failures.also(draft, verdict.vassal)
                if more is None:
                    return
                draft = more
                continue
            if verdict.vassal not in blamed:
                self._take(verdict, turn)
            announced = isinstance(draft.body, Announced) and verdict.vassal == draft.vassal
            if announced or verdict.vassal in blamed:
                return
            blamed.add(verdict.vassal)

    def give_up(self, turn: Turn) -> None:
        """Take a whole turn back."""
        turn.folded.clear()
        self._go_back(copied(self._recorded))
        self.deploys = turn.deploys
        self._deadlines.plan_all(self.fleet)

    def _skip(self, draft: Draft, turn: Turn, error: Exception) -> Draft | None:
        """Record a draft on which the fold raised, if it can be. The draft that is to follow."""
        seq = None
        if failures.can_be_recorded((draft.kind, draft.monitor, draft.vassal, draft.body)):
            turn.folded.append(self._fold(draft, failed=True))
            seq = self.fleet.seq
        return failures.of_fold(self.fleet, draft, seq, error)

    def _restore(self, turn: Turn) -> None:
        """Have the fleet as it was before the draft that raised: as recorded, and this turn's."""
        fleet = copied(self._recorded)
        for each in turn.folded:
            fold(fleet, each.event)
        self._go_back(fleet)

    def _go_back(self, fleet: Fleet) -> None:
        """Have that fleet, in place: inputs that are being read have the one that runs ahead."""
        for field in fleet.__struct_fields__:
            setattr(self.fleet, field, getattr(fleet, field))
        self._states.forget()

    def _fold(self, draft: Draft, *, failed: bool = False) -> Folded:
        """Number a draft and fold it."""
        at = self._clock.stamp()
        draft = budget.trimmed(self.fleet, draft, at)
        cause = draft.cause
        if cause is None and draft.vassal is not None:
            cause = self._cause(draft)
        body = chain.text(draft.body)
        event = Event(
            self.fleet.seq + 1,
            at,
            draft.kind,
            draft.monitor,
            draft.vassal,
            cause,
            draft.body,
            failed,
        )
        moved = may_move(self.fleet, draft.kind, draft.vassal)
        actions = self.deploys.take(self.fleet, event, fold=fold)
        self._states.note(self.fleet, event, actions)
        moved.update(getattr(draft.body, "also", ()), self.fleet.turned)
        moved.update([action.vassal for action in actions])
        self._deadlines.plan(self.fleet, moved)
        self._deadlines.rollouts.plan(self.fleet)
        row = (
            event.seq, event.at, event.kind, event.monitor, event.vassal, cause, body,
            recorded(actions, failed=failed),
        )  # fmt: skip
        return Folded(event, row, actions, [] if failed else _lines(event, self.fleet, actions))

    def _cause(self, draft: Draft) -> int | None:
        """A vassal's news follows from the last order; a deadline, from the event that set it."""
        vassal = self.fleet.vassals.get(draft.vassal or "")
        if vassal is None or draft.monitor is not None or draft.kind == "operator_requested":
            return None
        its = attempts.of_attempt(vassal, getattr(draft.body, "attempt", None))
        vassal = vassal if its is None else its
        return vassal.because if draft.kind in _OF_PHASE else vassal.order


def _lines(event: Event, fleet: Fleet, actions: list[Action]) -> list[Line]:
    """The lines for the log. An error in that is about no vassal's life."""
    try:
        return say(event, fleet, actions)
    except Exception as error:
        log.error("event %d has no line: %s", event.seq, failures.describe(error))
        return []

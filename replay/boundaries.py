"""Deploys that are open where a segment of a journal begins, and what becomes of them in it.

The fold of a segment begins with a stored fleet. That does not tell which deploys were open then,
nor their state: only the fold of the segment before tells. Therefore a placeholder stands for the
deploy that each vassal may have open, and each event that may say something of it is noted. A
placeholder is settled by such events only that settle any deploy, so the notes end soon. None is
settled while its vassal may be rolled back. When both segments are folded, the notes are applied to
the deploys that really were open.
"""

from collections.abc import Iterable, Sequence
from copy import copy

import msgspec

from ..daemon.core.actions import Action
from ..daemon.core.deaths import Result
from ..daemon.core.deploys import Deploy, Deploys
from ..daemon.core.fleet import Fleet, Phase, Vassal
from ..daemon.core.rollout import Rollout
from ..daemon.core.rollout_moves import is_held_back
from ..daemon.core.trial import is_on_trial
from ..journal.events import Event
from ..journal.policy import Policy
from ..journal.reading import Reader


class Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event that may say something of the deploy that a vassal had open.

    ``vassal`` is what that was after the event, ``phase`` the one before it. With ``order``, the
    event gave it. ``superseded``: the event is the next deploy of the name. ``by_rollout``: the
    event is about its rollout. ``held_back``: its change was so after the event.
    """

    seq: int
    name: str
    vassal: Vassal | None = None
    phase: Phase | None = None
    order: Action | None = None
    patience: float = 0.0
    superseded: bool = False
    second: int | None = None  # the candidate that it had before the event
    result: Result | None = None  # of the end that the event tells
    by_rollout: bool = False
    held_back: bool = False


class Following(Deploys):
    """Follows the fold of a segment that begins with a stored fleet."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(
            _placeholder(number, fleet.at, name) for number, name in enumerate(fleet.vassals, 1)
        )
        self.notes: list[Note] = []

    @property
    def takes_notes(self) -> bool:
        """Whether a placeholder is open, so that an event may say something of it."""
        return any(deploy.seq < 0 for deploy in self.open.values())

    def without_notes(self) -> Deploys:
        """The same where it takes no notes any more. It need not look for placeholders."""
        follower = Deploys(self.open.values())
        follower.touched, follower.lost = self.touched, self.lost
        return follower

    def look(self, fleet: Fleet, event: Event, phase: Phase | None, name: str) -> None:
        if self.open[name].seq < 0:
            vassal, patience = _copied(fleet, name), fleet.policy.start_patience
            second, result = self.second, self.result
            held_back = _is_held_back(fleet, vassal)
            note = Note(
                event.seq, name, vassal, phase,
                patience=patience, second=second, result=result, held_back=held_back,
            )  # fmt: skip
            self.notes.append(note)
        placeholder = self.open[name]
        super().look(fleet, event, phase, name)
        if placeholder.seq < 0 and name not in self.open and _may_go_back(fleet, name):
            # The one that was open may be accepting. Then only the end of its trial settles it.
            self.open[name] = _placeholder(-placeholder.seq, placeholder.at, name)

    def see_rollout(self, fleet: Fleet, event: Event, name: str) -> None:
        if self.open[name].seq < 0:
            vassal = _copied(fleet, name)
            held_back = _is_held_back(fleet, vassal)
            note = Note(event.seq, name, vassal, by_rollout=True, held_back=held_back)
            self.notes.append(note)
        super().see_rollout(fleet, event, name)

    def order(self, fleet: Fleet, event: Event, actions: Sequence[Action]) -> None:
        for action in actions:
            deploy = self.open.get(action.vassal)
            if deploy is not None and deploy.seq < 0:
                vassal = _copied(fleet, action.vassal)
                patience = fleet.policy.start_patience
                self.notes.append(
                    Note(event.seq, action.vassal, vassal, order=action, patience=patience)
                )
        super().order(fleet, event, actions)

    def supersede(self, name: str, event: Event) -> None:
        deploy = self.open.get(name)
        if deploy is not None and deploy.seq < 0:
            self.notes.append(Note(event.seq, name, superseded=True))
        super().supersede(name, event)


def _placeholder(number: int, at: int, name: str) -> Deploy:
    # Not a kind that deploys: an operator's stop settles only those, and not all of them.
    return Deploy(-number, at, name, None, "vassal_removed", None, None)


def _may_go_back(fleet: Fleet, name: str) -> bool:
    vassal = fleet.vassals.get(name)
    return vassal is not None and not vassal.is_open and is_on_trial(vassal)


def _is_held_back(fleet: Fleet, vassal: Vassal | None) -> bool:
    return vassal is not None and is_held_back(fleet, vassal)


def _copied(fleet: Fleet, name: str) -> Vassal | None:
    """A vassal as it is, without the parts that say nothing of a deploy and take much memory."""
    vassal = fleet.vassals.get(name)
    if vassal is not None:
        vassal = copy(vassal)
        vassal.running, vassal.last, vassal.died = None, None, ()
        vassal.candidate = copy(vassal.candidate)
    return vassal


class Unknown(Exception):
    """A deploy is open of which no note was taken."""


def applied(
    reader: Reader,
    before: Iterable[Deploy],
    notes: Iterable[Note],
    names: Iterable[str],
    until: int,
) -> tuple[list[Deploy], list[Deploy]]:
    """Follow the deploys from ``before``: those that are settled in the end, and those still open.

    ``names`` are the vassals of which notes were taken, up to the time ``until``. Raises Unknown.
    """
    deploys = list(before)
    if not {deploy.vassal for deploy in deploys} <= set(names):
        raise Unknown
    follower = Deploys(deploys)
    for note in notes:
        if note.name not in follower.open:
            continue
        row = reader.row(note.seq)
        if row is None:
            raise Unknown
        event = reader.decode(row)
        follower.end_trials(event.at)
        if note.name in follower.open:
            _apply(follower, note, event)
    follower.end_trials(until)
    still = list(follower.open.values())
    return [deploy for deploy in deploys if deploy.settled], still


def _apply(follower: Deploys, note: Note, event: Event) -> None:
    fleet = Fleet(policy=Policy(start_patience=note.patience))
    if note.vassal is not None:
        fleet.vassals[note.name] = note.vassal
        if note.held_back and note.vassal.waits_in is not None:
            rollout = Rollout(note.vassal.waits_in, event.at, note.vassal.monitor, 1)
            rollout.held = event.seq
            fleet.rollouts[rollout.seq] = rollout
    if note.superseded:
        follower.supersede(note.name, event)
    elif note.by_rollout:
        follower.see_rollout(fleet, event, note.name)
    elif note.order is not None:
        follower.order(fleet, event, [note.order])
    else:
        follower.second, follower.result = note.second, note.result
        follower.look(fleet, event, note.phase, note.name)

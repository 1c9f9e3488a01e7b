"""Moves of preflights: the check of a change has passed, or the change is refused."""

from typing import Any

from ...journal.events import Event
from . import source_moves as s
from . import target, trial
from .fleet import Fleet, Vassal
from .starts import begin
from .steps import Actions


def approve(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Held: its next start is with the wanted config."""
    trial.note_time(fleet, vassal, event)
    before = vassal.aim
    target.settle(vassal)
    target.turn_to(vassal, before)


def approve_stopping(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Its next start is with the wanted config, and its past is forgiven as by any change."""
    approve(fleet, vassal, event, actions)
    vassal.deaths = 0


def approve_queued(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    had_target = vassal.kept is not None
    approve(fleet, vassal, event, actions)
    change = s.queue_anew if had_target else s.begin_anew
    change(fleet, vassal, event, actions)


def approve_down(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    approve(fleet, vassal, event, actions)
    s.begin_anew(fleet, vassal, event, actions)


def approve_listening(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    approve(fleet, vassal, event, actions)
    s.listen_anew(fleet, vassal, event, actions)


def approve_up(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    approve(fleet, vassal, event, actions)
    s.amend_now(fleet, vassal, event, actions)


def refuse(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It goes on as it is: with the config from before, or held, or barred."""
    body: Any = event.body
    target.refuse(vassal, event, body.reason)


def refuse_waiting(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """No process: without a config from before it is barred."""
    refuse(fleet, vassal, event, actions)
    if vassal.target is None:
        begin(fleet, vassal, event, actions)


def check_again(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """An operator wants its refused change to be tried again."""
    if not target.may_check_again(vassal):
        return
    if not target.try_again(fleet, vassal, event, actions):
        return
    if vassal.phase in ("starting", "ready", "accepting", "reloading"):
        s.amend_now(fleet, vassal, event, actions)
    elif vassal.phase == "queued":
        s.queue_anew(fleet, vassal, event, actions)
    elif vassal.phase == "listening":
        s.listen_anew(fleet, vassal, event, actions)

"""Moves of an operator's rollback: to a former config, and back to the wanted one."""

from typing import Any

from ...journal.events import Event
from . import rollback, slots, target
from . import source_moves as s
from .actions import Action
from .fleet import Fleet, Vassal
from .steps import Actions


def go_back(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> bool:
    """Have the config of the request as its target; False where it cannot be."""
    body: Any = event.body
    if body.back_to is None or event.vassal is None or not vassal.wanted:
        return False
    spec = rollback.as_target(fleet, vassal, body.back_to)
    if spec is None:
        return False
    if vassal.check is not None:
        actions.append(Action("uncheck", vassal.name))
    by = "an operator" if body.uid is None else f"uid {body.uid}"
    why = f": {body.reason}" if body.reason else ""
    rollback.take_back(vassal, event, spec, f"{by} asked for it{why}")
    return True


def go_back_stopping(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Its next start is with that config."""
    go_back(fleet, vassal, event, actions)


def go_back_queued(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    had_target = vassal.target is not None
    if go_back(fleet, vassal, event, actions):
        change = s.queue_anew if had_target else s.begin_anew
        change(fleet, vassal, event, actions)


def go_back_down(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    if go_back(fleet, vassal, event, actions):
        s.begin_anew(fleet, vassal, event, actions)


def go_back_listening(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    if go_back(fleet, vassal, event, actions):
        s.listen_anew(fleet, vassal, event, actions)


def go_back_up(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    if not go_back(fleet, vassal, event, actions):
        return
    if vassal.phase != "reloading" and rollback.runs_target(vassal):
        # A reload that waits would be one to the wanted text.
        vassal.due = vassal.anew
        vassal.opening = vassal.unopened = None
        if not vassal.due:
            slots.leave(fleet, vassal.name)
        return
    s.amend_now(fleet, vassal, event, actions)


def cancel(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> bool:
    """Have the wanted config as its target again. Where it has a preflight, that has to pass."""
    refused = vassal.refused
    if refused is None or not refused.rolled_back:
        return False
    before = vassal.aim
    rollback.begin_anew(vassal)
    if target.has_preflight(fleet, vassal.spec):
        target.order(vassal, event, actions)
        return False
    target.settle(vassal)
    target.turn_to(vassal, before)
    vassal.deaths = 0
    return True


def cancel_later(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Held, or being stopped: its next start is with the wanted config."""
    cancel(fleet, vassal, event, actions)


def cancel_queued(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    if cancel(fleet, vassal, event, actions):
        s.queue_anew(fleet, vassal, event, actions)


def cancel_down(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    if cancel(fleet, vassal, event, actions):
        s.begin_anew(fleet, vassal, event, actions)


def cancel_listening(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    if cancel(fleet, vassal, event, actions):
        s.listen_anew(fleet, vassal, event, actions)


def cancel_up(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    if cancel(fleet, vassal, event, actions):
        s.amend_now(fleet, vassal, event, actions)

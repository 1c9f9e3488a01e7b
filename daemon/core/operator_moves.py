"""Moves of what operators ask."""

from typing import Any

from ...journal.events import Event
from . import rules, slots
from .fleet import Fleet, Hold, Vassal
from .reloads import ask_reload, end_hung_start, reload
from .starts import begin
from .steps import Actions, close_socket, end, enter


def hold(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    _note_hold(fleet, vassal, event)
    close_socket(vassal, actions)
    slots.leave(fleet, vassal.name)
    enter(vassal, "held", event, "stopped by an operator")


def stop_and_hold(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    _note_hold(fleet, vassal, event)
    if vassal.phase != "stopping":
        end(fleet, vassal, event, actions, "stop", "stopped by an operator")


def release(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Held, throttled or barred: an operator wants it started now."""
    if vassal.done and event.vassal is None:
        return  # it was not named, and its work is over
    vassal.held, vassal.hold = False, None
    vassal.deaths = 0
    vassal.earliest = vassal.failed = vassal.late = None
    begin(fleet, vassal, event, actions)


def unhold(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It starts again after, and its past is forgiven as if it had stopped already."""
    vassal.held, vassal.hold = False, None
    vassal.deaths = 0
    vassal.earliest = vassal.failed = vassal.late = None


def start_anew(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Stop it and start it again, at once if it holds a slot, else when it gets one.

    Its past is forgiven, as by a start.
    """
    if not rules.holds(fleet, rules.RESTART):
        return
    vassal.deaths = 0
    if vassal.slot:
        vassal.due = vassal.anew = True
        reload(fleet, vassal, event, actions)
    elif vassal.phase == "starting":
        end_hung_start(fleet, vassal, event, actions)
    else:
        vassal.due = vassal.anew = True
        ask_reload(fleet, vassal, event, actions)


def _note_hold(fleet: Fleet, vassal: Vassal, event: Event) -> None:
    body: Any = event.body
    if not vassal.held and rules.holds(fleet, rules.ENDS):
        vassal.hold = Hold(event.seq, event.at, body.uid, body.loginuid)
    vassal.held = True

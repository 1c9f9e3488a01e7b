"""Moves of what operators ask."""

from ...journal.events import Event
from . import slots
from .fleet import Fleet, Vassal
from .starts import begin
from .steps import Actions, close_socket, end, enter


def hold(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    vassal.held = True
    close_socket(vassal, actions)
    slots.leave(fleet, vassal.name)
    enter(vassal, "held", event, "stopped by an operator")


def stop_and_hold(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    vassal.held = True
    if vassal.phase != "stopping":
        end(fleet, vassal, event, actions, "stop", "stopped by an operator")


def release(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Held, throttled or barred: an operator wants it started now."""
    if vassal.done and event.vassal is None:
        return  # it was not named, and its work is over
    vassal.held = False
    vassal.deaths = 0
    vassal.earliest = vassal.failed = None
    begin(fleet, vassal, event, actions)


def unhold(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It starts again after, and its past is forgiven as if it had stopped already."""
    vassal.held = False
    vassal.deaths = 0
    vassal.earliest = vassal.failed = None

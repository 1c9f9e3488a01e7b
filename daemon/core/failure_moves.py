"""Moves of the daemon's own errors.

They do as little as they can, as another error in one of them would leave the vassal as it is.
"""

from typing import Any

from ...journal.events import Event
from . import slots, target, trial
from .fleet import Fleet, Vassal
from .starts import after_stop
from .steps import Actions, close_socket, end, enter


def note_failure(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Take down the reason, and what its source had said when the error came."""
    body: Any = event.body
    reason = f"an error of the daemon in {body.place}: {body.reason}"
    if body.spec is not None and event.monitor is not None and vassal.name == event.vassal:
        vassal.spec, vassal.monitor = body.spec, event.monitor
        vassal.wanted, vassal.done = True, False
        target.distrust(fleet, vassal, event, actions, reason)
        vassal.good = None
    vassal.failed = reason


def fail(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """No process: it is barred."""
    note_failure(fleet, vassal, event, actions)
    vassal.exiled = vassal.done = False
    slots.leave(fleet, vassal.name)
    fleet.blocked.pop(vassal.name, None)
    close_socket(vassal, actions)
    enter(vassal, "barred", event, vassal.failed)


def fail_up(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It may have a process, which is stopped. It is barred when that has gone."""
    body: Any = event.body
    trial.note_time(fleet, vassal, event)
    note_failure(fleet, vassal, event, actions)
    if body.gone is not None and body.gone == vassal.attempt:
        after_stop(fleet, vassal, event, actions)
    elif vassal.phase != "stopping":
        end(fleet, vassal, event, actions, "stop", vassal.failed)


def add_failed(fleet: Fleet, event: Event, actions: Actions) -> None:
    """The error came when its source told of it for the first time: it is known, and barred."""
    body: Any = event.body
    if body.spec is None or event.monitor is None or event.vassal is None:
        return
    vassal = Vassal(event.vassal, event.monitor, body.spec, "queued", event.at, event.seq)
    fleet.vassals[event.vassal] = vassal
    fail(fleet, vassal, event, actions)

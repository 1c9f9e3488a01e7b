"""Moves of what programs notify besides that they are up (sd_notify(3)): reloads, stops, more time.

``READY=1`` is ``vassal_accepting``, as byte 5 of uWSGI. A program that has said ``RELOADING=1``
says it again when it has reloaded. Until then it is *reloading*, whether the daemon has ordered
that or not, and for no longer than a start may take.

A program that asks for more time for its start gives its slot back: others need not wait with it.
The time of a stop can be extended, too; not by a tenant, for whom the daemon's own stop would wait.
"""

from typing import Any

from ...journal.events import Event
from . import readiness, trial
from .fleet import Fleet, Vassal
from .steps import Actions, enter, free_slot, seconds
from .telling import RELOADS, STOPS, awaits_ready


def note_reloading(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It reloads, and will say that it is ready again."""
    deadline = event.at + seconds(readiness.timeout(fleet, vassal))
    if vassal.phase == "reloading":
        vassal.reason, vassal.deadline = RELOADS, deadline
    else:
        trial.note_time(fleet, vassal, event)
        enter(vassal, "reloading", event, RELOADS, deadline)


def note_stopping(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It ends by itself."""
    vassal.reason = STOPS


def extend_start(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It needs longer to start than ``ready-timeout``."""
    until = _until(event)
    if can_extend(fleet, vassal) and until > has_until(fleet, vassal, event.at):
        free_slot(fleet, vassal)
        vassal.reason, vassal.deadline = readiness.ASKED, until


def extend_reload(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It needs longer for the reload that it has told of."""
    if can_extend(fleet, vassal):
        vassal.deadline = max(vassal.deadline or 0, _until(event))


def extend_stop(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It needs longer to stop."""
    if can_extend(fleet, vassal):
        vassal.deadline = max(vassal.deadline or 0, _until(event))


def can_extend(fleet: Fleet, vassal: Vassal) -> bool:
    """Whether its start, reload or stop can be given more time."""
    match vassal.phase:
        case "starting":
            return awaits_ready(vassal)
        case "reloading":
            return vassal.reason == RELOADS
        case "stopping":
            return not fleet.policy.tyrant and vassal.killed is None
    return False


def has_until(fleet: Fleet, vassal: Vassal, at: int) -> int:
    """When the time of its start, reload or stop is over, as it is ``at`` this time."""
    end = vassal.deadline or 0
    return max(readiness.limit(fleet, vassal, at), end) if vassal.phase == "starting" else end


def _until(event: Event) -> int:
    body: Any = event.body
    return event.at + seconds(body.seconds)

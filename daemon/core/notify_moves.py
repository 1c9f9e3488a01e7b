"""Moves of what programs notify besides that they are up (sd_notify(3)): reloads, stops, more time.

``READY=1`` is ``vassal_accepting``, as byte 5 of uWSGI. A program that has said ``RELOADING=1``
says it again when it has reloaded. Until then it is *reloading*, whether the daemon has ordered
that or not, and for no longer than a start may take.

A program that asks for more time for its start gives its slot back: others need not wait with it.
The time of a stop can be extended, too; not by a tenant, for whom the daemon's own stop would wait.
"""

from typing import Any, Final

from ...journal.events import Event
from . import readiness
from .fleet import Fleet, Vassal
from .reloads import RELOADS, awaits_ready
from .steps import Actions, enter, free_slot, seconds

STOPS: Final = "says that it stops"


def note_reloading(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It reloads, and will say that it is ready again."""
    deadline = event.at + seconds(readiness.timeout(fleet, vassal))
    if vassal.phase == "reloading":
        vassal.reason, vassal.deadline = RELOADS, deadline
    else:
        enter(vassal, "reloading", event, RELOADS, deadline)


def note_stopping(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It ends by itself."""
    vassal.reason = STOPS


def extend_start(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It needs longer to start than ``ready-timeout``."""
    limit = max(readiness.limit(fleet, vassal, event), vassal.deadline or 0)
    until = _until(event)
    if awaits_ready(vassal) and until > limit:
        free_slot(fleet, vassal)
        vassal.reason, vassal.deadline = readiness.ASKED, until


def extend_reload(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It needs longer for the reload that it has told of."""
    if vassal.reason == RELOADS:
        vassal.deadline = max(vassal.deadline or 0, _until(event))


def extend_stop(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It needs longer to stop."""
    if not fleet.policy.tyrant and vassal.killed is None:
        vassal.deadline = max(vassal.deadline or 0, _until(event))


def _until(event: Event) -> int:
    body: Any = event.body
    return event.at + seconds(body.seconds)

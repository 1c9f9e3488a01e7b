"""Moves of the health of a vassal: what follows when its checks fail, or pass again.

The host counts the checks that fail in a row, and says when there are as many as the settings of
the process tell. With ``health-action = restart`` the process is then stopped, and its next start
waits as after a death. So a program that is never well is not restarted without a pause. With
``record``, or where ``restart = no`` wants no other start, that is noted and no more.

Journals of rules 1 have no such settings, so no rule tells the decisions apart.
"""

from typing import Any, Final

from ...journal.events import Event
from . import ends, rollback
from .fleet import Fleet, Vassal
from .starts import delay
from .steps import Actions, end
from .telling import explain

_UNHEALTHY: Final = "unhealthy"


def lose(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Its checks have failed: restart it, or note that."""
    body: Any = event.body
    times = "a check has" if body.failures == 1 else f"{body.failures} checks in a row have"
    reason = f"{_UNHEALTHY}: {times} failed"
    vassal.sick = event.at if vassal.sick is None else vassal.sick
    settings = vassal.aim.settings if vassal.running is None else vassal.running.settings
    if settings.get("health-action") == "record" or settings.get("restart") == "no":
        explain(vassal, reason)
        return
    vassal.deaths += 1
    vassal.earliest = event.at + delay(fleet, vassal)
    vassal.late = reason
    ends.note_death(fleet, vassal, event)
    rollback.fails(fleet, vassal, event, reason)
    end(fleet, vassal, event, actions, "stop", reason)


def regain(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """A check has passed again."""
    vassal.sick = None
    if vassal.reason is not None and vassal.reason.startswith(_UNHEALTHY):
        vassal.reason = None

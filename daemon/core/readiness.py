"""Starts of programs that are up only when their ``ready`` is met.

Such a program stays *starting* after its spawn. The host looks whether the condition is met, and
says so by ``vassal_accepting``. Two times limit that:

- ``--start-patience``: then it gives its slot to the next, and waits on.
- its ``ready-timeout``, or the same time without one: then the start has failed. The process is
  killed, and the next start waits as after a death. A program that notifies can ask for more.

Journals of rules 1 have no such settings, so no rule tells the decisions apart.
"""

from typing import Final

from ...journal import quantities
from ...journal.events import Event
from . import ends, rollback
from .fleet import Fleet, Vassal
from .starts import delay
from .steps import Actions, end, free_slot, seconds

ASKED: Final = "slow to start; it asked for more time"


def timed_out(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """A time of such a start is over: that of its slot, or that of the whole start."""
    until = limit(fleet, vassal, event.at)
    if event.at < until:
        free_slot(fleet, vassal)
        vassal.reason, vassal.deadline = "slow to start", until
        return
    vassal.deaths += 1
    vassal.earliest = event.at + delay(fleet, vassal)
    told = quantities.duration_text(timeout(fleet, vassal))
    more = " and the time that it asked for" if vassal.reason == ASKED else ""
    vassal.late = reason = f"was not ready within {told}{more}"
    ends.note_death(fleet, vassal, event)
    rollback.fails(fleet, vassal, event, reason)
    end(fleet, vassal, event, actions, "kill", reason)


def limit(fleet: Fleet, vassal: Vassal, at: int) -> int:
    """When the time of its start is over, which began ``at`` that time where it is not known."""
    began = at if vassal.launched is None else vassal.launched
    return began + seconds(timeout(fleet, vassal))


def timeout(fleet: Fleet, vassal: Vassal) -> float:
    """The seconds that such a start may take."""
    own = None if vassal.running is None else vassal.running.settings.get("ready-timeout")
    found = quantities.duration(own or "")
    return fleet.policy.start_patience if found is None else float(found)

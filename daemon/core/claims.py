"""The owner of a name, where several sources have a vassal of that name.

The order decides in which the sources were given to the daemon: the first that has the name owns
it. A later source gets the name when its owner lets go, or is no longer configured.
"""

from typing import Final

from ...journal.events import Event
from . import rules
from .fleet import Fleet, Vassal

_ANNOUNCED: Final = ("vassal_added", "vassal_changed")


def precedes(fleet: Fleet, source: str, owner: str) -> bool:
    """Whether a source was given before the owner of a name. Both are URLs."""
    monitors = fleet.monitors
    if source not in monitors or owner not in monitors:
        return False
    return monitors.index(source) < monitors.index(owner)


def is_free(fleet: Fleet, vassal: Vassal) -> bool:
    """Whether the owner has let go of the name, or is no longer configured."""
    return not vassal.wanted or vassal.monitor not in fleet.monitors


def takes_effect(fleet: Fleet, vassal: Vassal, event: Event) -> bool:
    """Whether the event of a source counts for a vassal that another source owns."""
    if event.kind not in _ANNOUNCED or event.monitor is None:
        return False
    if rules.holds(fleet, rules.ORDER_OF_SOURCES) and precedes(
        fleet, event.monitor, vassal.monitor
    ):
        return True
    return event.kind == "vassal_added" and is_free(fleet, vassal)

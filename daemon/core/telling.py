"""The news of a process about itself: that it is up, that it reloads, and that it stops."""

from typing import Final

from .fleet import Vassal

# The reason of one that is taken for ready because its time for a start or a reload is over.
UNCONFIRMED: Final = "has not said that it accepts"
RELOADS: Final = "says that it reloads"
STOPS: Final = "says that it stops"


def tells(vassal: Vassal) -> bool:
    """Whether its process can tell that it accepts. Nothing may wait for one that cannot."""
    return vassal.speaks and vassal.control


def awaits_ready(vassal: Vassal) -> bool:
    """Whether its program is up only when the host says that its ``ready`` is met."""
    settings = vassal.aim.settings if vassal.running is None else vassal.running.settings
    return not vassal.speaks and settings.get("ready", "spawn") != "spawn"


def says_so(vassal: Vassal) -> bool:
    """Whether it has said that it reloads, or that it stops meanwhile."""
    return vassal.phase == "reloading" and vassal.reason in (RELOADS, STOPS)


def explain(vassal: Vassal, reason: str) -> None:
    """Note why it is as it is, unless it reloads and has said so.

    The next daemon knows by that reason that it may not order the reload again.
    """
    if not says_so(vassal):
        vassal.reason = reason

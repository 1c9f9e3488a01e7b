"""Whether a process can tell that it is up, or another one tells it in its place."""

from typing import Final

from .fleet import Vassal

# The reason of one that is taken for ready because its time for a start or a reload is over.
UNCONFIRMED: Final = "has not said that it accepts"


def tells(vassal: Vassal) -> bool:
    """Whether its process can tell that it accepts. Nothing may wait for one that cannot."""
    return vassal.speaks and vassal.control


def awaits_ready(vassal: Vassal) -> bool:
    """Whether its program is up only when the host says that its ``ready`` is met."""
    settings = vassal.aim.settings if vassal.running is None else vassal.running.settings
    return not vassal.speaks and settings.get("ready", "spawn") != "spawn"

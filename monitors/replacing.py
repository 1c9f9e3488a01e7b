"""The setting ``replace-settle`` of ``[emperor]``: how long a new instance has to run well.

A replacement (``reload = replace``) stops the old instance after that time, counted from the moment
when the new one is ready. ``daemon/core/replacement.py`` has the rest.
"""

from collections.abc import Mapping
from typing import Final

from ..journal import quantities

KEYS: Final = ("replace-settle",)
REPLACE: Final = "replace"  # the value of ``reload``
LONGEST: Final = 3600  # seconds


def flaw(text: str) -> str | None:
    """Why this setting cannot have this value; None if it can."""
    seconds = quantities.duration(text)
    if seconds is not None and 0 <= seconds <= LONGEST:
        return None
    return f"is no time to settle; write {quantities.DURATIONS}, at most an hour"


def flaw_of_all(settings: Mapping[str, str]) -> str | None:
    """Why these settings cannot stand together; None if they can."""
    if "replace-settle" in settings and settings.get("reload") != REPLACE:
        return "replace-settle: needs reload = replace as well"
    return None

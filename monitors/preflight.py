"""The settings ``preflight`` and ``preflight-timeout`` of ``[emperor]``: the check before a change.

| key | |
|---|---|
| `preflight` | a command, split as a shell would, or ``uwsgi`` for the check that comes with it |
| `preflight-timeout` | the time that it may take, an hour at most |

``daemon/host/preflights.py`` runs it, and the fold decides what follows.
"""

import re
from collections.abc import Mapping
from typing import Final

from ..journal import quantities
from . import shell_words

KEYS: Final = ("preflight", "preflight-timeout")
BUILT_IN: Final = "uwsgi"
TIMEOUT: Final = 30.0  # seconds, the default
LONGEST: Final = 3600  # seconds
# Magic variables of uWSGI that tell the place of a file, or a number that goes with its path.
_PLACES: Final = re.compile(rb"%[oOpPdDcCiIjJ0-9]")
_INCLUDES: Final = re.compile(
    rb"""(?:^[ \t"'-]*|[{,<][ \t"']*)"""
    rb"""(include|inherit|ini|xml|ya?ml|json|js|config|for(?:-glob|-times|-readline)?)"""
    rb"""["']?[ \t]*[=:>][ \t]*["']?([^\s"'<,}]*)""",
    re.MULTILINE,
)
_READ: Final = re.compile(rb"@\((?!/)[^)\s]{0,80}\)?")


def flaw(key: str, text: str) -> str | None:
    """Why this setting cannot have this value; None if it can."""
    if key == "preflight":
        try:
            words = shell_words.split(text)
        except ValueError as error:
            return f"cannot be split into words: {error}"
        return None if words and words[0] else "names no program"
    seconds = quantities.duration(text)
    if seconds is not None and 0 < seconds <= LONGEST:
        return None
    return f"is no time for a preflight; write {quantities.DURATIONS}, at most an hour"


def flaw_of_all(settings: Mapping[str, str]) -> str | None:
    """Why these settings cannot stand together; None if they can."""
    if "preflight-timeout" in settings and "preflight" not in settings:
        return "preflight-timeout: needs preflight as well"
    if settings.get("preflight") == BUILT_IN and "command" in settings:
        return "preflight: uwsgi checks configs of uWSGI; name a command that checks this program"
    return None


def timeout(settings: Mapping[str, str]) -> float:
    """The seconds that a preflight may take."""
    seconds = quantities.duration(settings.get("preflight-timeout", ""))
    return TIMEOUT if seconds is None else float(seconds)


def bound_by(text: bytes) -> str:
    """The part of a config of uWSGI that means something else in another place; empty without."""
    place = _PLACES.search(text)
    if place is not None:
        return place[0].decode()
    for found in _INCLUDES.finditer(text):
        if found[1].startswith(b"for") or not found[2].startswith((b"/", b"http://", b"https://")):
            return found[1].decode()
    read = _READ.search(text)
    return "" if read is None else read[0].decode(errors="replace")

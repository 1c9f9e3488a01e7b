"""The settings ``health`` and ``health-…`` of ``[emperor]``: whether a vassal that is up is well.

| key | |
|---|---|
| `health` | a check, as of ``ready``: `tcp://HOST:PORT`, `http://HOST[:PORT][/PATH]`, `exec:…` |
| `health-interval` | the time from one check to the next |
| `health-timeout` | how long a check may take |
| `health-failures` | how many checks in a row have to fail |
| `health-action` | the consequence: `restart`, or `record` alone |

``daemon/host/health.py`` checks, and the fold decides what follows.
"""

import functools
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from ..journal import quantities
from . import readiness
from .readiness import Condition

KEYS: Final = (
    "health", "health-interval", "health-timeout", "health-failures", "health-action",
)  # fmt: skip
ACTIONS: Final = ("restart", "record")
LONGEST: Final = 86_400  # seconds
MOST: Final = 100  # failures


class Plan(NamedTuple):
    """How a vassal is checked. Times are in seconds."""

    condition: Condition
    interval: float
    timeout: float
    failures: int


def plan(settings: Mapping[str, str]) -> Plan | None:
    """How a vassal with these settings is checked; None where it is not."""
    check = settings.get("health")
    return None if check is None else _plan(check, *map(settings.get, KEYS[1:4]))


@functools.lru_cache(maxsize=4096)
def _plan(check: str, interval: str | None, timeout: str | None, failures: str | None) -> Plan:
    return Plan(
        parsed(check),
        float(quantities.duration(interval or "") or 10),
        float(quantities.duration(timeout or "") or 2),
        int(failures or 3),
    )


def parsed(text: str) -> Condition:
    """The check. Raises ValueError, which names the flaw."""
    if not text.startswith(("tcp://", "http://", readiness.EXEC)):
        raise ValueError("is none of tcp://HOST:PORT, http://HOST:PORT/PATH, exec:COMMAND")
    found = readiness.parsed(text)
    assert found is not None  # it begins as a condition does
    return found


def flaw(key: str, text: str) -> str | None:
    """Why this setting cannot have this value; None if it can."""
    if key == "health":
        try:
            parsed(text)
        except ValueError as error:
            return str(error)
        return None
    if key == "health-action":
        return None if text in ACTIONS else f"is none of {', '.join(ACTIONS)}"
    if key == "health-failures":
        if re.fullmatch(r"[1-9][0-9]{0,2}", text, re.ASCII) and int(text) <= MOST:
            return None
        return f"is no number of failures; write a whole number from 1 to {MOST}"
    seconds = quantities.duration(text)
    least = 1 if key == "health-interval" else 0.1
    if seconds is not None and least <= seconds <= LONGEST:
        return None
    return f"is no such time; write {quantities.DURATIONS}, from {least:g}s to a day"

"""How the processes of a vassal ended: the last end, whose it was, and the deaths of an hour.

``deaths.py`` judges an end, and the moves note it here. No decision depends on these notes: they
are for people, and rules 1 had none of them.
"""

from collections.abc import Iterable
from typing import Any, Final, Literal

from ...journal.events import Event
from . import rules
from .fleet import End, Fleet, Vassal

HOUR: Final = 3600 * 10**9  # nanoseconds
HANGS: Final = "its own watchdog asked for it"  # the reason of a kill after WATCHDOG=trigger
MOST: Final = 200  # deaths of one vassal that are remembered
# So many deaths within so many nanoseconds are often.
_OFTEN: Final = ((3, 600 * 10**9), (5, HOUR))


def note_kill(fleet: Fleet, vassal: Vassal, reason: str) -> None:
    """The daemon orders to kill its process."""
    if rules.holds(fleet, rules.ENDS):
        vassal.killed = reason


def note_end(
    fleet: Fleet, vassal: Vassal, event: Event, ordered: Literal["stop", "kill"] | None
) -> None:
    """Its process has ended; ``ordered``: the order that it had."""
    body: Any = event.body
    if event.kind != "exited" or not rules.holds(fleet, rules.ENDS):
        return
    reason = None
    if ordered is not None:
        reason = vassal.reason if ordered == "stop" else vassal.killed
    vassal.last = End(
        event.seq, event.at, body.code, body.signal, ordered, reason, body.reload, body.oom
    )


def note_death(fleet: Fleet, vassal: Vassal, event: Event) -> None:
    """It died, or is killed as it hangs: that is one restart more within this hour."""
    if not rules.holds(fleet, rules.ENDS):
        return
    died = vassal.died
    if died and (event.at - died[0] > HOUR or len(died) == MOST):
        died = tuple(lately(died, event.at)[-MOST + 1 :])
    vassal.died = (*died, event.at)


def lately(times: Iterable[int], now: int) -> list[int]:
    """Those that are not an hour ago."""
    return [at for at in times if now - at <= HOUR]


def restarts(vassal: Vassal, now: int) -> int:
    """How often it died within the hour before; ``MOST`` stands for more."""
    return len(lately(vassal.died, now))


def often_since(vassal: Vassal, now: int) -> int | None:
    """The time of the first of its deaths of late, if they are many."""
    for count, span in _OFTEN:
        deaths = [at for at in vassal.died if now - at <= span]
        if len(deaths) >= count:
            return deaths[0]
    return None

"""How many slots there are, who waits for one of them, and who is next.

There are ``max_starting`` slots. Where the policy gives a ceiling, too, there are as many as the
machine's pressure allows: the ceiling at rest, half of it for each step of pressure, and never
less than ``max_starting``. A pressure that is not known yet allows ``max_starting``.

There are three lines, first come first served in each:

- ``express``: somebody waits for it. It runs and is to be reloaded, or an operator named it.
- ``queue``: the others that are to be started.
- ``retries``: those of them that died before; they are next when nobody is in ``queue``.

Reloads and starts take turns. So a deploy waits neither for the first starts of thousands nor for
thousands that crash, and what is reloaded over and over keeps nobody from starting.
"""

from ..journal.events import Event
from .fleet import Fleet, Vassal


def slots(fleet: Fleet) -> int:
    """How many vassals may be starting or reloading at once."""
    floor, ceiling = fleet.policy.max_starting, fleet.policy.max_starting_ceiling
    if fleet.pressure is None:
        return floor
    return max(floor, ceiling >> fleet.pressure.most)


def join(fleet: Fleet, vassal: Vassal, event: Event) -> None:
    """It waits from now on, or goes on waiting where it does."""
    if vassal.due or (event.kind == "operator_requested" and event.vassal is not None):
        line = fleet.express
    else:
        line = fleet.retries if vassal.deaths else fleet.queue
    line[vassal.name] = None


def leave(fleet: Fleet, vassal: str) -> None:
    """It waits no longer."""
    for line in (fleet.express, fleet.queue, fleet.retries):
        line.pop(vassal, None)


def waits(fleet: Fleet) -> bool:
    """Whether anybody does."""
    return bool(fleet.express or fleet.queue or fleet.retries)


def forgive(fleet: Fleet, vassal: str) -> None:
    """What it died of is over: if it waits for another try, it is a start like any other."""
    if vassal in fleet.retries:
        del fleet.retries[vassal]
        fleet.queue[vassal] = None


def next_of(fleet: Fleet) -> str:
    """Who gets the slot that is free; somebody waits."""
    starts = fleet.queue or fleet.retries
    turn_of_starts = fleet.reloaded_last or not fleet.express
    line = starts if starts and turn_of_starts else fleet.express
    return next(iter(line))

"""How many slots there are, which vassals wait for one of them, and which is next.

There are ``max_starting`` slots. Where the policy gives a ceiling, too, there are as many as the
machine's pressure allows. That is the ceiling at rest, halved for each step of pressure, and never
less than ``max_starting``. A pressure that is not known yet allows ``max_starting``.

A vassal waits in one of three lines, first come first served in each:

- ``express``: it runs and is to be reloaded, or an operator named it.
- ``queue``: another one that is to be started.
- ``retries``: one that died before.

Slots are shared by user in tyrant mode, else by source (``SHARES``). Each of them has its own
three lines. Whenever a slot is free, the user that comes next gets it, and then comes after all
others that wait. So a start waits for at most one start of each other user, however many they
have waiting. The three lines of a user take turns in the same way.

The order of turns alone does not help against starts that hang. A slot that such a start gets is
lost for ``start_patience``, so soon all slots are. Therefore the last free slot is for a user that
holds none. It is kept free where several users or sources can be, and with two slots or more.

Before ``SHARES``, all vassals had the same three lines. Reloads and starts took turns, and
``retries`` came when ``queue`` was empty.
"""

from typing import Final

from ...journal.events import Event
from . import rules
from .fleet import Fleet, Line, Vassal, Waiting

_LINES: Final[tuple[Line, ...]] = ("express", "queue", "retries")
# By the line that had the last turn, the order in which they are asked.
_TURNS: Final[dict[Line, tuple[Line, ...]]] = {
    "express": ("queue", "retries", "express"),
    "queue": ("retries", "express", "queue"),
    "retries": ("express", "queue", "retries"),
}


def slots(fleet: Fleet) -> int:
    """How many vassals may be starting or reloading at once."""
    policy = fleet.policy
    if fleet.pressure is None:
        return policy.max_starting
    return max(policy.max_starting, policy.max_starting_ceiling >> fleet.pressure.most)


def user_of(fleet: Fleet, vassal: Vassal) -> str:
    """The user or the source that shares slots with the others on behalf of a vassal."""
    return f"uid {vassal.spec.uid}" if fleet.policy.tyrant else vassal.monitor


# Waiting


def join(fleet: Fleet, vassal: Vassal, event: Event) -> None:
    """It waits from now on, or goes on waiting where it does."""
    if vassal.due or (event.kind == "operator_requested" and event.vassal is not None):
        line: Line = "express"
    else:
        line = "retries" if vassal.deaths else "queue"
    _put(fleet, vassal, line)


def _put(fleet: Fleet, vassal: Vassal, line: Line) -> None:
    if not rules.holds(fleet, rules.SHARES):
        getattr(fleet, line)[vassal.name] = None
        return
    user, name = user_of(fleet, vassal), vassal.name
    if vassal.waits_as != user:
        leave(fleet, name)
        vassal.waits_as = user
    # A user keeps its place among the users, even if this is all that it has waiting.
    waiting = fleet.users.get(user)
    if waiting is None:
        waiting = fleet.users[user] = Waiting()
    chosen: dict[str, None] = getattr(waiting, line)
    if name not in chosen:  # then it may be in another one
        waiting.express.pop(name, None)
        waiting.queue.pop(name, None)
        waiting.retries.pop(name, None)
        chosen[name] = None


def leave(fleet: Fleet, name: str) -> None:
    """It waits no longer."""
    if fleet.express or fleet.queue or fleet.retries:
        for line in (fleet.express, fleet.queue, fleet.retries):
            line.pop(name, None)
    vassal = fleet.vassals.get(name)
    if vassal is not None and vassal.waits_as is not None:
        waiting = fleet.users[vassal.waits_as]
        waiting.express.pop(name, None)
        waiting.queue.pop(name, None)
        waiting.retries.pop(name, None)
        if not (waiting.express or waiting.queue or waiting.retries):
            del fleet.users[vassal.waits_as]
        vassal.waits_as = None


def waits(fleet: Fleet) -> bool:
    """Whether any vassal does."""
    return bool(fleet.users or fleet.express or fleet.queue or fleet.retries)


def renew(fleet: Fleet, vassal: Vassal) -> None:
    """Its spec is another one: its deaths count no longer, and it may be another user's."""
    line = _line_of(fleet, vassal)
    if line is not None:
        fleet.retries.pop(vassal.name, None)
        _put(fleet, vassal, "queue" if line == "retries" else line)


def _line_of(fleet: Fleet, vassal: Vassal) -> Line | None:
    lines: Fleet | Waiting = fleet
    if vassal.waits_as is not None:
        lines = fleet.users[vassal.waits_as]
    for line in _LINES:
        if vassal.name in getattr(lines, line):
            return line
    return None


def regroup(fleet: Fleet) -> None:
    """A daemon starts: its policy says by what slots are shared, its rules whether they are."""
    found = [
        (fleet.vassals[name], line)
        for lines in (fleet, *fleet.users.values())
        for line in _LINES
        for name in getattr(lines, line)
    ]
    for vassal, _ in found:
        leave(fleet, vassal.name)
    for vassal, line in found:
        _put(fleet, vassal, line)
    fleet.held = {}
    for vassal in fleet.vassals.values():
        vassal.slot_of = None
        if vassal.slot:
            took(fleet, vassal)
        if vassal.candidate is not None and vassal.candidate.slot:
            vassal.candidate.slot_of = count(fleet, vassal)


# Turns


def may_have_turn(fleet: Fleet) -> bool:
    """Whether a vassal waits and a slot is free. Of most events it is False, and soon told."""
    waiting = fleet.users or fleet.express or fleet.queue or fleet.retries
    return bool(waiting) and fleet.starting < slots(fleet)


def next_of(fleet: Fleet) -> str | None:
    """The vassal that gets a slot now; None where none waits or none may have one."""
    free = slots(fleet) - fleet.starting
    if free <= 0 or not waits(fleet):
        return None
    if not rules.holds(fleet, rules.SHARES):
        starts = fleet.queue or fleet.retries
        turn_of_starts = fleet.reloaded_last or not fleet.express
        return next(iter(starts if starts and turn_of_starts else fleet.express))
    for user, waiting in fleet.users.items():
        if free > 1 or _may_take_last(fleet, user):
            return _first(waiting)
    return None


def _may_take(fleet: Fleet, user: str) -> bool:
    """Whether a slot is free for this user, if no vassal waits."""
    free = slots(fleet) - fleet.starting
    return free > 1 or (free == 1 and _may_take_last(fleet, user))


def _may_take_last(fleet: Fleet, user: str) -> bool:
    return not fleet.held.get(user) or not _keeps_one_free(fleet)


def _keeps_one_free(fleet: Fleet) -> bool:
    several = fleet.policy.tyrant or len(fleet.monitors) > 1
    return several and slots(fleet) > 1


def _first(waiting: Waiting) -> str:
    """The first one of the line that has its turn."""
    for line in _TURNS[waiting.last]:
        for name in getattr(waiting, line):
            return str(name)
    raise AssertionError("a user is kept while one of its lines is not empty")


def take(fleet: Fleet, name: str) -> None:
    """It has its turn. When that takes a slot, its user comes after all others."""
    vassal = fleet.vassals[name]
    line, waiting = _line_of(fleet, vassal), fleet.users.get(vassal.waits_as or "")
    if waiting is not None and line is not None:
        waiting.last = line
    leave(fleet, name)


def gets_slot(fleet: Fleet, vassal: Vassal, event: Event) -> bool:
    """Whether it is its turn at once. Otherwise it waits from now on.

    An event about the whole fleet lets many vassals begin. All of them wait then, and take turns
    when the event has been folded, whatever the order of the fleet. Before a daemon is ready, no
    vassal that waits has a turn.
    """
    alone = not waits(fleet)
    may_be_first = event.vassal is not None and (fleet.open or alone)
    if alone and may_be_first and _may_take(fleet, user_of(fleet, vassal)):
        return True  # it would join, be the first one, and leave again
    join(fleet, vassal, event)
    if not may_be_first or next_of(fleet) != vassal.name:
        return False
    take(fleet, vassal.name)
    return True


def count(fleet: Fleet, vassal: Vassal) -> str | None:
    """Count a slot for its user or source, which is returned."""
    if not rules.holds(fleet, rules.SHARES):
        return None
    user = user_of(fleet, vassal)
    fleet.held[user] = fleet.held.get(user, 0) + 1
    if user in fleet.users:
        fleet.users[user] = fleet.users.pop(user)
    return user


def discount(fleet: Fleet, user: str | None) -> None:
    """A slot is given back that was counted for a user or source."""
    if user is not None:
        fleet.held[user] -= 1
        if not fleet.held[user]:
            del fleet.held[user]


def took(fleet: Fleet, vassal: Vassal) -> None:
    """It holds a slot from now on."""
    if rules.holds(fleet, rules.SHARES):
        vassal.slot_of = count(fleet, vassal)


def gave_back(fleet: Fleet, vassal: Vassal) -> None:
    """It holds its slot no longer."""
    user, vassal.slot_of = vassal.slot_of, None
    discount(fleet, user)

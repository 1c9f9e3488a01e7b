"""One vassal, seen while the fleet is folded: its waits for a slot, and which events changed it."""

from collections.abc import Iterable

import msgspec

from ..daemon.core import slots
from ..daemon.core.fleet import Fleet, Vassal
from ..journal.times import took


class Wait(msgspec.Struct):
    """A wait for one of ``slots``. ``until`` is None while it lasts, with ``before`` in line."""

    since_seq: int
    since: int
    slots: int
    until: int | None = None
    until_seq: int | None = None
    waiting: int = 0  # all vassals that wait, itself included

    def __str__(self) -> str:
        of = f"one of {self.slots} slots" if self.slots != 1 else "the only slot"
        if self.until is not None:
            return f"waited {took(self.until - self.since)} for {of}"
        return f"waits for {of}, {self.waiting} in line"


class Watched(msgspec.Struct):
    """A vassal in the fleets that were seen. ``fleet`` is the last one of them.

    ``changed`` are the events that gave it a phase or an order, or changed if it is held.
    """

    fleet: Fleet
    waits: list[Wait]
    changed: set[int]


def watch(fleets: Iterable[Fleet], name: str) -> Watched:
    """Watch a vassal in each of these fleets, one of which at least there must be."""
    waits: list[Wait] = []
    changed: set[int] = set()
    facts: object = None
    now: Wait | None = None
    last: Fleet | None = None
    for fleet in fleets:
        vassal = fleet.vassals.get(name)
        before, facts = facts, vassal and (vassal.because, vassal.order, vassal.held, vassal.due)
        if facts != before and last is not None:
            changed.add(fleet.seq)
        last = fleet
        if vassal is not None and _waits(fleet, vassal):
            if now is None:
                queued = vassal.phase == "queued"  # since before the first of the fleets, perhaps
                began = (vassal.because, vassal.since) if queued else (fleet.seq, fleet.at)
                now = Wait(*began, slots.slots(fleet))
                waits.append(now)
        elif now is not None:
            now.slots = slots.slots(fleet)
            now.until, now.until_seq = fleet.at, fleet.seq
            now = None
    assert last is not None
    if now is not None:
        now.slots, now.waiting = slots.slots(last), _in_line(last)
    return Watched(last, waits, changed)


def _waits(fleet: Fleet, vassal: Vassal) -> bool:
    if vassal.waits_as is not None:
        return True
    return any(vassal.name in line for line in (fleet.express, fleet.queue, fleet.retries))


def _in_line(fleet: Fleet) -> int:
    """How many vassals wait for a slot, to start or to reload."""
    lines = sum(map(len, (fleet.express, fleet.queue, fleet.retries)))
    return lines + sum(len(w.express) + len(w.queue) + len(w.retries) for w in fleet.users.values())

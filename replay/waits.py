"""Vassals, seen while the fleet is folded: their waits for a slot, and which events changed them.

All of them are seen in one fold. After an event only those are looked at that it may have changed.
"""

from collections.abc import Iterable, Set

import msgspec

from ..daemon.core import slots
from ..daemon.core.fleet import Fleet, Vassal
from ..daemon.core.rollout_text import turn_text
from ..daemon.core.touched import Touched
from ..journal.times import took
from .rebuild import Step


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

    ``changed`` are the events that gave it a phase or an order, or changed if it is held. ``turns``
    are those by which its change had its turn in a rollout, each with the words for that.
    """

    fleet: Fleet
    waits: list[Wait]
    changed: set[int]
    turns: dict[int, str] = {}


class _Seen(msgspec.Struct):
    """A vassal while the fleets are seen: its facts, and its waits, the last of which may last."""

    facts: object = None
    waits: list[Wait] = []
    changed: set[int] = set()
    turns: dict[int, str] = {}


def watch(steps: Iterable[tuple[Fleet, Step]], names: Iterable[str]) -> dict[str, Watched]:
    """Watch vassals in each of these fleets, one of which at least there must be."""
    seen = {name: _Seen() for name in names}
    last: Fleet | None = None
    for fleet, step in steps:
        if last is None:
            touched = Touched(fleet.blocked, all_of_them=True)
        elif step.event is not None:
            touched.note(fleet, step.event, step.orders)
        if touched.all:
            waiting = _waiting(fleet)
            for name, one in seen.items():
                _see(one, fleet, name, waiting, first=last is None)
        else:
            for name in touched.names & seen.keys():
                _see(seen[name], fleet, name, None, first=False)
        touched.clear()
        for name in fleet.turned if last is not None else ():
            if name in seen:
                seen[name].turns[fleet.seq] = turn_text(fleet, name)
        last = fleet
    assert last is not None
    count, line = slots.slots(last), _in_line(last)
    for one in seen.values():
        if one.waits and one.waits[-1].until is None:
            one.waits[-1].slots, one.waits[-1].waiting = count, line
    return {name: Watched(last, one.waits, one.changed, one.turns) for name, one in seen.items()}


def _see(one: _Seen, fleet: Fleet, name: str, waiting: Set[str] | None, *, first: bool) -> None:
    """See a vassal in a fleet; ``waiting`` are the names in lines, None where they are few."""
    vassal = fleet.vassals.get(name)
    before, one.facts = one.facts, vassal and (
        vassal.because, vassal.order, vassal.held, vassal.due
    )  # fmt: skip
    if one.facts != before and not first:
        one.changed.add(fleet.seq)
    now = one.waits[-1] if one.waits and one.waits[-1].until is None else None
    if vassal is not None and _waits(fleet, vassal, waiting):
        if now is None:
            queued = vassal.phase == "queued"  # since before the first of the fleets, perhaps
            began = (vassal.because, vassal.since) if queued else (fleet.seq, fleet.at)
            one.waits.append(Wait(*began, slots.slots(fleet)))
    elif now is not None:
        now.slots = slots.slots(fleet)
        now.until, now.until_seq = fleet.at, fleet.seq


def _waits(fleet: Fleet, vassal: Vassal, waiting: Set[str] | None) -> bool:
    if vassal.waits_as is not None:
        return True
    if waiting is not None:
        return vassal.name in waiting
    return any(vassal.name in line for line in (fleet.express, fleet.queue, fleet.retries))


def _waiting(fleet: Fleet) -> Set[str]:
    return {*fleet.express, *fleet.queue, *fleet.retries}


def _in_line(fleet: Fleet) -> int:
    """How many vassals wait for a slot, to start or to reload."""
    lines = sum(map(len, (fleet.express, fleet.queue, fleet.retries)))
    return lines + sum(len(w.express) + len(w.queue) + len(w.retries) for w in fleet.users.values())

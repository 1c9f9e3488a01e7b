"""The smallest history that still has a divergence, by delta debugging.

First whole vassals are left out, from the start and from the events, then single events. Both are
tried in pieces, from halves down to one. A history still has the divergence if the fold reaches the
same event with everything before it as it was recorded. There it must differ in the same way. So a
shrunk history never shows another difference by accident.

Every try folds the history. All tries fold at most ``MOST_FOLDED`` events: some seconds.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec

from ...daemon.core import steps as moves
from ...daemon.core.fleet import to_json
from ..histories.check import Outcome, check
from ..histories.history import GONE, History, Step

MOST_FOLDED: Final = 200_000
_RELATIVE: Final = re.compile(r'"(?:[+-][0-9.]+s|c[0-9]+)"')
_T = TypeVar("_T")
HasIt = Callable[[History], bool]


def shrunk(history: History, outcome: Outcome) -> History:
    """A smaller history with the divergence of ``outcome``, or the same one cut behind it."""
    budget = [MOST_FOLDED]
    cut = history.replaced(steps=history.steps[: outcome.place + 1], texts={})

    def has_it(smaller: History) -> bool:
        budget[0] -= len(smaller.steps)
        return _essence(check(smaller)) == _essence(outcome)

    if not has_it(cut):
        return history
    smallest, before = cut, 0
    while len(smallest.steps) != before and budget[0] > 0:
        before = len(smallest.steps)
        smallest = _with_fewer_vassals(smallest, has_it, budget)
        smallest = _with_fewer_events(smallest, has_it, budget)
    return _told(history, smallest)


def _with_fewer_vassals(whole: History, has_it: HasIt, budget: list[int]) -> History:
    names = _names(whole)

    def without(left: Sequence[str]) -> History:
        return without_vassals(whole, set(names) - set(left))

    return without(least(names, lambda left: has_it(without(left)), budget))


def _with_fewer_events(whole: History, has_it: HasIt, budget: list[int]) -> History:
    *before, target = whole.steps

    def only(left: Sequence[Step]) -> History:
        return whole.replaced(steps=(*left, target))

    return only(least(before, lambda left: has_it(only(left)), budget))


def least(
    parts: Sequence[_T], holds: Callable[[Sequence[_T]], bool], budget: list[int]
) -> list[_T]:
    """The parts that are left when no piece of them can be left out. ``holds`` of all of them.

    Stops where ``budget`` has run out.
    """
    kept = list(parts)
    size = max(1, len(kept) // 2)
    while kept and budget[0] > 0:
        place, before = 0, len(kept)
        while place < len(kept) and budget[0] > 0:
            fewer = kept[:place] + kept[place + size :]
            if holds(fewer):
                kept = fewer
            else:
                place += size
        if size > 1 or len(kept) == before:
            size //= 2
        if not size:
            break
    return kept


def without_vassals(history: History, names: set[str]) -> History:
    """A history in which these vassals never were."""
    fleet = history.fleet()
    for name in names & fleet.vassals.keys():
        moves.forget(fleet, fleet.vassals[name], [])
    return history.replaced(
        start=to_json(fleet) if names else history.start,
        steps=tuple(_less(step, names) for step in history.steps if step.event.vassal not in names),
    )


def _less(step: Step, names: set[str]) -> Step:
    return msgspec.structs.replace(
        step,
        actions=tuple(each for each in step.actions if each.vassal not in names),
        expectations=tuple(each for each in step.expectations if each.vassal not in names),
    )


def _names(history: History) -> list[str]:
    found = dict.fromkeys(history.fleet().vassals)
    found |= dict.fromkeys(step.event.vassal for step in history.steps if step.event.vassal)
    for step in history.steps:
        found |= dict.fromkeys(each.vassal for each in step.expectations if each.phase == GONE)
    return list(found)


def _essence(outcome: Outcome) -> tuple[object, ...]:
    """The facts of a divergence that stay when events before it are left out."""
    return (
        outcome.kind, outcome.seq, outcome.what, outcome.vassal, outcome.field.partition(" ")[2],
        _fixed(outcome.recorded), _fixed(outcome.computed), outcome.rules,
    )  # fmt: skip


def _fixed(told: str) -> str:
    """A told state or action without times and short names, which depend on the events before."""
    return _RELATIVE.sub('""', told)


def _told(history: History, smallest: History) -> History:
    """The shrunk history, with what it came of in its header."""
    header = history.header
    used = {step.event.monitor for step in smallest.steps}
    used |= {vassal.monitor for vassal in smallest.fleet().vassals.values()}
    note = f"shrunk from {len(history.steps)} events to those that have the divergence"
    return smallest.replaced(
        header=msgspec.structs.replace(
            header,
            notes=(*header.notes, note),
            sources={url: name for url, name in header.sources.items() if url in used},
        )
    )

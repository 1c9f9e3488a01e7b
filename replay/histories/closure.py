"""The part of a history that decides about a few vassals, proven by folding it.

Vassals share slots, lines, on-demand addresses and budgets, so others may decide when one of them
starts. Which others, the fold tells: the history is folded whole, and without the vassals that are
not known to matter. At the first event at which both decide otherwise about the vassals that stay,
those that may have decided are added, the nearest first. Then it is folded again. In the end both
are the same, at each event. So a history that was made smaller decides as the whole one did.
"""

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Final

import msgspec

from ...daemon.core.budget import account_of
from ...daemon.core.fleet import Fleet, Waiting
from ...journal.events import Event, ListenFailed, Rejected
from .folding import Folding
from .history import History, Step, start_of

_TURNS: Final = 20
_LINES: Final = ("express", "queue", "retries")
# Events of sources and of people that decide nothing; they stay where they name a vassal.
_FOR_READERS: Final = ("observation_rejected", "listing_doubted", "request_refused")


def closed_over(history: History, names: Iterable[str]) -> frozenset[str]:
    """These vassals, and those without which the fold would decide otherwise about them.

    Raises FoldFailed, NewerFormat.
    """
    known = _names(history)
    kept = frozenset(names) & known
    for turn in count():
        missing = _missing(history, kept)
        if missing is None:
            return kept
        new = [more for each in missing if (more := each & known - kept)]
        # The nearest first, as few are enough. But each turn is two folds.
        kept |= known if not new else new[0] if turn < _TURNS else frozenset().union(*new)
    raise AssertionError("in the end all are kept")


def _names(history: History) -> frozenset[str]:
    """All vassals that a history knows."""
    events = {step.event.vassal for step in history.steps if step.event.vassal is not None}
    return frozenset(history.fleet().vassals) | events


def _missing(history: History, kept: frozenset[str]) -> list[frozenset[str]] | None:
    """None where the kept ones decide alone, else vassals that may decide with them, near first."""
    whole = Folding(history.fleet())
    part = Folding(only(history.fleet(), kept))
    for step in history.steps:
        event = step.event
        full = whole.take(event)
        alone = part.take(event) if _is_kept(event, kept) else Step(event)
        if _about(full, kept) != _about(alone, kept):
            ordered = {action.vassal for action in (*full.actions, *alone.actions)}
            about = frozenset(ordered | {event.vassal or ""} | _holder(event))
            rolling = frozenset(
                name for each in whole.fleet.rollouts.values() for name in each.everybody
            )
            return [about, rolling, _paying(whole.fleet, kept), _waiting(whole.fleet)]
    return None


def _is_kept(event: Event, kept: frozenset[str]) -> bool:
    return event.vassal is None or event.vassal in kept


def _about(step: Step, kept: frozenset[str]) -> tuple[list[object], list[object]]:
    """The decisions of a step about some vassals."""
    return (
        [action for action in step.actions if action.vassal in kept],
        [each for each in step.expectations if each.vassal in kept],
    )


def _holder(event: Event) -> set[str]:
    body = event.body
    return {body.holder} if isinstance(body, ListenFailed) and body.holder is not None else set()


def _paying(fleet: Fleet, kept: frozenset[str]) -> frozenset[str]:
    """The vassals that share an address or a budget with these."""
    accounts = _accounts(fleet, kept)
    found = {holder for name, holder in fleet.blocked.items() if name in kept}
    for name, vassal in fleet.vassals.items():
        if account_of(fleet.policy, name, vassal.spec) in accounts:
            found.add(name)
    return frozenset(found)


def _accounts(fleet: Fleet, names: Iterable[str]) -> set[str]:
    """The accounts that pay for these vassals."""
    found = (fleet.vassals[name] for name in names if name in fleet.vassals)
    return {account_of(fleet.policy, vassal.name, vassal.spec) for vassal in found}


def _waiting(fleet: Fleet) -> frozenset[str]:
    """The vassals that have or want a slot."""
    return frozenset(
        name
        for name, vassal in fleet.vassals.items()
        if vassal.slot
        or vassal.waits_as is not None
        or any(name in getattr(fleet, line) for line in _LINES)
    )


def only(fleet: Fleet, kept: frozenset[str]) -> Fleet:
    """A fleet with these vassals alone, and with their part of what vassals share."""
    fleet.vassals = {name: each for name, each in fleet.vassals.items() if name in kept}
    fleet.starting = sum(vassal.slot for vassal in fleet.vassals.values())
    fleet.held = {}
    for vassal in fleet.vassals.values():
        if vassal.slot_of is not None:
            fleet.held[vassal.slot_of] = fleet.held.get(vassal.slot_of, 0) + 1
    lines: list[Fleet | Waiting] = [fleet, *fleet.users.values()]
    for each in lines:
        for line in _LINES:
            names = getattr(each, line)
            setattr(each, line, {name: None for name in names if name in kept})
    fleet.users = {
        user: waiting
        for user, waiting in fleet.users.items()
        if waiting.express or waiting.queue or waiting.retries
    }
    fleet.rollouts = {
        seq: rollout for seq, each in fleet.rollouts.items() if (rollout := each.only(kept)).total
    }
    fleet.turned = [name for name in fleet.turned if name in kept]
    fleet.blocked = {name: by for name, by in fleet.blocked.items() if {name, by} <= kept}
    accounts = _accounts(fleet, kept)
    fleet.spent = {account: each for account, each in fleet.spent.items() if account in accounts}
    sources = {vassal.monitor for vassal in fleet.vassals.values()}
    fleet.outages = {url: outage for url, outage in fleet.outages.items() if url in sources}
    return fleet


def reduced(history: History, names: Iterable[str]) -> History:
    """The history of these vassals and of those that decide with them.

    The header says which others are left out. Raises FoldFailed, NewerFormat.
    """
    kept = closed_over(history, names)
    fleet = only(history.fleet(), kept)
    steps = tuple(_reduced_steps(history, fleet, kept))
    events, vassals = len(history.steps) - len(steps), len(_names(history) - kept)
    header = history.header
    if events or vassals:
        others = f"{vassals} other vassal{'' if vassals == 1 else 's'}"
        said = f"{others}, {events} events: without them, all is decided the same"
        header = msgspec.structs.replace(header, left_out=(*header.left_out, said))
    return history.replaced(header=header, start=start_of(fleet), steps=steps)


def _reduced_steps(history: History, fleet: Fleet, kept: frozenset[str]) -> Iterator[Step]:
    sources = {vassal.monitor for vassal in fleet.vassals.values()}
    sources |= {
        step.event.monitor
        for step in history.steps
        if step.event.monitor is not None and step.event.vassal in kept
    }
    for step in history.steps:
        if _is_kept(step.event, kept) and _tells(step.event, kept, sources):
            yield msgspec.structs.replace(
                step,
                actions=tuple(each for each in step.actions if each.vassal in kept),
                expectations=tuple(each for each in step.expectations if each.vassal in kept),
            )


def _tells(event: Event, kept: frozenset[str], sources: set[str]) -> bool:
    """Whether an event of a kept vassal, or of none, is worth a line."""
    if event.vassal is not None:
        return True
    if event.kind == "checkpoint":  # its digest is of all vassals
        return False
    if event.kind in _FOR_READERS:
        return isinstance(event.body, Rejected) and event.body.name in kept
    return event.monitor is None or event.monitor in sources

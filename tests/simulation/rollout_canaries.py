"""Folds that carry out rollouts wrongly. Each breaks one rule of ``rollouts.py`` and its parts."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from emperord.daemon.core import rollout_moves, target
from emperord.daemon.core.actions import Action
from emperord.daemon.core.fleet import Fleet
from emperord.daemon.core.fold import fold
from emperord.journal.events import Event

from .holding import HELD
from .precedence import CANARIES, GATHERS
from .rollouts import OUTSIDE, SIZE, TWICE
from .script import Script, Step

Fold = Callable[[Fleet, Event], list[Action]]


def _is_about_all(event: Event, request: str) -> bool:
    body: Any = event.body
    return event.kind == "operator_requested" and body.request == request


def _passes_over(fleet: Fleet, event: Event) -> list[Action]:
    fleet.seq, fleet.at = event.seq, event.at
    return []


def _changes_all_at_once(fleet: Fleet, event: Event) -> list[Action]:
    """It gives turns to all changes of a rollout, whatever its size."""
    for rollout in fleet.rollouts.values():
        rollout.size = 99
    return fold(fleet, event)


def _counts_other_sources(fleet: Fleet, event: Event) -> list[Action]:
    """Its per cent are of the vassals of all sources."""
    real: Any = rollout_moves
    size_of = real._size
    real._size = lambda fleet, monitor: rollout_moves.size(
        fleet.policy.rollout_size(monitor), len(fleet.vassals)
    )
    try:
        return fold(fleet, event)
    finally:
        real._size = size_of


def _frees_those_that_die(fleet: Fleet, event: Event) -> list[Action]:
    """A vassal that is held back, and dies, is started with its new config."""
    vassal = fleet.vassals.get(event.vassal or "")
    if vassal is None or event.kind != "exited" or "preflight" in vassal.spec.settings:
        return fold(fleet, event)
    if rollout_moves.is_held_back(fleet, vassal):
        target.settle(vassal)
        vassal.deaths = 0
    return fold(fleet, event)


def _goes_on_after_failures(fleet: Fleet, event: Event) -> list[Action]:
    """However many changes fail, the rest is not held back."""
    actions = fold(fleet, event)
    for rollout in fleet.rollouts.values():
        if rollout.aborted is None:
            rollout.held = None
    return actions


def _overlooks_failed_preflights(fleet: Fleet, event: Event) -> list[Action]:
    """A change that its preflight refuses is no failure of its rollout."""
    actions = fold(fleet, event)
    for rollout in fleet.rollouts.values():
        if event.kind == "deploy_refused" and rollout.failed.pop(event.vassal or "", ""):
            rollout.held = None
    return actions


def _aborts_nothing(fleet: Fleet, event: Event) -> list[Action]:
    """It overlooks that an operator aborts."""
    aborts = _is_about_all(event, rollout_moves.ABORT)
    return _passes_over(fleet, event) if aborts else fold(fleet, event)


def _continues_what_was_aborted(fleet: Fleet, event: Event) -> list[Action]:
    """An operator can continue a rollout that was aborted."""
    if _is_about_all(event, rollout_moves.CONTINUE):
        for rollout in fleet.rollouts.values():
            rollout.aborted = None
    return fold(fleet, event)


def _puts_canaries_last(fleet: Fleet, event: Event) -> list[Action]:
    """Canaries that wait are behind all others."""
    for rollout in fleet.rollouts.values():
        rollout.line, rollout.canaries = rollout.line | rollout.canaries, {}
    return fold(fleet, event)


def _awaits_no_canaries(fleet: Fleet, event: Event) -> list[Action]:
    """Others change beside a canary."""
    for rollout in fleet.rollouts.values():
        rollout.turning = {
            name: msgspec.structs.replace(turn, canary=False)
            for name, turn in rollout.turning.items()
        }
    return fold(fleet, event)


def _continues_nothing(fleet: Fleet, event: Event) -> list[Action]:
    """It overlooks that an operator continues."""
    continues = _is_about_all(event, rollout_moves.CONTINUE)
    return _passes_over(fleet, event) if continues else fold(fleet, event)


def _gathers_nothing(fleet: Fleet, event: Event) -> list[Action]:
    """Others change as soon as there is room, before all canaries may be known."""
    for rollout in fleet.rollouts.values():
        rollout.gathers = None if rollout.gathers is None else rollout.at
    return fold(fleet, event)


def _changes_again(fleet: Fleet, event: Event) -> list[Action]:
    """A new daemon carries out once more what was done."""
    if event.kind == "daemon_started":
        for rollout in fleet.rollouts.values():
            for name in rollout.done:
                vassal = fleet.vassals.get(name)
                if vassal is not None and vassal.waits_in is None:
                    vassal.waits_in = rollout.seq
                    rollout.line[name] = None
            rollout.done = {}
    return fold(fleet, event)


def _forgets_rollouts(fleet: Fleet, event: Event) -> list[Action]:
    """A new daemon does not know who waits for a turn."""
    if event.kind == "daemon_started":
        for vassal in fleet.vassals.values():
            rollout = fleet.rollouts.get(vassal.waits_in or 0)
            if rollout is not None and "preflight" not in vassal.spec.settings:
                vassal.waits_in = None
                rollout.line.pop(vassal.name, None)
                rollout.canaries.pop(vassal.name, None)
    return fold(fleet, event)


def _ends_no_turn(fleet: Fleet, event: Event) -> list[Action]:
    """A turn of a program that cannot say that it accepts is never over."""
    return _passes_over(fleet, event) if event.kind == "rollout_due" else fold(fleet, event)


def _has_a_rollout(fleet: Fleet, event: Event) -> bool:
    return any(each.monitor == event.monitor for each in fleet.rollouts.values())


def _lets_additions_wait(fleet: Fleet, event: Event) -> list[Action]:
    """A vassal is not added while its source has a rollout."""
    waits = event.kind == "vassal_added" and _has_a_rollout(fleet, event)
    return _passes_over(fleet, event) if waits else fold(fleet, event)


def _lets_removals_wait(fleet: Fleet, event: Event) -> list[Action]:
    """A vassal is not removed while its source has a rollout."""
    removes = event.kind in ("vassal_removed", "vassal_destroyed")
    waits = removes and _has_a_rollout(fleet, event)
    return _passes_over(fleet, event) if waits else fold(fleet, event)


ROLLOUTS: Final[dict[str, tuple[Fold, tuple[str, ...]]]] = {
    "all change at once": (_changes_all_at_once, (SIZE, HELD)),
    "per cent are of all sources": (_counts_other_sources, (SIZE,)),
    "who is held back changes by its death": (_frees_those_that_die, (HELD,)),
    "failures hold nothing back": (_goes_on_after_failures, (HELD,)),
    "failed preflights hold nothing back": (_overlooks_failed_preflights, (HELD,)),
    "abort is overlooked": (_aborts_nothing, (HELD,)),
    "an aborted rollout is continued": (_continues_what_was_aborted, (HELD,)),
    "canaries are not gathered": (_gathers_nothing, (GATHERS,)),
    "a new daemon changes again": (_changes_again, (TWICE, "stopped for a reason")),
    "a new daemon forgets who waits": (_forgets_rollouts, ("settles", HELD)),
    "turns do not end": (_ends_no_turn, ("settles",)),
    "additions wait for a rollout": (_lets_additions_wait, (OUTSIDE, "settles")),
    "removals wait for a rollout": (_lets_removals_wait, (OUTSIDE,)),
}


def _staged(size: str, *steps: Step) -> Script:
    """A fleet of four vassals of one source, two of them canaries, and what happens to it."""
    fleet = [Step(0.0, "put", "files", f"{name} healthy canary") for name in ("a.ini", "b.ini")] + [
        Step(0.0, "put", "files", f"{name} healthy") for name in ("c.ini", "d.ini")
    ]
    return Script(1, (*fleet, *steps), 9.0, 3, graceful=False, rollout=size)


# Few seeds would meet these.
STAGED: Final[dict[str, tuple[Fold, str, Script]]] = {
    "canaries go last": (
        _puts_canaries_last,
        CANARIES,
        _staged(
            "1",
            Step(2.5, "put", "files", "c.ini healthy"),
            Step(5.2, "put", "files", "a.ini slow canary"),
            Step(5.24, "put", "files", "b.ini healthy canary"),
        ),
    ),
    "canaries are not awaited": (
        _awaits_no_canaries,
        CANARIES,
        _staged(
            "2",
            Step(2.5, "put", "files", "d.ini healthy"),
            Step(6.5, "put", "files", "a.ini slow canary"),
            Step(6.54, "put", "files", "c.ini healthy"),
        ),
    ),
    "continue is overlooked": (
        _continues_nothing,
        "settles",
        _staged(
            "1",
            Step(2.5, "put", "files", "a.ini crashes canary"),
            Step(2.54, "put", "files", "b.ini healthy canary"),
            Step(5.0, "rollout", what="continue"),
        ),
    ),
}

"""The lines of the daemon's log about events, for an operator who reads them as they come."""

import functools
import logging
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, Final

from ...journal.events import ClockJumped, Event
from ...journal.times import rfc3339
from ...monitors.names import shown
from ..core import budget
from ..core.actions import Action
from ..core.end_text import whose
from ..core.fleet import Fleet, Vassal
from ..core.running import second_text
from ..core.target import unkept_text

_WARNINGS: Final = frozenset(
    (
        "clock_jumped",
        "deploy_refused",
        "exited",
        "health_lost",
        "heartbeat_lost",
        "listen_failed",
        "listen_refused",
        "listing_doubted",
        "monitor_failed",
        "observation_rejected",
        "reload_failed",
        "spawn_failed",
        "vassal_deaf",
        "vassal_failed",
    )
)
_OVER_BUDGET: Final = (
    "more is recorded of it than --record-budget allows; config texts and last lines are left out,"
    " and a vassal that ends in a loop waits for --max-throttle"
)
_KILL: Final = 9
# Orders that get a line of their own. A spawn is told when it has a process.
_TOLD: Final = ("reload", "stop", "retire", "kill")

Line = tuple[int, str]
"""A level and a text."""


def say(event: Event, fleet: Fleet, actions: Iterable[Action] = ()) -> list[Line]:
    """The lines about an event that was just folded, and about the actions that it ordered."""
    vassal = fleet.vassals.get(event.vassal or "")
    told = [_of_event(event, fleet, vassal), *_of_others(event, fleet, actions)]
    if vassal is not None:
        told += (_unkept(event, fleet, vassal), _rolled_back(event, vassal))
    lines = [line for line in told if line is not None]
    if fleet.rollouts or fleet.rolled:
        lines += _of_rollouts(event, fleet)
    account = budget.newly_over(fleet, event)
    if account is not None:
        lines.append((logging.WARNING, f"{account}: {_OVER_BUDGET}"))
    return lines


@functools.cache
def _words(kind: str) -> str:
    return kind.replace("vassal_", "").replace("_", " ")


def _of_event(event: Event, fleet: Fleet, vassal: Vassal | None) -> Line | None:
    what = _words(event.kind)
    detail = _detail(event)
    last = None if vassal is None else vassal.last
    if last is not None and last.seq == event.seq and (last.order is None or last.signal == _KILL):
        detail = ", ".join(filter(None, (detail, whose(last))))
    if detail:
        what += f" ({detail})"
    level = logging.WARNING if event.kind in _WARNINGS else logging.INFO
    if event.vassal is not None and event.kind != "observation_rejected":
        if event.kind == "exited" and (vassal is None or event.cause != event.body.attempt):  # type: ignore[attr-defined]
            level = logging.INFO  # it was asked to
        return level, f"{event.vassal}: {what}, {_now(vassal, event, fleet)}"
    if event.monitor is not None:
        return level, f"{shown(event.monitor)}: {what}"
    if isinstance(event.body, ClockJumped):
        return level, jump_text(event.body)
    return None


def _of_rollouts(event: Event, fleet: Fleet) -> Iterator[Line]:
    """The lines about rollouts that open, are held back or close by this event."""
    for rollout in fleet.rollouts.values():
        what = f"{shown(rollout.monitor)}: rollout {rollout.seq}"
        if rollout.seq == event.seq:
            at_once = f"{rollout.size} vassal{'' if rollout.size == 1 else 's'} at once"
            yield logging.INFO, f"{what} begins, {at_once}"
        elif event.seq == rollout.aborted:
            yield logging.WARNING, f"{what} is aborted, {rollout.waiting} keep their former configs"
        elif event.seq == rollout.held:
            failed = f"{len(rollout.failed)} of {rollout.total} failed"
            yield logging.WARNING, f"{what}: {failed}, {rollout.waiting} are held back"
    for monitor, closed in fleet.rolled.items():
        if closed.closed == event.seq:
            level = logging.WARNING if closed.failed else logging.INFO
            failed = f", {len(closed.failed)} failed" if closed.failed else ""
            text = f"rollout {closed.seq} is over: {closed.done} done{failed}"
            yield level, f"{shown(monitor)}: {text}"


def _unkept(event: Event, fleet: Fleet, vassal: Vassal) -> Line | None:
    """The line that says, before it matters, that a config cannot be run from a copy."""
    if event.kind not in ("vassal_added", "vassal_changed"):
        return None
    told = unkept_text(vassal, fleet.policy)
    return None if told is None else (logging.WARNING, f"{vassal.name}: {told}")


def _rolled_back(event: Event, vassal: Vassal) -> Line | None:
    """The line that says that this event has a change rolled back."""
    refused = vassal.refused
    if refused is None or not refused.rolled_back or refused.seq != event.seq:
        return None
    kept = "" if vassal.kept is None else f" to config {vassal.kept.config or 'unknown'}"
    reason = shown(refused.reason)
    return logging.WARNING, f"{vassal.name}: its change was rolled back{kept}: {reason}"


def jump_text(body: ClockJumped) -> str:
    """How far the wall clock has jumped, and whether it is to be believed."""
    by = f"{'-' if body.by < 0 else '+'}{timedelta(seconds=abs(body.by) // 10**9)}"
    state = body.clock
    if state is None:
        known = "the kernel does not say whether it is synchronized"
    else:
        known = f"the kernel calls it {'synchronized' if state.synchronized else 'unsynchronized'}"
    if body.on_from:
        taken = (
            f"times never go back: they go on from {rfc3339(body.on_from)}, ahead of the clock,"
            " until a daemon starts when the clock is past the last event"
        )
    else:
        taken = "times are by it from now on" if body.taken else "times do not follow it"
    return f"clock jumped by {by}; {known}; {taken}"


def _of_others(event: Event, fleet: Fleet, actions: Iterable[Action]) -> Iterator[Line]:
    """A line for each vassal but the event's own that is reloaded, stopped or killed.

    A request about all vassals orders such, and so does one vassal's event that frees a slot.
    """
    for action in actions:
        vassal = fleet.vassals.get(action.vassal)
        if action.do in _TOLD and action.vassal != event.vassal and vassal is not None:
            yield logging.INFO, f"{action.vassal}: {_now(vassal, event, fleet)}"


def _now(vassal: Vassal | None, event: Event, fleet: Fleet) -> str:
    if vassal is None:
        return "forgotten"
    if fleet.leaving and vassal.phase == "queued":
        # The fold queues it for the next daemon; this one starts none any more.
        return "stopped" if event.kind == "exited" else "not started, as the daemon stops"
    text = f"now {vassal.phase}"
    if vassal.phase == "throttled" and vassal.deadline is not None:
        wait = (vassal.deadline - event.at) / 1e9
        text += f": death {vassal.deaths} in a row, next try in {wait:g} s"
    elif _is_started_meanwhile(vassal, event):
        text += "; it is started when it has stopped"
    elif vassal.phase in ("starting", "barred", "stopping", "held") and vassal.reason:
        text += f": {vassal.reason}"
    return "; ".join((text, *_of_replacement(vassal, event)))


def _of_replacement(vassal: Vassal, event: Event) -> Iterator[str]:
    """Texts about a new instance beside the one that serves, or about a former one."""
    refused = vassal.refused
    if refused is not None and refused.seq == event.seq and event.kind != "deploy_refused":
        yield f"its change was refused: {refused.reason}"
    if (second := second_text(vassal)) is not None:
        yield second


def _is_started_meanwhile(vassal: Vassal, event: Event) -> bool:
    """Whether an operator starts what is being stopped: the reason of that stop holds no more."""
    body: Any = event.body
    starts = event.kind == "operator_requested" and body.request == "start"
    return starts and vassal.phase == "stopping" and vassal.wanted


def _detail(event: Event) -> str:
    body: Any = event.body
    match event.kind:
        case "rollout_due":
            return f"rollout {body.rollout}"
        case "config_restored":
            return "the journal has its text as it was recorded again"
        case "vassal_changed":
            return str(body.change)
        case "spawned":
            taken = ", taken over" if body.mark is not None else ""
            return f"pid {body.pid}{taken}"
        case "timeout_extended":
            return f"{body.seconds:g} s at most"
        case "adopted":
            return f"pid {body.pid}"
        case "exited":
            how = "status unknown" if body.code is None else f"code {body.code}"
            if body.signal is not None:
                how = f"signal {body.signal}"
            return f"{how}, of the reload that was ordered" if body.reload else how
        case "observation_rejected":
            return f"{body.name}: {body.reason}"
        case "operator_requested":
            return str(body.asked)
        case "listing_doubted":
            return f"{len(body.missing)} of {body.known} vassals are missing at once"
        case (
            "monitor_failed" | "spawn_failed" | "listen_failed" | "listen_refused" | "reload_failed"
        ):
            return str(body.reason)
        case "deploy_refused":
            return str(body.reason)
        case "vassal_failed":
            return f"{body.place}: {body.reason}"
        case "vassal_removed" | "vassal_destroyed":
            return str(body.reason)
    return ""

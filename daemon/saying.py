"""What the daemon's log says of an event: the line an operator wants to read as it happens."""

import logging
from typing import Any, Final

from ..journal.events import Event
from ..monitors.names import shown
from .fleet import Fleet, Vassal

_WARNINGS: Final = frozenset(
    (
        "exited",
        "heartbeat_lost",
        "listen_failed",
        "listing_doubted",
        "monitor_failed",
        "observation_rejected",
        "spawn_failed",
    )
)


def say(event: Event, fleet: Fleet) -> tuple[int, str] | None:
    """Level and text for an event that was just folded; None where there is nothing to say."""
    what = event.kind.replace("vassal_", "").replace("_", " ")
    detail = _detail(event)
    if detail:
        what += f" ({detail})"
    level = logging.WARNING if event.kind in _WARNINGS else logging.INFO
    if event.vassal is not None and event.kind != "observation_rejected":
        vassal = fleet.vassals.get(event.vassal)
        if event.kind == "exited" and (vassal is None or event.cause != event.body.attempt):  # type: ignore[attr-defined]
            level = logging.INFO  # it was asked to
        return level, f"{event.vassal}: {what}, {_phase(vassal, event.at)}"
    if event.monitor is not None:
        return level, f"{shown(event.monitor)}: {what}"
    return None


def _phase(vassal: Vassal | None, at: int) -> str:
    if vassal is None:
        return "forgotten"
    text = f"now {vassal.phase}"
    if vassal.phase == "throttled" and vassal.deadline is not None:
        wait = (vassal.deadline - at) / 1e9
        text += f": death {vassal.deaths} in a row, next try in {wait:g} s"
    elif vassal.phase in ("barred", "stopping", "held") and vassal.reason:
        text += f": {vassal.reason}"
    return text


def _detail(event: Event) -> str:
    body: Any = event.body
    match event.kind:
        case "vassal_changed":
            return str(body.change)
        case "spawned" | "adopted":
            return f"pid {body.pid}"
        case "exited":
            if body.signal is not None:
                return f"signal {body.signal}"
            return "status unknown" if body.code is None else f"code {body.code}"
        case "observation_rejected":
            return f"{body.name}: {body.reason}"
        case "listing_doubted":
            return f"{len(body.missing)} of {body.known} vassals are missing at once"
        case "monitor_failed" | "spawn_failed" | "listen_failed":
            return str(body.reason)
        case "vassal_removed" | "vassal_destroyed":
            return str(body.reason)
    return ""

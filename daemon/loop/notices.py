"""The events that the notices of programs are (sd_notify(3)); none where they change nothing."""

from ...journal.events import Body, HeartbeatLost, OfAttempt, TimeoutExtended
from ..core import attempts
from ..core.draft import Draft
from ..core.fleet import Fleet
from ..core.fold import ignores
from ..core.inputs import Notice
from ..core.telling import STOPS


def meaning(fleet: Fleet, notice: Notice) -> list[Draft]:
    """The event that a notice is; none if it is of an attempt that is over, or is repeated."""
    known = fleet.vassals.get(notice.vassal)
    vassal = attempts.of_attempt(known, notice.attempt)
    if known is None or vassal is None:
        return []
    if notice.about == "stopping" and vassal.reason == STOPS:
        return []
    kind, body = _event(notice)
    return [] if ignores(kind, known, notice.attempt) else [Draft(kind, body, None, notice.vassal)]


def _event(notice: Notice) -> tuple[str, Body]:
    attempt = notice.attempt
    match notice.about:
        case "reloading":
            return "vassal_reloading", OfAttempt(attempt=attempt)
        case "stopping":
            return "vassal_stopping", OfAttempt(attempt=attempt)
        case "time":
            return "timeout_extended", TimeoutExtended(attempt=attempt, seconds=notice.seconds)
        case "hang":
            return "heartbeat_lost", HeartbeatLost(attempt=attempt, silent=0.0, asked=True)

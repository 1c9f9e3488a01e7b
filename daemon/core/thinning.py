"""Thinning: news that a vassal can repeat without end are recorded less often above its budget.

Most of what a vassal does again and again ends in a start, and its starts are slowed (``pace``).
News of a program that goes on running are not. Above the budget of its account they are thinned, so
that no decision is lost:

    more time       recorded where it is later than the deadline, and as twice the time. So a
                    program that asks all the time has each second request recorded at most when
                    the first has come halfway. It never gets less than it asked for.
    own reloads     not recorded. A reload that the daemon ordered is.
    health          a change of it is recorded once in --max-throttle, if nothing but the record
                    follows from it. The host waits (``health.py``), so the last change is not lost.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from . import budget
from .draft import Draft
from .fleet import Fleet
from .notify_moves import can_extend, has_until
from .steps import seconds
from .telling import RELOADS


def thinned(fleet: Fleet, draft: Draft, clock: Callable[[], int]) -> Draft | None:
    """The draft as it is recorded at the time of the ``clock``; None if it is not."""
    if draft.kind not in ("vassal_reloading", "timeout_extended") or draft.vassal is None:
        return draft
    vassal, now = fleet.vassals.get(draft.vassal), clock()
    if vassal is None or not budget.is_vassal_over(fleet, draft.vassal, now):
        return draft
    if draft.kind == "vassal_reloading":
        is_ordered = vassal.phase == "reloading" and vassal.reason != RELOADS
        return draft if is_ordered else None
    body: Any = draft.body
    until = now + seconds(body.seconds)
    if not can_extend(fleet, vassal) or until <= has_until(fleet, vassal, now):
        return None
    return msgspec.structs.replace(
        draft, body=msgspec.structs.replace(body, seconds=2 * body.seconds)
    )

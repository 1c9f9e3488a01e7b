"""Why a process ended: whether something asked for it, and whether that was because it failed.

The cause of an ``exited`` is the event that ordered the attempt's last order. Where that is a time
that ran out, the event before tells which: the mercy of a stop, or the time for a start.
"""

from collections.abc import Collection
from typing import Literal, NamedTuple

Why = Literal["unasked", "asked", "silent", "sick", "late"]
FAILURES: frozenset[Why] = frozenset(("silent", "sick", "late"))  # of which the daemon ended it

_ENDS = frozenset(("stop", "retire", "kill"))


class Cause(NamedTuple):
    """An event, and its orders to the vassal."""

    kind: str
    orders: Collection[str]


def why_ended(cause: Cause | None, before: Cause | None) -> Why:
    """Why a process ended. ``cause`` is that of its end, ``before`` the cause of that one.

    ``silent``: no heartbeat came; ``sick``: its checks failed; ``late``: it was not ready in time.
    """
    if cause is None:
        return "unasked"
    if cause.kind == "heartbeat_lost":
        return "silent"
    if cause.kind == "health_lost":
        return "sick"
    if _ENDS.isdisjoint(cause.orders):
        return "unasked"
    if cause.kind != "deadline_passed" or before is None:
        return "asked"
    if before.kind == "health_lost":
        return "sick"
    return "late" if _ENDS.isdisjoint(before.orders) else "asked"

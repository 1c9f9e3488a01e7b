"""Rollouts as people and programs see them: records of the surface, and their texts."""

from collections.abc import Mapping
from typing import Any

from ...journal.times import rfc3339
from .fleet import Fleet, Vassal
from .rollout import Closed, Rollout


def rollout_record(rollout: Rollout) -> dict[str, Any]:
    """A rollout in the shape of the surface. ``total`` is the number of its vassals."""
    return {
        "seq": rollout.seq,
        "at": rfc3339(rollout.at),
        "monitor": rollout.monitor,
        "size": rollout.size,
        "total": rollout.total,
        "done": len(rollout.done),
        "failed": dict(rollout.failed),
        "changing": list(rollout.turning),
        "waiting": rollout.names,
        "state": state_of(rollout),
    }


def closed_record(monitor: str, closed: Closed) -> dict[str, Any]:
    """The last rollout of a source that has closed."""
    return {
        "seq": closed.seq,
        "at": rfc3339(closed.at),
        "monitor": monitor,
        "total": closed.done + len(closed.failed),
        "done": closed.done,
        "failed": dict(closed.failed),
        "ended": rfc3339(closed.ended),
        "state": "aborted" if closed.aborted else "failed" if closed.failed else "done",
    }


def state_of(rollout: Rollout) -> str:
    """``aborted``, ``held`` (back), ``done`` (it takes more in for a moment), or ``open``."""
    if rollout.aborted is not None:
        return "aborted"
    if rollout.held is not None and rollout.waiting:
        return "held"
    return "open" if rollout.waiting or rollout.turning else "done"


def part_of(vassal: Vassal, rollouts: Mapping[int, Rollout]) -> dict[str, Any] | None:
    """The rollout in which a vassal waits, in the shape of the surface."""
    rollout = rollouts.get(vassal.waits_in or 0)
    if rollout is None:
        return None
    return {
        "seq": rollout.seq,
        "state": state_of(rollout),
        "done": len(rollout.done),
        "failed": len(rollout.failed),
        "total": rollout.total,
    }


def part_text(part: Mapping[str, Any] | None) -> str:
    """Why its change is not carried out yet, in words; empty where it waits in no rollout."""
    if part is None:
        return ""
    seq, total = part["seq"], part["total"]
    if part["state"] == "aborted":
        return f"held back: rollout {seq} was aborted"
    if part["state"] == "held":
        return f"held back: {part['failed']} of {total} failed (rollout {seq})"
    return f"waits for its turn in rollout {seq} ({part['done']} of {total} done)"


def turn_text(fleet: Fleet, name: str) -> str:
    """The turn that a vassal has by the last event: ``its turn in rollout 41 (3 of 50 done)``."""
    for rollout in fleet.rollouts.values():
        if name in rollout.turning or name in rollout.done or name in rollout.failed:
            done = f"{len(rollout.done)} of {rollout.total} done"
            return f"its turn in rollout {rollout.seq} ({done})"
    return "its turn in a rollout"

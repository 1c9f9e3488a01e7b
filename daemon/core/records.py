"""Vassals and fleets in the shape of the surface: what ``state`` and ``list`` say as JSON."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from ...journal.events import Spec
from ...journal.times import rfc3339
from . import rules
from .candidate import Candidate
from .end_text import how, whose
from .ends import restarts
from .fleet import End, Fleet, Hold, Refusal, Vassal
from .kept_open import can_listen
from .rollout import Rollout
from .rollout_text import part_of
from .running import due, running_config

NO_ROLLOUTS: Final[Mapping[int, Rollout]] = MappingProxyType({})


def vassal_record(
    vassal: Vassal, now: int | None, rollouts: Mapping[int, Rollout] = NO_ROLLOUTS
) -> dict[str, Any]:
    """A vassal in the shape of the surface.

    ``config`` is the digest that its source wants, ``running`` the one that its process has, and
    ``target`` the one that may be started. ``check`` is the event that ordered the preflight which
    runs, and ``candidate`` the second attempt in a replacement.
    ``rollout`` is that of ``rollouts`` in which its change waits.
    Restarts are counted in the hour before ``now``; None where its daemon did not note them.
    """
    spec = vassal.spec
    return {
        "name": vassal.name,
        "monitor": vassal.monitor,
        "phase": vassal.phase,
        "loyal": vassal.loyal,
        "deaf": vassal.deaf is not None,
        "done": vassal.done,
        "listens": listens(vassal),
        "pid": vassal.pid,
        "attempt": vassal.attempt,
        "config": spec.config,
        "running": running_config(vassal),
        "due": due(vassal),
        "target": None if vassal.target is None else vassal.target.config,
        "check": vassal.check,
        "refused": refusal_record(vassal.refused, rolled_back=False),
        "rolled_back": refusal_record(vassal.refused, rolled_back=True),
        "rollout": part_of(vassal, rollouts),
        "candidate": None if vassal.candidate is None else candidate_record(vassal.candidate),
        "path": spec.path,
        "ts": spec.ts,
        "uid": spec.uid,
        "gid": spec.gid,
        "socket": spec.socket,
        "deaths": vassal.deaths,
        "restarts": None if now is None else restarts(vassal, now),
        "last_exit": None if vassal.last is None else end_record(vassal.last),
        "hold": None if vassal.hold is None else hold_record(vassal.hold),
        "not_before": next_try(vassal),
        "reason": vassal.reason,
    }


def end_record(end: End) -> dict[str, Any]:
    """The end of a process. ``how`` and ``whose`` are words, ``order`` is what the daemon said."""
    return {
        "seq": end.seq,
        "at": rfc3339(end.at),
        "how": how(end),
        "whose": whose(end),
        "code": end.code,
        "signal": end.signal,
        "order": end.order,
        "oom": end.oom or None,
    }


def refusal_record(refused: Refusal | None, *, rolled_back: bool) -> dict[str, Any] | None:
    """The refusal of the wanted config by its preflight, or its rollback; None where it is not."""
    if refused is None or refused.rolled_back != rolled_back:
        return None
    return {"seq": refused.seq, "at": rfc3339(refused.at), "reason": refused.reason}


def candidate_record(second: Candidate) -> dict[str, Any]:
    """The second attempt of a vassal, in a replacement."""
    return {
        "attempt": second.attempt,
        "phase": second.phase,
        "since": rfc3339(second.since),
        "pid": second.pid,
        "config": second.running.config,
        "deadline": None if second.deadline is None else rfc3339(second.deadline),
        "reason": second.reason,
    }


def hold_record(hold: Hold) -> dict[str, Any]:
    """The request that holds a vassal, and its operator."""
    return {
        "seq": hold.seq, "at": rfc3339(hold.at), "uid": hold.uid, "loginuid": hold.loginuid,
    }  # fmt: skip


def noted_until(fleet: Fleet, now: int) -> int | None:
    """``now`` where the fleet's daemon notes deaths, None where it is of 0.1.0."""
    return now if rules.holds(fleet, rules.ENDS) else None


def deafness(vassal: Vassal) -> str | None:
    """The consequences of orders that it did not read, in words; None where it has read all."""
    if vassal.is_deaf:
        return "it reads no orders: a reload is a restart, a stop is a signal"
    if vassal.deaf is not None:
        return "it read no orders with another config; its next reload shows if it does now"
    return None


def phase_of(vassal: Vassal) -> str:
    """Its phase, and what is known of it besides: ``accepting (loyal, deaf)``."""
    known = {"loyal": vassal.loyal, "deaf": vassal.deaf is not None, "done": vassal.done}
    known["listens"] = listens(vassal)
    known["unhealthy"] = vassal.sick is not None
    facts = [fact for fact, holds in known.items() if holds]
    return vassal.phase + (f" ({', '.join(facts)})" if facts else "")


def listens(vassal: Vassal) -> bool:
    """Whether its addresses are to stay open while an operator holds it, and none is refused."""
    return vassal.listens and vassal.unopened is None and can_listen(vassal.aim)


def vassal_columns() -> tuple[str, ...]:
    """The keys of a vassal's record, in order."""
    return tuple(vassal_record(Vassal("", "", Spec(ts=0), "queued", since=0, because=0), None))


# Fields that only a running daemon can fill in.
LIVE: Final = (
    "in_line", "since", "held", "control", "uptime_s", "last_exit_s", "last_heartbeat", "deadline",
    "cgroup", "log", "status", "unkept", "rejected",
)  # fmt: skip


def moment_record(fleet: Fleet) -> dict[str, Any]:
    """The last event of a fleet, and its time."""
    return {"seq": fleet.seq, "at": rfc3339(fleet.at) if fleet.seq else None}


def fleet_record(fleet: Fleet) -> dict[str, Any]:
    """A fleet in the shape of the surface, vassals by name."""
    now = noted_until(fleet, fleet.at)
    return {
        **moment_record(fleet),
        "vassals": [
            vassal_record(fleet.vassals[name], now, fleet.rollouts)
            for name in sorted(fleet.vassals)
        ],
    }


def next_try(vassal: Vassal) -> str | None:
    """When a throttled vassal is tried again, RFC 3339; None where it is not throttled."""
    if vassal.phase != "throttled" or vassal.deadline is None:
        return None
    return rfc3339(vassal.deadline)

"""``state``: the fleet as it stood."""

from collections.abc import Iterable
from typing import Any

from ..daemon.fleet import Fleet, Vassal
from ..journal.times import for_people, rfc3339
from ..monitors.names import shown
from .words import short, table


def vassal_record(vassal: Vassal) -> dict[str, Any]:
    """A vassal in the shape of the surface; ``config`` and what follows is what its source says."""
    spec = vassal.spec
    return {
        "name": vassal.name,
        "monitor": vassal.monitor,
        "phase": vassal.phase,
        "loyal": vassal.loyal,
        "pid": vassal.pid,
        "attempt": vassal.attempt,
        "config": spec.config,
        "path": spec.path,
        "ts": spec.ts,
        "uid": spec.uid,
        "gid": spec.gid,
        "socket": spec.socket,
        "deaths": vassal.deaths,
        "not_before": _next_try(vassal),
        "reason": vassal.reason,
    }


def fleet_record(fleet: Fleet) -> dict[str, Any]:
    """A fleet in the shape of the surface, vassals by name."""
    return {
        "seq": fleet.seq,
        "at": rfc3339(fleet.at) if fleet.seq else None,
        "vassals": [vassal_record(fleet.vassals[name]) for name in sorted(fleet.vassals)],
    }


def lines(fleet: Fleet) -> Iterable[str]:
    """A fleet for people."""
    if not fleet.seq:
        yield "before the first event: no vassals"
        return
    vassals = [fleet.vassals[name] for name in sorted(fleet.vassals)]
    count = "1 vassal" if len(vassals) == 1 else f"{len(vassals)} vassals"
    yield f"after event {fleet.seq}, {for_people(fleet.at)} UTC: {count}"
    for url, outage in fleet.outages.items():
        yield f"cannot be read since {for_people(outage.since)}: {shown(url)}: {outage.reason}"
    if vassals:
        head = ("VASSAL", "PHASE", "SINCE", "PID", "DEATHS", "CONFIG", "MONITOR", "REASON")
        yield from table(head, [_cells(vassal) for vassal in vassals])


def _cells(vassal: Vassal) -> tuple[str, ...]:
    deadline = _next_try(vassal)
    reason = shown(vassal.reason or "")
    if deadline is not None:
        reason = f"{reason}; next try {deadline[11:23]}".removeprefix("; ")
    return (
        shown(vassal.name),
        f"{vassal.phase}{' (loyal)' if vassal.loyal else ''}",
        for_people(vassal.since)[:19],
        "-" if vassal.pid is None else str(vassal.pid),
        str(vassal.deaths),
        short(vassal.spec.config),
        shown(vassal.monitor),
        reason,
    )


def _next_try(vassal: Vassal) -> str | None:
    if vassal.phase != "throttled" or vassal.deadline is None:
        return None
    return rfc3339(vassal.deadline)

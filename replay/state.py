"""``state``: the fleet as it stood."""

from collections.abc import Iterable

from ..daemon.cli.tables import aligned
from ..daemon.core.fleet import Fleet, Vassal
from ..daemon.core.records import next_try, phase_of
from ..journal.times import for_people
from ..monitors.names import shown
from .words import short


def lines(fleet: Fleet) -> Iterable[str]:
    """A fleet for people."""
    if not fleet.seq:
        yield "before the first event: no vassals"
        return
    vassals = [fleet.vassals[name] for name in sorted(fleet.vassals)]
    count = "1 vassal" if len(vassals) == 1 else f"{len(vassals)} vassals"
    yield f"after event {fleet.seq}, {for_people(fleet.at)} UTC: {count}"
    for url, outage in fleet.outages.items():
        since = for_people(outage.since)
        yield f"cannot be read since {since}: {shown(url)}: {shown(outage.reason)}"
    if vassals:
        head = ("VASSAL", "PHASE", "SINCE", "PID", "DEATHS", "CONFIG", "MONITOR", "REASON")
        yield from aligned(head, [_cells(vassal) for vassal in vassals])


def _cells(vassal: Vassal) -> tuple[str, ...]:
    deadline = next_try(vassal)
    reason = shown(vassal.reason or "")
    if deadline is not None:
        reason = f"{reason}; next try {deadline[11:23]}".removeprefix("; ")
    return (
        shown(vassal.name),
        phase_of(vassal),
        for_people(vassal.since)[:19],
        "-" if vassal.pid is None else str(vassal.pid),
        str(vassal.deaths),
        short(vassal.spec.config),
        shown(vassal.monitor),
        reason,
    )

"""``state``: the fleet as it stood."""

from collections.abc import Callable, Collection, Iterable, Sequence

from ..daemon.cli import terminal
from ..daemon.cli.digests import short
from ..daemon.cli.tables import aligned
from ..daemon.cli.vassals import hold_text
from ..daemon.core.end_text import ago
from ..daemon.core.ends import restarts
from ..daemon.core.fleet import Fleet, Vassal
from ..daemon.core.records import hold_record, listens, next_try, noted_until, phase_of
from ..daemon.core.running import (
    due_text,
    in_line,
    is_behind,
    running_config,
    second_text,
    unchecked_text,
    waiting_text,
)
from ..daemon.core.troubles import Cheap, troubles
from ..journal.times import parse, took
from ..monitors.names import shown
from . import clocks
from .clocks import cell, is_local, stamp, told, zone
from .sources import Sources

HEAD = (
    "VASSAL", "PHASE", "SINCE", "PID", "DEATHS", "RESTARTS (1 H)", "LAST EXIT", "RUNS", "WANTED",
    "MONITOR", "REASON",
)  # fmt: skip
_NARROW = 110  # columns of a terminal; below, it has these columns only
_FEW = (0, 1, 2, 3, 5, 10)
_MOST = 10  # vassals that are named above the table


def lines(
    fleet: Fleet, names: Collection[str] | None, content: Callable[[str], bytes | None]
) -> Iterable[str]:
    """A fleet for people, or some of its vassals. ``content`` gives a config by its digest."""
    if not fleet.seq:
        yield "before the first event: no vassals"
        return
    chosen = sorted(fleet.vassals if names is None else fleet.vassals.keys() & set(names))
    vassals = [fleet.vassals[name] for name in chosen]
    count = "1 vassal" if len(vassals) == 1 else f"{len(vassals)} vassals"
    yield f"after event {fleet.seq}, {stamp(fleet.at)}: {count}"
    for url, outage in fleet.outages.items():
        since = clocks.in_line(outage.since)
        yield f"cannot be read since {since}: {shown(url)}: {shown(outage.reason)}"
    yield from _behind(vassals)
    yield from _troubles(vassals, fleet.at, Cheap(content))
    if vassals:
        line, sources = in_line(fleet), Sources.of_fleet(fleet)
        rows = [_cells(vassal, fleet, line, sources) for vassal in vassals]
        yield from aligned(*_for_width(HEAD, rows, fleet.at))


def _for_width(
    head: Sequence[str], rows: Sequence[Sequence[str]], at: int
) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """The columns that a terminal has room for, and the zone of their times."""
    most = terminal.width()
    if is_local():
        head = [*head[:2], f"SINCE ({zone(at)})", *head[3:]]
    if most is None or most >= _NARROW:
        return head, rows
    head = [*head[:5], "RST", *head[6:]]
    return [head[i] for i in _FEW], [[row[i] for i in _FEW] for row in rows]


def _behind(vassals: list[Vassal]) -> Iterable[str]:
    """How many run another config than the wanted one, and which steps wait."""
    behind = sum(map(is_behind, vassals))
    waiting = waiting_text(vassals)
    if behind or waiting:
        up = sum(vassal.attempt is not None for vassal in vassals)
        told = f"{up - behind} of {up} that run have the wanted config, {behind} have another"
        yield f"{told}; {waiting}" if waiting else told


def _troubles(vassals: list[Vassal], now: int, is_cheap: Cheap) -> Iterable[str]:
    """The vassals that are not well, as ``emperor-ctl status`` tells them, and those on hold."""
    found: dict[str, list[str]] = {}
    for vassal in vassals:
        for what, reason in _told_of(vassal, now, is_cheap):
            line = f"{shown(vassal.name)}: {what}"
            found.setdefault(what, []).append(f"{line}: {shown(reason)}" if reason else line)
    for what, lines in sorted(found.items()):
        yield from lines[:_MOST]
        if len(lines) > _MOST:
            yield f"and {len(lines) - _MOST} others are {what}"


def _told_of(vassal: Vassal, now: int, is_cheap: Cheap) -> Iterable[tuple[str, str | None]]:
    """Its hold or its troubles, each in a word, and why."""
    if vassal.held:
        yield "held", _hold(vassal, now)
        return
    for what, _, reason in troubles(vassal, now, is_cheap):
        if what == "unhealthy":
            yield what, (reason or "").removeprefix("unhealthy: ")
        elif what != "crashing" or not _ended_as_ordered(vassal):
            yield what, reason


def _hold(vassal: Vassal, now: int) -> str | None:
    if vassal.hold is None:
        return None
    by = hold_text({"hold": hold_record(vassal.hold)}) or ""
    open_ = "; its addresses stay open" if listens(vassal) else ""
    return f"{by.removeprefix('held ')}, for {took(max(0, now - vassal.hold.at))}{open_}"


def _ended_as_ordered(vassal: Vassal) -> bool:
    """Whether it does not run because its stop was ordered: with its daemon, for instance."""
    return vassal.attempt is None and vassal.last is not None and vassal.last.order is not None


def _cells(vassal: Vassal, fleet: Fleet, line: int, sources: Sources) -> tuple[str, ...]:
    deadline = next_try(vassal)
    facts = [
        shown(vassal.reason or ""),
        None if vassal.hold is None else hold_text({"hold": hold_record(vassal.hold)}),
        due_text(vassal, line),
        shown(unchecked_text(vassal, fleet.rollouts) or ""),
        second_text(vassal),
        None if deadline is None else f"next try {told(parse(deadline))[11:]}",
    ]
    now = noted_until(fleet, fleet.at)
    runs, wanted = running_config(vassal), vassal.spec.config
    return (
        shown(vassal.name),
        terminal.Styled(phase_of(vassal), terminal.of_phase(vassal.phase)),
        cell(vassal.since, fleet.at, 19),
        "-" if vassal.pid is None else str(vassal.pid),
        str(vassal.deaths),
        "-" if now is None else str(restarts(vassal, now)),
        "-" if vassal.last is None else shown(ago(vassal.last, fleet.at)),
        short(runs),
        "same" if runs == wanted and runs is not None else short(wanted),
        sources.name(vassal.monitor),
        "; ".join(fact for fact in facts if fact),
    )

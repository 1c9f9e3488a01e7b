"""The incidents of a fleet: outages, mass removals, crash loops, and deaths of the daemon.

They are found in the last events of the journal, ``_AT_FIRST`` of them, or ten times as many where
those have none. ``last`` first looks for what began last.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal

import msgspec

from ..journal.events import Before, DaemonStarted, Doubted, Event, Failed
from ..journal.reading import COLUMNS, Reader
from ..journal.times import took
from . import intact_events
from .change_groups import APART, GAP
from .failed_ends import FailedEnd, failed_ends

Kind = Literal["outage", "removal", "crash loop", "daemon"]
MASS: Final = 5  # vassals that one listing removes
_TIED: Final = 600 * 10**9  # nanoseconds from an outage to a removal that belongs to it
_LOOP: Final = 3  # deaths in a row
_APART: Final = 240 * 10**9  # nanoseconds between two of them: above --max-throttle by default
_AT_FIRST: Final = 50_000
_KINDS: Final = (
    "monitor_failed",
    "monitor_recovered",
    "listing_doubted",
    "vassal_removed",
    "daemon_started",
    "daemon_stopped",
    "operator_requested",
)


class Incident(msgspec.Struct):
    """One of them. ``seq`` and ``at`` are of its beginning, ``last`` is its last event.

    ``about`` is the source or the vassal, and ``text`` tells the rest of the sentence. ``outage``
    and ``doubted`` are the events of an outage and of a doubt that belong to it. ``removed`` are
    the removals; an outage has those of fewer than ``MASS`` vassals at once with which it ended.
    """

    kind: Kind
    seq: int
    at: int
    last: int
    about: str = ""
    text: str = ""
    until: int | None = None
    reason: str = ""
    outage: tuple[int, int | None] | None = None
    doubted: int | None = None
    removed: list[int] = []


def incidents(reader: Reader, upto: int, after: int | None = None) -> list[Incident]:
    """The incidents behind ``after`` and up to an event, the one that began last first."""
    span = _AT_FIRST if after is None else max(0, upto - after)
    while True:
        found = sorted(_found(reader, upto - span, upto), key=lambda one: -one.seq)
        if found or after is not None or span >= upto - reader.anchor.seq:
            return found
        span *= 10


def _found(reader: Reader, after: int, upto: int) -> Iterator[Incident]:
    rows: list[Any] = reader.fetch(
        f"SELECT {COLUMNS} FROM event WHERE seq > ? AND seq <= ?"
        f" AND kind IN ({', '.join('?' * len(_KINDS))}) ORDER BY seq",
        after, upto, *_KINDS,
    )  # fmt: skip
    events = [event for event, _ in intact_events.readable(reader, rows)]
    yield from _of_sources(events)
    yield from _of_daemons(events)
    yield from _crash_loops(failed_ends(reader, after, upto))


# Sources


def _of_sources(events: Iterable[Event]) -> Iterator[Incident]:
    """Outages and mass removals; a removal takes the outage and the doubt before it along."""
    by_source = defaultdict(list)
    for event in events:
        if event.monitor is not None:
            by_source[event.monitor].append(event)
    for source, its in by_source.items():
        yield from _of_source(source, its)


def _of_source(source: str, events: Iterable[Event]) -> Iterator[Incident]:
    outage: Incident | None = None
    doubted: Event | None = None
    run: list[Event] = []
    for event in events:
        if run and (event.kind != "vassal_removed" or event.at - run[-1].at > APART):
            if _most_at_once(run) >= MASS:
                yield from _removal(source, run, outage, doubted)
                outage = doubted = None
            elif outage is not None:
                _add_removals(outage, run, doubted)
            run = []
        if event.kind == "monitor_failed":
            if outage is not None:
                yield outage
            assert isinstance(event.body, Failed)
            outage = Incident("outage", event.seq, event.at, event.seq, source)
            outage.outage, outage.reason = (event.seq, None), event.body.reason
            outage.text = "cannot be read"
        elif event.kind == "monitor_recovered" and outage is not None:
            outage.until, outage.last, outage.outage = event.at, event.seq, (outage.seq, event.seq)
            lasted = took(event.at - outage.at)
            outage.text = f"could not be read for {lasted}"
        elif event.kind == "listing_doubted":
            doubted = event
        elif event.kind == "vassal_removed":
            run.append(event)
    if _most_at_once(run) >= MASS:
        yield from _removal(source, run, outage, doubted)
    elif outage is not None:
        _add_removals(outage, run, doubted)
        yield outage


def _most_at_once(run: Iterable[Event]) -> int:
    """The most removals of a run that follow each other within ``GAP``."""
    most = count = last = 0
    for event in run:
        count = count + 1 if event.at - last <= GAP else 1
        most, last = max(most, count), event.at
    return most


def _removal(
    source: str, run: list[Event], outage: Incident | None, doubted: Event | None
) -> Iterator[Incident]:
    first = run[0]
    one = Incident("removal", first.seq, first.at, run[-1].seq, source, until=run[-1].at)
    one.text = f"lost {len(run)} vassals"
    one.removed = [event.seq for event in run]
    if doubted is not None and first.at - doubted.at < _TIED:
        one.seq, one.at, one.doubted = doubted.seq, doubted.at, doubted.seq
    if outage is not None:
        if outage.until is not None and first.at - outage.until < _TIED:
            one.seq, one.at = outage.seq, outage.at
            one.outage, one.reason = outage.outage, outage.reason
        else:
            yield outage
    yield one


def _add_removals(outage: Incident, run: Sequence[Event], doubted: Event | None) -> None:
    """Add removals to an outage if the listing with which the source came back led to them.

    It removes them at once, or it is doubted, and the next listing removes some of them.
    """
    if not run or outage.until is None or outage.removed:
        return
    if doubted is not None and doubted.seq > outage.last and (its := _of_doubt(doubted, run)):
        outage.doubted, run = doubted.seq, its
    elif run[0].at - outage.until > APART:
        return
    outage.removed, outage.last = [event.seq for event in run], run[-1].seq
    outage.text += f", and lost {len(run)} vassal{'s' if len(run) > 1 else ''}"


def _of_doubt(doubted: Event, run: Sequence[Event]) -> list[Event]:
    """The removals of vassals that a doubted listing lacked, not long before them."""
    assert isinstance(doubted.body, Doubted)
    if run[0].at - doubted.at >= _TIED:
        return []
    missing = set(doubted.body.missing)
    return [event for event in run if event.vassal in missing]


# Daemons


def _of_daemons(events: Iterable[Event]) -> Iterator[Incident]:
    well = True  # the daemon before ended as it was told to; before the first there is none
    for event in events:
        if event.kind == "daemon_stopped":
            well = True
        elif event.kind == "operator_requested":
            well = well or getattr(event.body, "request", "") == "upgrade"
        elif event.kind == "daemon_started":
            assert isinstance(event.body, DaemonStarted)
            before = event.body.before
            ended_well = well if before is None else before.how in ("told", "replaced")
            if not ended_well:
                text = "the daemon died" if before is None else ending(before)
                yield Incident("daemon", event.seq, event.at, event.seq, text=text)
            well = False


def ending(before: Before) -> str:
    """How the daemon before ended, as the next one recorded it."""
    match before.how:
        case "killed":
            return f"the daemon was killed by signal {before.signal}"
        case "failed":
            return f"the daemon ended with exit code {before.code}"
        case "rebooted":
            return "the machine was rebooted"
        case "told":
            return "the daemon stopped as it was told to"
        case "replaced":
            return "the daemon was replaced by another one"
    return "the daemon died, and no keeper saw how"


# Vassals


def _crash_loops(ends: Iterable[FailedEnd]) -> Iterator[Incident]:
    """Vassals that died again and again: whether that was a break, its story tells."""
    runs: dict[str, list[FailedEnd]] = defaultdict(list)
    for end in ends:
        run = runs[end.vassal]
        if run and end.at - run[-1].at > _APART:
            if len(run) >= _LOOP:
                yield _loop(run)
            run.clear()
        run.append(end)
    for run in runs.values():
        if len(run) >= _LOOP:
            yield _loop(run)


def _loop(run: Sequence[FailedEnd]) -> Incident:
    first, last = run[0], run[-1]
    text = f"died {len(run)} times"
    return Incident("crash loop", first.seq, first.at, last.seq, first.vassal, text, until=last.at)

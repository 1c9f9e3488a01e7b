"""``report``: how well each vassal and the fleet did, and the four measures of DORA.

``uptime.py`` says what counts as up and as an outage. The deploys and their outcomes are those of
``history``. docs/replay.md says how each number is computed, and what a journal cannot know.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from statistics import median
from typing import Any, Final

from ..daemon.cli import terminal
from ..daemon.cli.tables import aligned
from ..journal.reading import Reader
from ..journal.times import Moment, rfc3339, took
from ..monitors.names import shown
from . import tally, tally_segments
from .clocks import cell, stamp, told, zone
from .mass_removals import MassRemoval
from .rebuild import NotFound, damaged
from .salvage import is_allowed
from .sums import NO_SUMS, kept
from .tally import Window
from .uptime import FAILED, SUCCEEDED, Report, Spell

_SECOND: Final = 1_000_000_000
_DAY: Final = 86_400 * _SECOND
COLUMNS: Final = (
    "scope", "host", "vassal", "monitor", "up_s", "down_s", "off_s", "unknown_s", "availability",
    "outages", "down_now", "mttr_s", "median_restore_s", "longest_s", "longest_at", "deaths",
    "deploys", "deploys_per_day", "failed", "failed_share", "lead_s",
)  # fmt: skip
_HEAD: Final = (
    "VASSAL", "UP", "OUTAGES", "MTTR", "LONGEST", "SINCE ({zone})", "DEATHS", "DEPLOYS", "FAILED",
    "LEAD", "MONITOR",
)  # fmt: skip
_NARROW: Final = 110  # columns of a terminal; below, the table has these columns only
_FEW: Final = (0, 1, 2, 4, 5, 6, 8)


def report(
    reader: Reader, since: Moment | None, until: Moment | None, full: bool = False
) -> Report:
    """The findings between two moments. Raises Damaged, NewerFormat, NotFound.

    ``full``: without the sums that a former report has kept, and none are. Nor are they of a reader
    that may leave out events.
    """
    window = window_of(reader, since, until)
    with nullcontext(NO_SUMS) if full or is_allowed(reader) else kept() as sums:
        return tally_segments.tallied(reader, window, sums) or tally.fold(reader, window)


def window_of(reader: Reader, since: Moment | None, until: Moment | None) -> Window:
    """The events and the time between two moments. Raises NotFound where no event is."""
    last = reader.head.seq if until is None else reader.seq_of(until)
    before = reader.anchor.seq if since is None else reader.seq_before(since)
    first_row, last_row = reader.row(before + 1), reader.row(last)
    end = reader.row(reader.head.seq)
    if before >= last or first_row is None or last_row is None or end is None:
        raise NotFound(f"no event is between these times; {_extent(reader)}")
    for row in (first_row, last_row, end):
        if row[1].__class__ is not int:
            raise damaged(reader, row[0], "has no time")
    begin, finish = first_row[1], last_row[1]
    if isinstance(since, int):
        begin = max(since, begin if before == reader.anchor.seq else since)
    if isinstance(until, int):
        finish = min(until, end[1])
    return Window(before, last, begin, finish)


def _extent(reader: Reader) -> str:
    row = reader.row(reader.head.seq)
    if row is None:
        return "the record has none"
    return f"the record ends with event {row[0]}, {stamp(row[1])}"


# Numbers


class Line:
    """The numbers of one vassal, or of several taken together."""

    def __init__(self, scope: str, host: str | None, name: str | None, spells: list[Spell]) -> None:
        self.scope, self.host, self.name = scope, host, name
        self.monitor = spells[0].monitor if scope == "vassal" else None
        self.up = sum(spell.up for spell in spells)
        self.down = sum(spell.down for spell in spells)
        self.off = sum(spell.off for spell in spells)
        self.unknown = sum(spell.unknown for spell in spells)
        self.outages = sum(spell.outages for spell in spells)
        self.open = sum(spell.open for spell in spells)
        self.deaths = sum(spell.deaths for spell in spells)
        self.restored = [each for spell in spells for each in spell.restored]
        self.leads = [each for spell in spells for each in spell.leads]
        worst = max(spells, key=lambda spell: spell.longest, default=None)
        self.longest = worst.longest if worst is not None and self.outages else None
        self.longest_at = worst.longest_at if worst is not None and self.outages else None
        self.deploys = sum(count for spell in spells for count in spell.outcomes.values())
        self.succeeded = sum(spell.outcomes.get(each, 0) for spell in spells for each in SUCCEEDED)
        self.failed = sum(spell.outcomes.get(each, 0) for spell in spells for each in FAILED)

    @property
    def availability(self) -> float | None:
        """The share of the time that it should have been up; None where it never should."""
        known = self.up + self.down
        return self.up / known if known else None

    @property
    def mttr(self) -> float | None:
        """Nanoseconds from a failure to the next time up, on average."""
        return sum(self.restored) / len(self.restored) if self.restored else None

    @property
    def failed_share(self) -> float | None:
        """Of the deploys that came to something, the share that failed."""
        known = self.failed + self.succeeded
        return self.failed / known if known else None

    @property
    def lead(self) -> float | None:
        """Nanoseconds from a deploy to its success, the median."""
        return median(self.leads) if self.leads else None

    def record(self, span: int) -> dict[str, Any]:
        """As JSON and CSV have it."""
        values = (
            self.scope, self.host, self.name, self.monitor, _seconds(self.up), _seconds(self.down),
            _seconds(self.off), _seconds(self.unknown), _rounded(self.availability), self.outages,
            self.open, _seconds(self.mttr),
            _seconds(median(self.restored) if self.restored else None), _seconds(self.longest),
            None if self.longest_at is None else rfc3339(self.longest_at), self.deaths,
            self.deploys, _rounded(_a_day(self.deploys, span)), self.failed,
            _rounded(self.failed_share), _seconds(self.lead),
        )  # fmt: skip
        return dict(zip(COLUMNS, values, strict=True))

    def cells(self, source: str, until: int) -> tuple[str, ...]:
        """As people read it, with the short name of its source; ``until`` is the period's end."""
        at = "" if self.longest_at is None else cell(self.longest_at, until, 19)
        outages = f"{self.outages} (down now)" if self.open else str(self.outages)
        return (
            self.label, _percent(self.availability), outages, _took(self.mttr),
            _took(self.longest), at or "-", str(self.deaths), str(self.deploys),
            _percent(self.failed_share), _took(self.lead), source,
        )  # fmt: skip

    @property
    def label(self) -> str:
        """Its name for people."""
        if self.name is None:
            return "(all)" if self.host is None else f"({shown(self.host)})"
        name = shown(self.name)
        return name if self.host is None else f"{shown(self.host)}/{name}"


def _a_day(deploys: int, span: int) -> float | None:
    """Their number a day; None where the span is too short to tell."""
    return deploys * _DAY / span if span >= _DAY else None


def _seconds(nanoseconds: float | None) -> float | None:
    return None if nanoseconds is None else round(nanoseconds / _SECOND, 3)


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 6)


def _took(nanoseconds: float | None) -> str:
    return "-" if nanoseconds is None else took(int(nanoseconds))


def _percent(share: float | None) -> str:
    """Never 100 % unless it is all of it."""
    if share is None:
        return "-"
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    return f"{min(max(share * 100, 0.001), 99.999):.3f}%"


# The answer

# The worst first; where nothing is known, last.
ORDERS: Final[dict[str, Callable[[Line], float]]] = {
    "up": lambda line: 2 if line.availability is None else line.availability,
    "outages": lambda line: -line.outages,
    "mttr": lambda line: -(line.mttr or 0),
    "longest": lambda line: -(line.longest or 0),
    "deaths": lambda line: -line.deaths,
    "deploys": lambda line: -line.deploys,
    "failed": lambda line: -line.failed,
    "lead": lambda line: -(line.lead or 0),
}


class Answer:
    """The lines of a report: the fleet, each host where there are several, each vassal."""

    def __init__(
        self,
        found: Sequence[tuple[str | None, Report]],
        wanted: Callable[[str | None, str, str | None], bool],  # by host, name and source
        order: str = "name",
        removals: Sequence[tuple[str | None, MassRemoval]] = (),
    ) -> None:
        self.removals = removals
        self.reports = [report for _, report in found]
        self.since = min(report.since for report in self.reports)
        self.until = max(report.until for report in self.reports)
        chosen = [
            (host, name, spell)
            for host, report in found
            for name, spell in sorted(report.spells.items())
            if wanted(host, name, spell.monitor)
            and (spell.up or spell.down or spell.off or spell.outcomes)
        ]
        self.vassals = [Line("vassal", host, name, [spell]) for host, name, spell in chosen]
        if order != "name":
            self.vassals.sort(key=ORDERS[order])
        self.fleet = Line("fleet", None, None, [spell for _, _, spell in chosen])
        self.hosts = [
            Line("host", host, None, [spell for other, _, spell in chosen if other == host])
            for host, _ in found
            if len(found) > 1
        ]

    def records(self) -> Iterator[dict[str, Any]]:
        """The fleet first, then hosts, then vassals."""
        span = self.until - self.since
        return (line.record(span) for line in (self.fleet, *self.hosts, *self.vassals))

    def as_json(self) -> dict[str, Any]:
        """All that there is to tell, for ``--json``."""
        fleet, *rest = self.records()
        return {
            "since": rfc3339(self.since),
            "until": rfc3339(self.until),
            "events": sum(report.events for report in self.reports),
            "daemon_starts": sum(report.starts for report in self.reports),
            "daemon_breaks": sum(report.breaks for report in self.reports),
            "no_daemon_s": _seconds(sum(report.gaps for report in self.reports)),
            "fleet_outages": [one.record(host) for host, one in self.removals],
            "fleet": fleet,
            "hosts": rest[: len(self.hosts)],
            "vassals": rest[len(self.hosts) :],
        }

    def lines(self, named: Callable[[str | None, str | None], str]) -> Iterator[str]:
        """For people. ``named`` gives the short name of a source of a host."""
        events = sum(report.events for report in self.reports)
        span = self.until - self.since
        yield (
            f"{told(self.since)[:19]} to {told(self.until)[:19]} {zone(self.until)}"
            f" ({took(span)}), {events} events"
        )
        yield from self._daemons()
        yield from (one.line(named(host, one.monitor)) for host, one in self.removals)
        fleet = self.fleet
        rate = _a_day(fleet.deploys, span)
        a_day = f"{fleet.deploys}" if rate is None else f"{rate:.3g} a day"
        yield (
            f"deployment frequency {a_day}, lead time {_took(fleet.lead)},"
            f" change failure rate {_percent(fleet.failed_share)},"
            f" time to restore {_took(fleet.mttr)}"
        )
        head = [each.format(zone=zone(self.until)) for each in _HEAD]
        every = (fleet, *self.hosts, *self.vassals)
        rows = [line.cells(named(line.host, line.monitor), self.until) for line in every]
        most = terminal.width()
        if most is not None and most < _NARROW:
            head, rows = [head[i] for i in _FEW], [tuple(row[i] for i in _FEW) for row in rows]
        yield from aligned(head, rows)

    def _daemons(self) -> Iterable[str]:
        breaks = sum(report.breaks for report in self.reports)
        if breaks:
            gaps = sum(report.gaps for report in self.reports)
            times = "once" if breaks == 1 else f"{breaks} times"
            most = " at most" if any(report.unseen for report in self.reports) else ""
            yield (
                f"a daemon ended without a word {times}, and for {took(gaps)}{most} there was"
                " none; vassals ran on"
            )

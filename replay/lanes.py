"""The lanes of a timeline: the phases of each vassal, and the marks on them.

All texts are escaped here (``shown``). So a tenant's name cannot turn the direction of writing
round or end a line, wherever it is drawn.
"""

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

from ..daemon.core.actions import Action
from ..daemon.core.fleet import Fleet, Phase
from ..journal.deploys import DEPLOYS
from ..journal.events import Event, Exited
from ..journal.reading import Reader
from ..journal.times import rfc3339
from ..monitors.names import shown
from . import intact_events
from .event_text import decode_actions, essence
from .rebuild import base, fold_one
from .tally import Window
from .uptime import is_failure

Sort = Literal["deploy", "removal", "death", "kill", "operator", "daemon", "source"]
SORTS: Final[tuple[Sort, ...]] = (
    "deploy", "removal", "death", "kill", "operator", "daemon", "source",
)  # fmt: skip
FLEET: Final = "(all)"  # the lane of events about the fleet and its sources
_OF_ALL: Final[dict[str, Sort]] = {
    "operator_requested": "operator",
    "daemon_started": "daemon",
    "daemon_ready": "daemon",
    "daemon_stopping": "daemon",
    "daemon_stopped": "daemon",
    "clock_jumped": "daemon",
    "journal_adopted": "daemon",
    "journal_forked": "daemon",
    "journal_archived": "daemon",
    "monitor_failed": "source",
    "monitor_recovered": "source",
    "listing_doubted": "source",
    "observation_rejected": "source",
}
_DEATHS: Final = ("spawn_failed", "heartbeat_lost", "vassal_failed", "listen_failed")
_REFUSALS: Final = ("deploy_refused", "listen_refused")  # of a change
_RUNS: Final[tuple[Phase, ...]] = ("starting", "ready", "accepting", "reloading")


class Bar(NamedTuple):
    """A phase, from when to when."""

    begin: int
    end: int
    phase: str
    reason: str


class Mark(NamedTuple):
    """A moment that is worth a mark."""

    at: int
    seq: int
    sort: Sort
    what: str
    source: str | None = None  # the one that it is about, where it is about no vassal

    @property
    def text(self) -> str:
        """The mark with the number of its event."""
        return f"{self.what} ({self.seq})"


class Lane:
    """One vassal, or the fleet."""

    def __init__(self, vassal: str | None) -> None:
        self.vassal = vassal
        self.name = FLEET if vassal is None else shown(vassal)
        self.bars: list[Bar] = []
        self.marks: list[Mark] = []
        self.sources: set[str] = set()  # that had the vassal
        self._open: Bar | None = None

    def enter(self, phase: str | None, reason: str, at: int) -> None:
        """It is in this phase from now on; in none any more."""
        was = self._open
        if was is not None and was.phase == phase:
            return
        if was is not None and at > was.begin:
            self.bars.append(was._replace(end=at))
        self._open = None if phase is None else Bar(at, at, phase, reason)


class Lanes:
    """All lanes of a window: the fleet's first, then vassals by name."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self._lanes: dict[str, Lane] = {}
        self.fleet = Lane(None)

    @property
    def lanes(self) -> list[Lane]:
        """Those that have something to show."""
        named = [lane for _, lane in sorted(self._lanes.items())]
        return [self.fleet, *(lane for lane in named if lane.bars or lane.marks)]

    def keep(self, wanted: Callable[[str], bool], source: str | None = None) -> None:
        """Leave out the lanes of vassals that are not wanted, and those of other sources.

        The fleet's lane stays, but for the marks of other sources.
        """
        self._lanes = {
            name: lane
            for name, lane in self._lanes.items()
            if wanted(name) and (source is None or source in lane.sources)
        }
        if source is not None:
            marks = self.fleet.marks
            self.fleet.marks = [each for each in marks if each.source in (None, source)]

    def begin(self, fleet: Fleet) -> None:
        """The window begins with this fleet."""
        for name in fleet.vassals:
            self._look(fleet, name, self.window.since)

    def take(self, fleet: Fleet, event: Event, orders: list[Action], failure: bool) -> None:
        """See an event that was just folded. ``failure``: it is one of the vassal's process."""
        name = event.vassal
        if (sort := _sort(event, failure)) is not None:
            text = f"{event.kind.removeprefix('vassal_')} {essence(event.body)}".strip()
            if event.kind == "deadline_passed":
                text = "was not ready in time"
            about = shown(event.monitor) if sort == "source" and event.monitor else ""
            source = event.monitor if sort == "source" else None
            self._mark(name, Mark(event.at, event.seq, sort, f"{text} {about}".strip(), source))
        for order in orders:
            if order.do == "kill":
                self._mark(order.vassal, Mark(event.at, event.seq, "kill", "kill ordered"))
        touched = {order.vassal for order in orders} | ({name} if name is not None else set())
        for each in touched if name is not None else set(fleet.vassals) | set(self._lanes):
            self._look(fleet, each, event.at)

    def finish(self) -> None:
        """The window ends."""
        for lane in self._lanes.values():
            lane.enter(None, "", self.window.until)

    def _mark(self, name: str | None, mark: Mark) -> None:
        lane = self.fleet if name is None else self._lanes.setdefault(name, Lane(name))
        lane.marks.append(mark)

    def _look(self, fleet: Fleet, name: str, at: int) -> None:
        vassal = fleet.vassals.get(name)
        if vassal is not None:
            lane = self._lanes.setdefault(name, Lane(name))
            lane.sources.add(vassal.monitor)
            lane.enter(vassal.phase, shown(vassal.reason or ""), at)
        elif name in self._lanes:
            self._lanes[name].enter(None, "", at)


def _sort(event: Event, failure: bool) -> Sort | None:
    kind = event.kind
    if kind in DEPLOYS:
        return "deploy" if kind in ("vassal_added", "vassal_changed") else "removal"
    if failure or kind in _DEATHS:
        return "death"
    if kind in _REFUSALS:
        return "deploy"
    return _OF_ALL.get(kind)


def record(lanes: Lanes) -> dict[str, Any]:
    """The lanes for programs."""
    window = lanes.window
    return {
        "since": rfc3339(window.since),
        "until": rfc3339(window.until),
        "first": window.before + 1,
        "last": window.last,
        "lanes": [_lane_record(lane) for lane in lanes.lanes],
    }


def _lane_record(lane: Lane) -> dict[str, Any]:
    return {
        "vassal": lane.vassal,
        "phases": [
            {
                "since": rfc3339(bar.begin),
                "until": rfc3339(bar.end),
                "phase": bar.phase,
                "reason": bar.reason or None,
            }
            for bar in lane.bars
        ],
        "marks": [
            {"seq": mark.seq, "at": rfc3339(mark.at), "sort": mark.sort, "text": mark.what}
            for mark in lane.marks
        ],
    }


def lanes(reader: Reader, window: Window) -> Lanes:
    """The lanes of a window. Raises Damaged, NewerFormat, FoldFailed."""
    fleet, _ = base(reader, window.before)
    for event, _ in intact_events.events(reader, fleet.seq, window.before):
        fold_one(fleet, event)
    found = Lanes(window)
    found.begin(fleet)
    for event, row in intact_events.events(reader, window.before, window.last):
        orders = decode_actions(row[7])
        failure = _is_failure(fleet, event, orders)
        fold_one(fleet, event)
        found.take(fleet, event, orders, failure)
    found.finish()
    return found


def _is_failure(fleet: Fleet, event: Event, orders: list[Action]) -> bool:
    body: Any = event.body
    vassal = fleet.vassals.get(event.vassal or "")
    if vassal is None:
        return False
    if event.kind == "health_lost":  # its settings may want it noted, and no more
        return any(order.do == "stop" for order in orders)
    if event.kind == "deadline_passed":  # not ready in time; the time of a stop is no failure
        if body.attempt is not None:
            return False  # of the second instance, in a replacement: the first one serves
        return vassal.phase in _RUNS and any(order.do == "kill" for order in orders)
    if not isinstance(body, Exited) or vassal.attempt != body.attempt:
        return False
    return vassal.phase != "stopping" and is_failure(fleet, vassal, event)

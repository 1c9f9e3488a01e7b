"""The state of each vassal at each event, by folding every event: ``report``.

It begins with the nearest snapshot before the window. A *tally* sees what each event means for the
vassals, and ``Totals`` adds it up. ``tally_segments.py`` has the events of a long journal seen by
all cores.
"""

from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec

from ..daemon.core.actions import Action
from ..daemon.core.deploys import Deploy, Deploys
from ..daemon.core.fleet import Fleet, Phase, Vassal
from ..daemon.core.fold import MOVES_NO_VASSAL
from ..journal.deploys import DEPLOYED
from ..journal.events import DaemonStarted, Event, Exited, Spec
from ..journal.reading import Reader
from . import intact_events
from .event_text import decode_actions
from .rebuild import FoldFailed, base, fold_one
from .salvage import leave_out
from .uptime import Report, Spell, State, finished, is_failure, was_failing

# How a daemon ended: as it was told to, or otherwise, and whether a keeper saw when. The next
# daemon did not record how an ``untold`` one ended.
DaemonEnd = Literal["ordered", "seen", "unseen", "untold"]
KEPT: Final = 2_000  # deploys that wait to be counted
# Events that may tell of a failure.
_FAILURES: Final = frozenset(
    (
        "exited", "heartbeat_lost", "health_lost", "spawn_failed", "listen_failed",
        "vassal_failed", "deadline_passed",
    )
)  # fmt: skip
_STOPS: Final = frozenset(["daemon_stopping", "daemon_stopped", "journal_forked"])
_TELLING: Final = _FAILURES | _STOPS | {"daemon_started", "operator_requested"}
_STATES: Final[dict[Phase, State]] = {  # where it does not depend on more than the phase
    "queued": "down", "throttled": "down", "starting": "down", "barred": "down",
    "ready": "up", "accepting": "up", "reloading": "up", "listening": "off", "held": "off",
}  # fmt: skip


class Window(msgspec.Struct, frozen=True):
    """The events and the time that a report is about."""

    before: int  # the last event before it
    last: int  # the last event in it
    since: int
    until: int


class Totals:
    """Adds up what a tally sees, in order. The last event before it was at ``at``."""

    def __init__(self, window: Window, at: int) -> None:
        self.spells: dict[str, Spell] = {}
        events = window.last - window.before
        self.report = Report(window.since, window.until, events, self.spells)
        self._since = window.since
        self._begun = False
        self._gap = at  # when the daemon before the present one ended, or its last event
        self._upgraded = False  # the present daemon was told to let another one take over

    def spell(self, name: str) -> Spell:
        found = self.spells.get(name)
        if found is None:
            found = self.spells[name] = Spell(self._since if self._begun else 0)
        return found

    def begin(self) -> None:
        """The window begins."""
        self._begun = True
        for spell in self.spells.values():
            spell.reset(self._since)

    def start(self, at: int, end: int, how: DaemonEnd) -> None:
        """A daemon starts at a time, and the one before ended at ``end``; 0 where there was none.

        The journal does not know the time of an ``unseen`` end: ``end`` is that of the last event.
        An ``untold`` one was ordered if an upgrade was requested, and is unseen otherwise.
        """
        if how == "untold":
            how = "ordered" if self._upgraded else "unseen"
        self._upgraded = False
        self._gap = end
        if self._begun:
            self.report.starts += 1
            if how != "ordered" and end:
                self.report.breaks += 1
                self.report.gaps += at - max(end, self._since)
                self.report.unseen += how == "unseen"

    def upgrade(self) -> None:
        """The present daemon is told to let another one take over."""
        self._upgraded = True

    def enter(self, vassal: Vassal, state: State, at: int, failed: bool) -> None:
        spell = self.spell(vassal.name)
        spell.monitor = vassal.monitor
        spell.enter(state, at, failed)

    def go(self, name: str, at: int) -> None:
        """A vassal is there no more."""
        if name in self.spells:
            self.spells[name].enter("absent", at)

    def lose(self, name: str, at: int) -> None:
        self.spell(name).lose(self._gap, at)

    def die(self, name: str) -> None:
        self.spell(name).deaths += 1

    def deployed(self, deploys: Iterable[Deploy]) -> None:
        """Deploys in the window, of which nothing new will be known."""
        for deploy in deploys:
            if deploy.kind in DEPLOYED:
                at = deploy.outcome_at
                self.spell(deploy.vassal).deployed(deploy.outcome, at and at - deploy.at)

    def finish(self) -> Report:
        """The window ends."""
        if not self._begun:
            self.begin()
        for spell in self.spells.values():
            spell.finish(self.report.until)
        return self.report


def fold(reader: Reader, window: Window) -> Report:
    """Fold everything. Raises Damaged, NewerFormat, FoldFailed."""
    fleet, _ = base(reader, window.before)
    totals = Totals(window, fleet.at)
    follower = in_window(window)
    tally = Tally(window, fleet, totals)
    follow(reader, window.last, tally, follower)
    outlast(reader, fleet, follower)
    totals.deployed(follower.touched.values())
    return totals.finish()


def in_window(window: Window) -> Deploys:
    """A follower of the deploys in a window."""
    return Deploys(fits=lambda event: window.before < event.seq <= window.last)


def settle(totals: Totals, follower: Deploys) -> None:
    """Count the deploys of which nothing new will be known, and forget them."""
    waits = {deploy.seq for deploy in follower.open.values()}
    known = follower.touched
    totals.deployed(known[seq] for seq in known if seq > 0 and seq not in waits)
    follower.touched = {seq: known[seq] for seq in known if seq in waits}


def follow(reader: Reader, until: int, tally: "Tally", follower: Deploys) -> None:
    """Fold up to an event. Raises Damaged, NewerFormat, FoldFailed."""
    for event, row in intact_events.events(reader, tally.fleet.seq, until):
        try:
            tally.fold(event, decode_actions(row[7]), follower)
        except FoldFailed as error:
            leave_out(reader, event.seq, error)
        if len(follower.touched) > KEPT:
            settle(tally.totals, follower)


def outlast(reader: Reader, fleet: Fleet, follower: Deploys) -> None:
    """Fold on as long as a deploy is open. Raises Damaged, NewerFormat, FoldFailed."""
    if not follower.open:
        return
    for event, row in intact_events.events(reader, fleet.seq, reader.head.seq, chained=False):
        follower.take(fleet, event, decode_actions(row[7]), fold_one)
        if not follower.open:
            return


class Tally:
    """Sees what each event means; the window may not have begun yet.

    ``resumed``: the totals have all that was before, and the window has begun.
    """

    def __init__(self, window: Window, fleet: Fleet, totals: Totals, resumed: bool = False) -> None:
        self.fleet = fleet
        self.totals = totals
        self._before = window.before
        self._begun = resumed
        self._at = fleet.at  # of the last event
        self.stopped = fleet.leaving  # the daemon was told to stop, and no other has started
        self.finished = {v.name for v in fleet.vassals.values() if v.done}
        self._known = set(fleet.vassals)
        if not resumed:
            for name, vassal in fleet.vassals.items():
                self._look(name, self._at, was_failing(vassal))

    def states(self) -> dict[str, State]:
        """The state of each vassal."""
        return {name: self._state(vassal) for name, vassal in self.fleet.vassals.items()}

    def fold(self, event: Event, orders: list[Action], follower: Deploys) -> None:
        """Fold an event, and see what it means. Raises NewerFormat, FoldFailed."""
        if not self._begun and event.seq > self._before:
            self._begun = True
            self.totals.begin()
        was = None
        if event.kind in _FAILURES:
            before = self.fleet.vassals.get(event.vassal or "")
            was = None if before is None else self._before_it(before, event)
        follower.take(self.fleet, event, orders, fold_one)
        self._take(event, orders, was)
        self._at = event.at

    def _before_it(self, vassal: Vassal, event: Event) -> tuple[Phase, int | None, Spec, bool]:
        """The facts about a vassal before the event, and whether it is the end of a failure."""
        died = isinstance(event.body, Exited) and is_failure(self.fleet, vassal, event)
        return vassal.phase, vassal.attempt, vassal.spec, died

    def _take(self, event: Event, orders: list[Action], was: Any) -> None:
        body: Any = event.body
        kind, name = event.kind, event.vassal
        failed = False
        if kind in _TELLING:  # of any vassal's failure, of a daemon, or an operator's request
            self._take_daemon(event)
            failed = kind in _FAILURES and not event.failed and self._is_failure(event, was)
        if self.finished:
            self.finished.difference_update(o.vassal for o in orders if o.do in ("spawn", "listen"))
        also = body.also if kind == "vassal_failed" else ()
        turned = self.fleet.turned  # a change that had its turn in a rollout may order nothing
        if not orders and not also and not turned:
            if name is not None:  # most events are about one vassal
                self._look(name, event.at, failed)
                return
            if kind in MOVES_NO_VASSAL:
                return
        touched = {order.vassal for order in orders}.union(also, turned)
        if name is None:
            touched |= self._known
        else:
            touched.add(name)
        for each in touched:
            self._look(each, event.at, failed if each == name else each in also)

    def _take_daemon(self, event: Event) -> None:
        kind = event.kind
        if kind == "daemon_started":
            self.totals.start(event.at, *self._end_before(event))
            self.stopped = False
        elif kind == "operator_requested":
            body: Any = event.body
            if body.request == "upgrade":
                self.totals.upgrade()
        elif kind in _STOPS:
            self.stopped = kind != "journal_forked"

    def _end_before(self, event: Event) -> tuple[int, DaemonEnd]:
        """When the daemon before this one ended, and how."""
        assert isinstance(event.body, DaemonStarted)
        before = event.body.before
        away = None if before is None else before.away
        end = self._at if away is None else event.at - away
        if self.stopped or (before is not None and before.how in ("told", "replaced")):
            return end, "ordered"
        if before is None:
            return end, "untold"
        return end, "unseen" if away is None else "seen"

    def _is_failure(self, event: Event, was: Any) -> bool:
        body: Any = event.body
        kind, name = event.kind, event.vassal
        if was is None or name is None:
            return False
        phase, attempt, spec, died = was
        runs = phase in ("starting", "ready", "accepting", "reloading")
        if isinstance(body, Exited) and runs and body.attempt == attempt:
            if body.away:
                self.totals.lose(name, event.at)
            if finished(spec, body):
                self.finished.add(name)
            if died:
                self.totals.die(name)
                return True
            return False
        if kind == "heartbeat_lost" and runs and body.attempt == attempt:
            self.totals.die(name)
            return True
        if kind == "health_lost" and runs and body.attempt == attempt:
            if self._phase(name) != "stopping":
                return False  # its settings want it noted, and no more
            self.totals.die(name)
            return True
        if kind == "deadline_passed":
            if not runs or self._phase(name) != "stopping":
                return False  # the time of a slot, a throttle or a stop
            self.totals.die(name)  # it was not ready in time
            return True
        if kind == "spawn_failed":
            return bool(phase == "starting" and body.attempt == attempt)
        if kind == "listen_failed":
            return phase == "listening" and self._phase(name) not in (None, "listening")
        return kind == "vassal_failed"

    def _phase(self, name: str) -> Phase | None:
        vassal = self.fleet.vassals.get(name)
        return None if vassal is None else vassal.phase

    def _look(self, name: str, at: int, failed: bool) -> None:
        vassal = self.fleet.vassals.get(name)
        if vassal is None or vassal.phase == "held":
            self.finished.discard(name)
        if vassal is None:
            self.totals.go(name, at)
            return
        self._known.add(name)
        self.totals.enter(vassal, self._state(vassal), at, failed or vassal.phase == "barred")

    def _state(self, vassal: Vassal) -> State:
        if self.stopped:
            return "paused"
        if self.finished and vassal.name in self.finished:
            return "off"
        if vassal.phase == "stopping":
            return "down" if vassal.wanted and not vassal.held else "off"
        return _STATES[vassal.phase]

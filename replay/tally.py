"""The state of each vassal at each event, by folding every event: ``report``.

It begins with the nearest snapshot before the window.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from ..daemon.core.actions import Action
from ..daemon.core.deploys import Deploys
from ..daemon.core.fleet import Fleet, Vassal
from ..journal.deploys import DEPLOYED
from ..journal.errors import VERIFY_SAYS_MORE, Damaged
from ..journal.events import Event, Exited
from ..journal.reading import Reader, Row
from .rebuild import base, fold_one
from .uptime import Report, Spell, State, finished, is_failure, was_failing
from .words import decode_actions


class Window(msgspec.Struct, frozen=True):
    """The events and the time that a report is about."""

    before: int  # the last event before it
    last: int  # the last event in it
    since: int
    until: int


def rows(reader: Reader, after: int, upto: int) -> Iterator[Row]:
    """The events as they are stored. Raises Damaged where one is missing."""
    expected = after
    for row in reader.rows(after=after, upto=upto):
        expected += 1
        if row[0] != expected:
            break
        yield row
    else:
        if expected == upto:
            return
        expected += 1
    raise Damaged(
        f"{reader.path}: event {expected} is missing, so what came of it cannot be told"
        f"{VERIFY_SAYS_MORE}",
        expected,
        expected - 1,
    )


def fold(reader: Reader, window: Window) -> Report:
    """Fold everything. Raises Damaged, NewerFormat, FoldFailed."""
    fleet, _ = base(reader, window.before)
    return _Tally(reader, window, fleet).run()


class _Tally:
    """The findings so far; the window may not have begun yet."""

    def __init__(self, reader: Reader, window: Window, fleet: Fleet) -> None:
        self.reader = reader
        self.window = window
        self.fleet = fleet
        self.spells: dict[str, Spell] = {}
        self.report = Report(window.since, window.until, 0, self.spells)
        self.begun = False
        self.at = fleet.at  # of the last event
        self.gap = fleet.at  # of the last event before the present daemon
        self.stopped = fleet.leaving  # the daemon was told to stop, and no other has started
        self.finished = {v.name for v in fleet.vassals.values() if v.done}
        for name, vassal in fleet.vassals.items():
            self._look(name, self.at, was_failing(vassal))

    def run(self) -> Report:
        window = self.window
        follower = Deploys(fits=lambda event: window.before < event.seq <= window.last)
        for row in rows(self.reader, self.fleet.seq, self.reader.head.seq):
            if row[0] > window.last and not follower.open:
                break
            event = self.reader.decode(row)
            if event.seq > window.before and not self.begun:
                self._begin()
            before = self.fleet.vassals.get(event.vassal or "")
            was = None if before is None else (before.phase, before.attempt, before.spec)
            orders = decode_actions(row[7])
            follower.take(self.fleet, event, orders, fold_one)
            if event.seq <= window.last:
                self._take(event, orders, was)
                self.at = event.at
        self.report.events = window.last - window.before
        for deploy in follower.touched.values():
            if deploy.kind in DEPLOYED:
                at = deploy.outcome_at
                self._spell(deploy.vassal).deployed(deploy.outcome, at and at - deploy.at)
        if not self.begun:
            self._begin()
        for spell in self.spells.values():
            spell.finish(window.until)
        return self.report

    def _spell(self, name: str) -> Spell:
        found = self.spells.get(name)
        if found is None:
            found = self.spells[name] = Spell(self.window.since if self.begun else 0)
        return found

    def _begin(self) -> None:
        """The window begins."""
        self.begun = True
        for spell in self.spells.values():
            spell.reset(self.window.since)

    def _start(self, at: int) -> None:
        """A daemon starts."""
        self.gap = at if self.stopped else self.at
        if self.begun:
            self.report.starts += 1
            if not self.stopped and self.at:
                self.report.breaks += 1
                self.report.gaps += at - max(self.at, self.window.since)
        self.stopped = False

    def _take(self, event: Event, orders: list[Action], was: Any) -> None:
        body: Any = event.body
        kind, name = event.kind, event.vassal
        if kind == "daemon_started":
            self._start(event.at)
        elif kind in ("daemon_stopping", "daemon_stopped", "journal_forked"):
            self.stopped = kind != "journal_forked"
        failed = not event.failed and name is not None and self._is_failure(event, was)
        self.finished.difference_update(o.vassal for o in orders if o.do in ("spawn", "listen"))
        touched = {order.vassal for order in orders}
        if name is None:
            touched |= self.spells.keys()
        else:
            touched |= {name, *getattr(body, "also", ())}
        for each in touched:
            fails = failed if each == name else each in getattr(body, "also", ())
            self._look(each, event.at, fails)

    def _is_failure(self, event: Event, was: Any) -> bool:
        body: Any = event.body
        kind, name = event.kind, event.vassal
        if was is None or name is None:
            return False
        phase, attempt, spec = was
        runs = phase in ("starting", "ready", "accepting", "reloading")
        if isinstance(body, Exited) and runs and body.attempt == attempt:
            if body.away:
                self._spell(name).lose(self.gap, event.at)
            if finished(spec, body):
                self.finished.add(name)
            if is_failure(spec, body):
                self._spell(name).deaths += 1
                return True
            return False
        if kind == "heartbeat_lost" and runs and body.attempt == attempt:
            self._spell(name).deaths += 1
            return True
        if kind == "spawn_failed":
            return bool(phase == "starting" and body.attempt == attempt)
        if kind == "listen_failed":
            return bool(phase == "listening" and self._is_down(name))
        return kind == "vassal_failed"

    def _is_down(self, name: str) -> bool:
        vassal = self.fleet.vassals.get(name)
        return vassal is not None and vassal.phase != "listening"

    def _look(self, name: str, at: int, failed: bool) -> None:
        vassal = self.fleet.vassals.get(name)
        if vassal is None or vassal.phase == "held":
            self.finished.discard(name)
        if vassal is None:
            if name in self.spells:
                self.spells[name].enter("absent", at)
            return
        spell = self._spell(name)
        spell.monitor = vassal.monitor
        state = self._state(vassal)
        spell.enter(state, at, failed or vassal.phase == "barred")

    def _state(self, vassal: Vassal) -> State:
        if self.stopped:
            return "paused"
        if vassal.name in self.finished:
            return "off"
        if vassal.phase in ("ready", "accepting", "reloading"):
            return "up"
        if vassal.phase in ("held", "listening"):
            return "off"
        if vassal.phase == "stopping" and (not vassal.wanted or vassal.held):
            return "off"
        return "down"

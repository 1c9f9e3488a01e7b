"""The fairness of a run: each source's next start comes after at most one of each other source.

The check uses the durable record alone, and knows only of waits that are certain. A vassal that is
wanted and down, and is to start by an event, waits until it does.
"""

import typing
from collections import Counter
from typing import Any

from .trouble import must

if typing.TYPE_CHECKING:
    from .checker import Checker

_BEGINS = ("vassal_added", "vassal_changed", "deadline_passed", "operator_requested")


class Turns:
    """Sees all rows. ``checker`` knows what the record says of each vassal."""

    def __init__(self, checker: "Checker") -> None:
        self._checker = checker
        self.waiting: set[str] = set()  # vassals that are to start, and have no slot
        self.overtaken: dict[str, Counter[str]] = {}  # source that waits -> starts of others
        self._down_since: dict[str, int] = {}
        self._had_turn: set[str] = set()  # vassals whose start follows from their restart
        self._held: set[str] = set()  # sources that held slots before this event
        self._slot_of: dict[str, str] = {}  # vassal -> the source for which its slot counts

    def before(self, kind: str, vassal: str | None, body: Any) -> None:
        """An event is about to be followed."""
        checker = self._checker
        self._held = self._holders()
        self._had_turn.clear()
        if kind == "exited":
            restarts = checker.restarting | checker.reloading
            if body.get("reload") or (vassal, body["attempt"]) in restarts:
                self._had_turn.add(vassal or "")
        if kind in ("exited", "spawn_failed"):
            self._down_since[vassal or ""] = checker.at

    def after(
        self, kind: str, vassal: str | None, body: Any, actions: list[dict[str, Any]]
    ) -> None:
        """It was followed, but its orders were not."""
        self._end_waits()
        if kind == "daemon_started":
            self.overtaken.clear()
        turns = [action["vassal"] for action in actions if self._is_turn(action)]
        for each in turns:
            self._note(self._checker.owner[each])
        for action in actions:
            if action["do"] == "spawn" or action["vassal"] in self._checker.owed:
                # A restart in place of a reload is a turn of its source, too.
                self.overtaken.pop(self._checker.owner.get(action["vassal"], ""), None)
            if action["vassal"] in self._checker.owner:
                self._slot_of[action["vassal"]] = self._checker.owner[action["vassal"]]
        started = {action["vassal"] for action in actions if action["do"] == "spawn"}
        self.waiting -= started
        for each in self._begin(kind, vassal, body):
            if each not in started:
                self.waiting.add(each)
        now = {self._checker.owner[each] for each in self.waiting}
        self.overtaken = {source: self.overtaken.get(source, Counter()) for source in now}

    def _is_turn(self, action: dict[str, Any]) -> bool:
        """Whether it takes a slot that was not the vassal's before."""
        checker, vassal = self._checker, action["vassal"]
        if action["do"] == "spawn":
            return vassal not in self._had_turn
        attempt = (vassal, action.get("attempt"))
        speaks = attempt not in checker.programs | checker.deprived
        again = attempt in checker.reloading
        return action["do"] == "reload" and speaks and not again

    def _note(self, source: str) -> None:
        """This source has its turn."""
        if not self._checker.open:
            return
        holders = self._held | self._holders()
        for other, counts in self.overtaken.items():
            # Of a source that has a slot, it is not known whether it may have another.
            if other not in holders | {source}:
                counts[source] += 1
                said = f"{source} started twice while {sorted(self.waiting)} of {other} waited"
                must(counts[source] <= 1, "turns", said)
        self.overtaken.pop(source, None)

    def _holders(self) -> set[str]:
        checker = self._checker
        if checker.most_slots() == 1:
            return set()  # none is kept free
        attempts = {*checker.starting, *checker.reloading, *checker.restarting}
        return {self._slot_of[each.vassal] for each in attempts if each.vassal in self._slot_of}

    def _end_waits(self) -> None:
        checker = self._checker
        for each in list(self.waiting):
            spec = checker.wanted.get(each)
            approved = checker.approvals.holds(each)
            if spec is None or spec.get("socket") or each in checker.held or not approved:
                self.waiting.discard(each)

    def starts(self, kind: str, vassal: str | None, body: Any) -> bool:
        """Whether a vassal is to start by this event, as soon as it has a slot."""
        return bool(self._begin(kind, vassal, body))

    def _begin(self, kind: str, vassal: str | None, body: Any) -> list[str]:
        """The vassals that certainly wait for a slot from now on, if they do not start."""
        checker = self._checker
        wanted = vassal in checker.wanted and checker.approvals.holds(vassal)
        if kind not in _BEGINS or vassal is None or not wanted or vassal in checker.held:
            return []
        if kind == "operator_requested" and (
            # One that waits for the daemon is not forgiven: it may have to wait for longer.
            not checker.open or body["request"] not in ("start", "restart", "retry")
        ):
            return []
        spec, at = checker.wanted[vassal], checker.at
        throttle = int(checker.policy.get("throttle", 1000)) * 1_000_000
        late = at < checker.launched.get(vassal, 0) + throttle or at < checker.not_before.get(
            vassal, 0
        )
        stale = kind == "deadline_passed" and body["deadline"] <= self._down_since.get(vassal, 0)
        if vassal in checker.replacements.names:
            return []
        if spec.get("socket") or spec.get("bar") or checker.under_way(vassal) or late or stale:
            return []
        return [vassal]

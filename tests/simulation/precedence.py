"""Canaries go first in a rollout, by the record alone.

An order shows that a vassal has its turn. A turn may have begun before, unseen. So the rule holds
where all places are taken, or where the canary's change came before.
"""

import typing
from typing import Any, Final

from .trouble import must

if typing.TYPE_CHECKING:
    from .checker import Checker
    from .rollouts import Rollouts

CANARIES: Final = "canaries go first"
GATHERS: Final = "others wait until all canaries may be known"


class Precedence:
    """Knows the order in which changes came, and which of them are of canaries."""

    def __init__(self, rollouts: "Rollouts", checker: "Checker") -> None:
        self._rollouts, self._checker = rollouts, checker
        self._joined: dict[str, int] = {}  # vassal -> the event of its change
        self._quiet: set[str] = set()  # that ran then, and about which nothing was recorded since
        self._idle: set[str] = set()  # changed ones that certainly have settled
        self._lines_up: set[str] = set()  # that certainly had no turn when they changed
        self._first: dict[
            str, tuple[int, int, int]
        ] = {}  # source -> its first change: seq, at, era
        self._without: dict[str, int] = {}  # source -> the last event at which it had no canary

    def left(self, vassal: str) -> None:
        """Its change is another now, or none."""
        self._joined.pop(vassal, None)
        for names in (self._quiet, self._idle, self._lines_up):
            names.discard(vassal)

    def follow(self, kind: str, vassal: str | None, orders: list[Any]) -> None:
        """An event, before it is known which turns begin by it."""
        self._quiet -= {vassal, *(each["vassal"] for each in orders)}
        if kind == "vassal_accepting":
            self._accepts(vassal or "")
        checker = self._checker
        have = {checker.owner[each] for each in checker.wanted if self._is_canary(each)}
        for source in checker.monitors:
            if source not in have:
                self._without[source] = checker.seq

    def _accepts(self, vassal: str) -> None:
        """It does, and so has settled if it runs what is wanted."""
        checker = self._checker
        told = any(each.vassal == vassal for each in checker.told - checker.over)
        waits = told or vassal in self._rollouts.waiting | checker.owed.keys()
        if not waits and checker.approvals.runs_wanted(vassal):
            self._idle.add(vassal)

    def joined(self, vassal: str) -> None:
        """Its change waits from this event on."""
        checker, source = self._checker, self._checker.owner[vassal]
        era = self._rollouts.holding.part_of[vassal][1]
        self._first.setdefault(source, (checker.seq, checker.at, era))
        self._lines_up.discard(vassal)
        if vassal not in self._joined or vassal in self._idle:
            self._lines_up.add(vassal)
        self._idle.discard(vassal)
        self._joined[vassal] = checker.seq
        if self._rollouts.holding.runs_former(vassal):
            self._quiet.add(vassal)

    def begins(self, vassal: str) -> None:
        """Its turn has begun, at the latest by this event."""
        checker, source = self._checker, self._checker.owner[vassal]
        part_of = self._rollouts.holding.part_of
        if self._is_canary(vassal) or vassal not in self._lines_up:
            return
        its = [each for each, part in part_of.items() if part == part_of[vassal]]
        canaries = [each for each in its if self._is_canary(each)]
        if self._rollouts.is_full(source):
            waits = [each for each in canaries if each in self._quiet & self._rollouts.waiting]
            must(not waits, CANARIES, f"{vassal} has its turn, and {waits} wait")
        seq, at, era = self._first[source]
        always = self._without.get(source, -1) < seq
        if always:
            before = [each for each in canaries if self._joined[each] < self._joined[vassal]]
            now = [each for each in before if each in self._rollouts.begun]
            must(not now, CANARIES, f"{vassal} has its turn, and {now} change")
        if always and part_of[vassal][1] == era:
            gathered = at + int(checker.policy.get("freq", 3.0) * 1e9)
            must(
                checker.at >= gathered,
                GATHERS,
                f"{vassal} has its turn {gathered - checker.at} ns early",
            )

    def _is_canary(self, vassal: str) -> bool:
        settings = self._checker.wanted.get(vassal, {}).get("settings", {})
        return bool(settings.get("canary") == "yes")

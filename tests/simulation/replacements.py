"""The second attempts of a run, by the record alone: who replaces whom, and what may be stopped.

A vassal that is replaced has two attempts at times. The orders tell which of them serves. The old
one does until it is retired. Where it has ended, the new one serves when it has settled.
"""

import typing
from typing import Any

from .pacing import Attempt
from .trouble import must

if typing.TYPE_CHECKING:
    from .checker import Checker

BEFORE: typing.Final = "the old one is stopped when the new one is ready"
_BY_ITSELF: typing.Final = ("deadline_passed", "vassal_accepting", "spawned", "vassal_ready")
_FAILS: typing.Final = ("health_lost", "heartbeat_lost", "vassal_resigned", "deadline_passed")


class Replacements:
    """Sees all rows. ``checker`` knows what the record says of each vassal."""

    def __init__(self, checker: "Checker") -> None:
        self._checker = checker
        self.second: dict[str, Attempt] = {}  # vassal -> its candidate
        self.names: set[str] = set()  # that are replaced, or were: how they wait is not followed
        self._ready: set[Attempt] = set()
        self._configs: dict[Attempt, dict[str, Any]] = {}  # the specs that they were started with

    def announced(self, vassal: str, spec: dict[str, Any]) -> None:
        """A source says so."""
        if spec.get("settings", {}).get("reload") == "replace":
            self.names.add(vassal)

    def spawned(self, attempt: Attempt) -> bool:
        """A start is ordered; whether it is one beside another attempt."""
        checker, vassal = self._checker, attempt.vassal
        others = [each for each in checker.ordered - checker.over if each.vassal == vassal]
        serve = [each for each in others if each not in checker.told]
        beside = vassal in self.names and vassal not in self.second and bool(serve)
        must(len(others) <= (vassal in self.names), "never two", f"{attempt} beside {others}")
        if beside:
            self.second[vassal] = attempt
        self._configs[attempt] = checker.approvals.wanted_or_none(vassal) or {}
        return beside

    def heard(self, kind: str, attempt: Attempt, body: dict[str, Any]) -> None:
        """An event of an attempt."""
        program = attempt in self._checker.programs - self._checker.awaited
        if kind == "vassal_accepting" or (program and kind in ("spawned", "adopted")):
            self._ready.add(attempt)
        elif kind in ("exited", "spawn_failed") and self.second.get(attempt.vassal) == attempt:
            away = body.get("away") or body.get("fault") == "interrupted"
            self._end(attempt, failed=attempt not in self._checker.told and not away)

    def passed(self, attempt: Attempt, actions: list[dict[str, Any]]) -> None:
        """A deadline of a candidate; it takes over unless it is stopped now."""
        stopped = any(each.get("attempt") == attempt.number for each in actions)
        if self.second.get(attempt.vassal) == attempt and not stopped and attempt in self._ready:
            self._take_over(attempt)

    def stopped(self, kind: str, attempt: Attempt, body: Any, do: str) -> None:
        """An attempt is ordered to end."""
        second = self.second.get(attempt.vassal)
        if second == attempt:
            self._end(attempt, failed=kind in _FAILS and attempt not in self._checker.told)
            return
        by_itself = kind in _BY_ITSELF and body.get("attempt") is not None
        if second is not None and (do == "retire" or (by_itself and body["attempt"] != attempt[1])):
            said = f"{attempt} is stopped by {kind}, {second} has not said that it is ready"
            must(second in self._ready, BEFORE, said)
            self._take_over(second)

    def asked(self, vassal: str, request: str) -> None:
        """An operator's request may let a vassal that was refused be tried again.

        A start or restart of one that is up does not. Nor does it where one that is down waits for
        a slot. The record does not tell that, but its next start does.
        """
        approvals = self._checker.approvals
        if request == "retry" or (request == "start" and vassal in self._checker.held):
            approvals.asked(vassal)
        elif request in ("start", "restart") and not self._is_up(vassal):
            approvals.asked(vassal, surely=False)

    def _is_up(self, vassal: str) -> bool:
        """It has an instance that serves and is not about to end."""
        checker = self._checker
        up = checker.ordered - checker.over - checker.told - {self.second.get(vassal)}
        return any(each.vassal == vassal for each in up)

    def _take_over(self, attempt: Attempt) -> None:
        del self.second[attempt.vassal]
        self._checker.approvals.settled(attempt.vassal, took_over=True)

    def _end(self, attempt: Attempt, *, failed: bool) -> None:
        """It does not take over. A config that has ``failed`` may not be started again."""
        del self.second[attempt.vassal]
        self._checker.approvals.settled(attempt.vassal, took_over=False, failed=failed)

"""Rollbacks, by the record alone: which change is taken back, to what, and that it stays so.

No event says that a change was rolled back. A start with a former config, which follows failures
of the wanted one, is a rollback. From then on only a change may bring the wanted config back.
"""

import typing
from typing import Any, Final

from .pacing import Attempt
from .trouble import must

if typing.TYPE_CHECKING:
    from .checker import Checker

TAKEN_BACK: Final = "a change that fails again and again is rolled back"
TO_GOOD: Final = "a rollback is one to a good config"
_LOSES: Final = ("deadline_passed", "health_lost", "heartbeat_lost")


class Rollbacks:
    """Sees all rows and orders. ``checker`` knows what the record says of each vassal."""

    def __init__(self, checker: "Checker") -> None:
        self._checker = checker
        self._ran: dict[Attempt, dict[str, Any]] = {}  # the spec that each was to run last
        self._good: dict[str, dict[str, Any]] = {}  # the last one with which it was accepting
        self._may_be_good: dict[str, dict[str, dict[str, Any]]] = {}  # by config
        self._failed: dict[str, set[Attempt]] = {}  # with the wanted spec, for certain
        self._troubled: dict[str, set[Attempt]] = {}  # those that may have failed with it
        self._cannot_run: set[str] = set()  # vassals whose wanted program cannot be executed

    def announced(self, vassal: str, *, anew: bool) -> None:
        """Its source gives another spec. ``anew``: to a vassal that was not there, or another's."""
        for left in (self._failed, self._troubled):
            left.pop(vassal, None)
        self._cannot_run.discard(vassal)
        if anew:
            self._good.pop(vassal, None)
            self._may_be_good.pop(vassal, None)

    def before(self, kind: str, vassal: str | None, body: Any) -> None:
        """An event is about to be followed."""
        if vassal is None or "attempt" not in body:
            return
        attempt = Attempt(vassal, body["attempt"])
        ran = self._ran.get(attempt)
        if ran is None:
            return
        if kind in ("vassal_accepting", "vassal_loyal"):
            self._accepts(attempt, ran)
        elif kind == "spawn_failed" and body.get("fault") == "exec" and self._is_wanted(attempt):
            self._cannot_run.add(vassal)
        elif kind == "exited" and not body.get("away") and attempt not in self._checker.told:
            died = body.get("code") not in (None, 0, 26) or body.get("signal") is not None
            self._fails(attempt, certainly=died and self._is_fresh(attempt))

    def stopped(self, kind: str, attempt: Attempt) -> None:
        """It is about to be ended for the first time, by such an event."""
        if kind in _LOSES:
            certainly = kind == "deadline_passed" and attempt in self._checker.unready
            self._fails(attempt, certainly=certainly and self._is_fresh(attempt))

    def to_start(self, attempt: Attempt, config: str | None) -> bool:
        """A start is ordered; whether it is a rollback."""
        vassal, approvals = attempt.vassal, self._checker.approvals
        most = self._limit(vassal)
        if not most or not approvals.holds(vassal):
            return False
        if config == approvals.may[vassal].get("config"):
            failures, good = len(self._failed.get(vassal, ())), self._good.get(vassal)
            owed = good is not None and good.get("config") != config and failures >= most
            must(not owed, TAKEN_BACK, f"{attempt} starts what has failed {failures} times")
            return False
        good = self._may_be_good.get(vassal, {}).get(config or "")
        must(good is not None, TO_GOOD, f"{attempt} starts {config}, which never accepted")
        troubles = len(self._troubled.get(vassal, ()))
        enough = troubles >= most or vassal in self._cannot_run
        must(enough, TAKEN_BACK, f"{attempt} is a rollback, after {troubles} failures of {most}")
        assert good is not None
        approvals.rolled_back(vassal, good)
        return True

    def ran(self, attempt: Attempt, config: str | None) -> None:
        """Its start, or its reload, is ordered with what may be started."""
        vassal, spec = attempt.vassal, self._checker.approvals.may.get(attempt.vassal)
        if spec is None or spec.get("config") != config:
            return
        self._ran[attempt] = spec
        if _is_quiet(spec):  # it may be good by and by, and does not say so
            self._good.pop(vassal, None)
            self._may_be_good.setdefault(vassal, {})[config or ""] = spec

    def _accepts(self, attempt: Attempt, ran: dict[str, Any]) -> None:
        vassal = attempt.vassal
        self._may_be_good.setdefault(vassal, {})[ran.get("config", "")] = ran
        if ran is self._checker.approvals.may.get(vassal):
            if attempt in self._checker.told:
                self._good.pop(vassal, None)
            else:
                self._good[vassal] = ran

    def _fails(self, attempt: Attempt, *, certainly: bool) -> None:
        if self._is_wanted(attempt):
            self._troubled.setdefault(attempt.vassal, set()).add(attempt)
            if certainly:
                self._failed.setdefault(attempt.vassal, set()).add(attempt)

    def _is_wanted(self, attempt: Attempt) -> bool:
        """Whether it runs the spec that its source gives."""
        return self._ran.get(attempt) is self._checker.approvals.wanted_or_none(attempt.vassal)

    def _is_fresh(self, attempt: Attempt) -> bool:
        """Whether it was started so, can say that it accepts, and is to stay as it is."""
        checker, vassal = self._checker, attempt.vassal
        changed = vassal in checker.changed | checker.deprived or attempt in checker.reload_at
        return not changed and not _is_quiet(self._ran[attempt])

    def _limit(self, vassal: str) -> int:
        if vassal in self._checker.replacements.names:
            return 0  # how they go back is not followed
        return int(self._checker.wanted.get(vassal, {}).get("settings", {}).get("rollback", 0))


def _is_quiet(spec: dict[str, Any]) -> bool:
    """Whether its program does not say when it accepts."""
    settings = spec.get("settings", {})
    return "command" in settings and "ready" not in settings

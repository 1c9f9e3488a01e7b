"""Rollbacks, by the record alone: which change is taken back, to what, and that it stays so.

No event says that a change was rolled back. A start with a former config, which follows failures
of the wanted one, is a rollback. From then on only a change may bring the wanted config back. One
that is good (``trials.py``) is not rolled back, however often it fails.
"""

import typing
from typing import Any, Final

from .pacing import Attempt
from .trials import Trials
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
        self._trials = Trials(checker)
        self._failed: dict[str, set[Attempt]] = {}  # with the wanted spec, for certain
        self._troubled: dict[str, set[Attempt]] = {}  # those that may have failed with it
        self._cannot_run: set[str] = set()  # vassals whose wanted program cannot be executed
        # Those that may have gone back before a change that waits: to this spec for certain.
        self._before_wait: dict[str, dict[str, Any] | None] = {}

    def announced(self, vassal: str, *, anew: bool) -> None:
        """Its source gives another spec. ``anew``: to a vassal that was not there, or another's."""
        if anew or self._checker.approvals.holds(vassal):
            self._before_wait.pop(vassal, None)
            if not anew and self.may_go_back(vassal):
                self._before_wait[vassal] = self._owed(vassal)
        failed, troubled = bool(self._failed.get(vassal)), bool(self._troubled.get(vassal))
        self._trials.announced(vassal, anew=anew, failed=failed, troubled=troubled)
        for left in (self._failed, self._troubled):
            left.pop(vassal, None)
        self._cannot_run.discard(vassal)

    def before(self, kind: str, vassal: str | None, body: Any) -> None:
        """An event is about to be followed."""
        if vassal is None or "attempt" not in body:
            return
        attempt, trials = Attempt(vassal, body["attempt"]), self._trials
        if attempt not in trials.ran:
            return
        if kind == "vassal_accepting":
            trials.accepts(attempt, tried=bool(self._limit(vassal)))
        elif kind == "vassal_loyal":
            trials.loyal(attempt)
        elif kind == "adopted" and not body.get("control"):
            trials.falls_mute(attempt)
        elif kind == "spawn_failed" and body.get("fault") == "exec" and trials.is_wanted(attempt):
            self._cannot_run.add(vassal)
        elif kind == "exited":
            trials.judge(attempt)
            if not body.get("away") and attempt not in self._checker.told:
                died = body.get("code") not in (None, 0, 26) or body.get("signal") is not None
                self._fails(attempt, certainly=died and trials.is_fresh(attempt))
            trials.ends(attempt)

    def stopped(self, kind: str, attempt: Attempt) -> None:
        """It is about to be ended for the first time, by such an event."""
        if attempt in self._trials.ran:
            self._trials.judge(attempt)
        if kind in _LOSES:
            certainly = kind == "deadline_passed" and attempt in self._checker.unready
            self._fails(attempt, certainly=certainly and self._trials.is_fresh(attempt))

    def to_start(self, attempt: Attempt, config: str | None) -> bool:
        """A start is ordered; whether it is a rollback."""
        vassal, approvals, trials = attempt.vassal, self._checker.approvals, self._trials
        if not approvals.holds(vassal):
            return self._starts_in_wait(attempt, config)
        self._before_wait.pop(vassal, None)
        if not self._limit(vassal):
            return False
        if config == approvals.may[vassal].get("config"):
            self._must_not_be_owed(attempt, self._owed(vassal))
            return False
        good = trials.may_be_good.get(vassal, {}).get(config or "")
        must(good is not None, TO_GOOD, f"{attempt} starts {config}, which never accepted")
        told = f"after {len(self._troubled.get(vassal, ()))} failures of {self._limit(vassal)}"
        must(self.may_go_back(vassal), TAKEN_BACK, f"{attempt} is a rollback, {told}")
        assert good is not None
        approvals.rolled_back(vassal, good)
        trials.good[vassal] = good
        return True

    def _starts_in_wait(self, attempt: Attempt, config: str | None) -> bool:
        """Its change waits for a check or a turn. Whether it starts what it went back to before."""
        vassal, approvals, trials = attempt.vassal, self._checker.approvals, self._trials
        if vassal not in self._before_wait or vassal not in approvals.may:
            return False
        owed = self._before_wait.pop(vassal)
        if config == approvals.may[vassal].get("config"):
            self._must_not_be_owed(attempt, owed)
            return False
        good = trials.may_be_good.get(vassal, {}).get(config or "")
        if good is None:
            return False
        approvals.goes_on_with(vassal, good)
        trials.good[vassal] = good
        return True

    def _owed(self, vassal: str) -> dict[str, Any] | None:
        """The spec to which it certainly goes back, as its wanted one has failed too often."""
        good, wanted = self._trials.good.get(vassal), self._checker.approvals.may[vassal]
        same = good is not None and good.get("config") == wanted.get("config")
        enough = len(self._failed.get(vassal, ())) >= self._limit(vassal)
        return good if enough and not same else None

    @staticmethod
    def _must_not_be_owed(attempt: Attempt, owed: dict[str, Any] | None) -> None:
        must(owed is None, TAKEN_BACK, f"{attempt} starts what has failed as often as it may")

    def may_go_back(self, vassal: str) -> bool:
        """Whether its wanted spec may have failed often enough."""
        most, failures = self._limit(vassal), len(self._troubled.get(vassal, ()))
        return bool(most) and (failures >= most or vassal in self._cannot_run)

    def is_forgiven(self, vassal: str) -> bool:
        """Whether it may start soon, with a former config."""
        return self.may_go_back(vassal) or vassal in self._before_wait

    def ran(self, attempt: Attempt, config: str | None) -> None:
        """Its start, or its reload, is ordered with what may be started."""
        spec = self._checker.approvals.may.get(attempt.vassal)
        if spec is not None and spec.get("config") == config:
            self._trials.runs(attempt, spec)

    def _fails(self, attempt: Attempt, *, certainly: bool) -> None:
        vassal, trials = attempt.vassal, self._trials
        if not trials.is_wanted(attempt) or vassal in trials.proved:
            return  # a good spec does not fail
        self._troubled.setdefault(vassal, set()).add(attempt)
        if certainly and vassal not in trials.may_be_proved:
            self._failed.setdefault(vassal, set()).add(attempt)

    def _limit(self, vassal: str) -> int:
        if vassal in self._checker.replacements.names:
            return 0  # how they go back is not followed
        return int(self._checker.wanted.get(vassal, {}).get("settings", {}).get("rollback", 0))

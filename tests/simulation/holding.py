"""The changes of a rollout that are held back, by the record alone.

Two sets are followed: the vassals that certainly are held back, and those that may be. None of the
first may change. At the end of a run only vassals of the second may wait.
"""

import typing
from collections import Counter
from typing import Any, Final

from .pacing import Attempt
from .trouble import must

if typing.TYPE_CHECKING:
    from .checker import Checker
    from .rollouts import Rollouts

HELD: Final = "a held back vassal runs its former config"
# Events of a vassal by which a rollout that it is in goes on as before.
_HARMLESS: Final = frozenset(
    (
        "heartbeat_started",
        "preflight_passed",
        "spawned",
        "timeout_extended",
        "vassal_accepting",
        "vassal_added",
        "vassal_changed",
        "vassal_destroyed",
        "vassal_ready",
        "vassal_removed",
    )
)
_OF_ALL: Final = frozenset(("daemon_started", "daemon_ready", "operator_requested", "rollout_due"))


def dies(body: dict[str, Any]) -> bool:
    """Whether an end is a failure for certain."""
    code, signal = body.get("code"), body.get("signal")
    known = code is not None or signal is not None
    return known and code not in (0, 26) and not body.get("away") and not body.get("reload")


class Holding:
    """Knows which changes came together, and which of them have failed."""

    def __init__(self, rollouts: "Rollouts", checker: "Checker") -> None:
        self._rollouts, self._checker = rollouts, checker
        self.back: set[str] = set()  # vassals that certainly are held back
        self._aborted: set[str] = set()  # those of them that no operator can free
        self.part_of: dict[str, tuple[str, int]] = {}  # vassal -> source and era of its change
        # Changes of one era are in one rollout, if they are under way at one time: it was not held
        # back between them. A new era begins when a rollout may be.
        self._eras: Counter[str] = Counter()
        self._failures: dict[tuple[str, int], set[str]] = {}  # certain ones
        self._latest: dict[str, int] = {}  # source -> when a change of it came last
        self._troubled: set[str] = set()  # sources whose later changes may be held back at once
        self._may_fail: set[str] = set()  # changed vassals that have not certainly failed
        self._may_wait: dict[str, bool] = {}  # that may be held back; True: whoever continues it

    def joined(self, vassal: str) -> None:
        """It has changed, and waits."""
        self.left(vassal)
        checker, source = self._checker, self._checker.owner[vassal]
        freq = int(checker.policy.get("freq", 3.0) * 1e9)
        if checker.at >= self._latest.get(source, checker.at) + freq:
            self._troubled.discard(source)
        if source in self._troubled:  # it may be held back with those before, or not
            self._eras[source] += 1
            self._may_wait[vassal] = False
        self._latest[source] = checker.at
        self.part_of[vassal] = source, self._eras[source]
        self._eras[source] += source in self._troubled
        self._may_fail.add(vassal)

    def left(self, vassal: str) -> None:
        """Its change is another now, or none."""
        self.back.discard(vassal)
        self._aborted.discard(vassal)
        self._may_wait.pop(vassal, None)
        for names in self._failures.values():
            names.discard(vassal)

    def follow(self, kind: str, vassal: str | None, body: Any, orders: list[Any]) -> None:
        """An event: whether it may be a failure."""
        owner = self._checker.owner
        about = {vassal} if kind not in _HARMLESS else set()
        about |= {each["vassal"] for each in orders} - {vassal}
        for each in self._may_fail if kind in _OF_ALL else self._may_fail & about:
            if each in owner:
                self._eras[owner[each]] += 1
                self._trouble(owner[each], each)
        if kind == "exited" and vassal is not None and dies(body):
            asked = Attempt(vassal, body["attempt"]) in self._checker.told
            if not asked and self._checker.approvals.runs_wanted(vassal):
                self._may_fail.discard(vassal)  # it has failed, or does not count

    def _trouble(self, source: str, failed: str) -> None:
        """A rollout of this source may be held back from now on, as this one may have failed."""
        self._troubled.add(source)
        for each in self._rollouts.waiting - {failed}:
            if self._checker.owner.get(each) == source:
                self._may_wait.setdefault(each, False)

    def asked(self, request: str) -> None:
        """An operator has a word about all rollouts."""
        if request == "rollout_continue":
            self.back &= self._aborted
            self._failures.clear()
            self._may_wait = {each: aborted for each, aborted in self._may_wait.items() if aborted}
        elif request == "rollout_abort":
            self._may_wait |= dict.fromkeys(self._rollouts.waiting, True)
            waits = {
                each
                for each in self._rollouts.waiting
                if self._rollouts.is_full(self._checker.owner[each]) and self.runs_former(each)
            }
            self._aborted |= self.back | waits
            self.back |= waits

    def failed(self, vassal: str) -> None:
        """The change of this one, which has its turn, has certainly failed."""
        self._may_fail.discard(vassal)
        part = self.part_of.get(vassal)
        if part is None:
            return
        source = part[0]
        self._trouble(source, vassal)
        failures = self._failures.setdefault(part, set())
        failures.add(vassal)
        most = int(self._checker.policy.get("rollout_failures", 1))
        if len(failures) < most or not self._rollouts.is_full(source):
            return
        for each in self._rollouts.waiting:
            if self.part_of.get(each) == part and self.runs_former(each):
                self.back.add(each)

    def runs_former(self, vassal: str) -> bool:
        """Where no other can have its turn: whether its former config certainly is what it runs."""
        checker = self._checker
        spec = checker.approvals.may.get(vassal, {})
        if vassal in self._rollouts.opening:
            return False  # it may have had its turn; its next start has the new config
        if vassal in checker.held | checker.owed.keys() | self._rollouts.begun.keys():
            return False
        if spec.get("socket") or spec.get("config") == checker.wanted[vassal].get("config"):
            return False
        runs = checker.ordered - checker.over - checker.told
        return any(a.vassal == vassal for a in runs - checker.starting.keys() - checker.unready)

    def must_be_free(self, vassal: str) -> None:
        """It has its turn."""
        must(vassal not in self.back, HELD, f"{vassal} has its turn")

    def may_wait(self, vassal: str) -> bool:
        """Whether its rollout may be held back, after all that has happened."""
        return vassal in self._may_wait

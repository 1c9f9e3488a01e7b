"""Trials of changed vassals, by the record alone: with which spec each has run well for a time.

A spec is good when its vassal became loyal with it, or was accepting with it for the time of
``forgive``. Without that time it is ``start_patience``. The first one is good when it accepts, and
so is one that accepts, and has not failed, at the next change.

One whose words were lost with a daemon cannot say that it accepts. It may be good when it has run
for ``start_patience``.

The record does not tell everything: a daemon that was away hears no byte. So there are two bounds:
the specs that are good for certain, and those that may be.
"""

import typing
from typing import Any

from .pacing import Attempt

if typing.TYPE_CHECKING:
    from .checker import Checker

Spec = dict[str, Any]


class Trials:
    """Follows attempts that accept. ``ran`` has the spec that each was to run last."""

    def __init__(self, checker: "Checker") -> None:
        self._checker = checker
        self.ran: dict[Attempt, Spec] = {}
        self.good: dict[str, Spec] = {}  # to which a vassal can go back for certain
        self.may_be_good: dict[str, dict[str, Spec]] = {}  # by config
        self.proved: set[str] = set()  # vassals whose wanted spec is good
        self.may_be_proved: set[str] = set()
        self._since: dict[
            Attempt, tuple[int, int]
        ] = {}  # it accepts: at least since, at most since

    def announced(self, vassal: str, *, anew: bool, failed: bool, troubled: bool) -> None:
        """Its source gives another spec. ``failed``: the one before has, for certain."""
        old = self._checker.approvals.wanted_or_none(vassal)
        accepting = [a for a, ran in self.ran.items() if a.vassal == vassal and a in self._since]
        for attempt in accepting:
            self.judge(attempt)
        accepting = [a for a in accepting if self.ran[a] is old and a not in self._checker.told]
        certainly = any(self.is_fresh(a) and self._may_run(a) for a in accepting)
        if old is not None and (vassal in self.proved or (certainly and not troubled)):
            self.good[vassal] = old
        elif vassal in self.may_be_proved or (accepting and not failed):
            self.good.pop(vassal, None)  # it is this one or the one before
        self.proved.discard(vassal)
        self.may_be_proved.discard(vassal)
        if anew:
            self.good.pop(vassal, None)
            self.may_be_good.pop(vassal, None)

    def runs(self, attempt: Attempt, spec: Spec) -> None:
        """Its start, or its reload, is ordered with this spec."""
        vassal = attempt.vassal
        if attempt in self.ran:
            self.judge(attempt)
        self._since.pop(attempt, None)
        self.ran[attempt] = spec
        if is_quiet(spec):  # it may be good by and by, and does not say so
            self.good.pop(vassal, None)
            self.may_be_good.setdefault(vassal, {})[spec.get("config", "")] = spec
            if self.is_wanted(attempt):
                self.may_be_proved.add(vassal)

    def accepts(self, attempt: Attempt, *, tried: bool) -> None:
        """It says so. ``tried``: failures of its spec count, if there is another one."""
        vassal, ran = attempt.vassal, self.ran[attempt]
        possible = self.may_be_good.setdefault(vassal, {})
        first = not possible
        possible[ran.get("config", "")] = ran
        if attempt in self._checker.told:
            return
        begun, _ = self._since.get(attempt, (self._checker.at, 0))
        self._since[attempt] = begun, self._checker.at
        if not self._may_run(attempt):
            return
        good = self.good.get(vassal)
        same = good is not None and good.get("config") == ran.get("config")
        if first or not tried or same:
            self._prove(attempt)
        elif good is None and self.is_wanted(attempt):
            self.may_be_proved.add(vassal)

    def falls_mute(self, attempt: Attempt) -> None:
        """No daemon hears it any more. It may have run well since its start."""
        if attempt in self._checker.programs:
            return  # it has never said a word
        ran = self.ran[attempt]
        self.may_be_good.setdefault(attempt.vassal, {})[ran.get("config", "")] = ran
        launched = self._checker.launched.get(attempt.vassal, self._checker.at)
        self._since.setdefault(attempt, (launched, self._checker.at))

    def ends(self, attempt: Attempt) -> None:
        """Its end is recorded: it runs well no longer."""
        del self.ran[attempt]
        self._since.pop(attempt, None)

    def loyal(self, attempt: Attempt) -> None:
        """It says so. In a reload the spec before may have made it loyal."""
        vassal, ran = attempt.vassal, self.ran[attempt]
        self.may_be_good.setdefault(vassal, {})[ran.get("config", "")] = ran
        if self.is_fresh(attempt) and self._may_run(attempt) and attempt not in self._checker.told:
            self._prove(attempt)
        else:
            self._may_prove(attempt)

    def judge(self, attempt: Attempt) -> None:
        """Its phase may end now. See whether it has accepted for long enough."""
        if attempt not in self._since or attempt in self._checker.told:
            return
        checker, (earliest, latest) = self._checker, self._since[attempt]
        patience = checker.policy.get("start_patience", 30.0)
        seconds = checker.policy.get("forgive", 0.0) or patience
        if attempt in checker.deprived:
            seconds = min(seconds, patience)
        if checker.at - latest >= seconds * 1e9 and self.is_fresh(attempt):
            self._prove(attempt)
        elif checker.at - earliest >= seconds * 1e9:
            self._may_prove(attempt)

    def is_wanted(self, attempt: Attempt) -> bool:
        """Whether it runs the spec that its source gives."""
        return self.ran.get(attempt) is self._checker.approvals.wanted_or_none(attempt.vassal)

    def is_fresh(self, attempt: Attempt) -> bool:
        """Whether it was started so, can say that it accepts, and is to stay as it is."""
        checker = self._checker
        changed = attempt in checker.deprived or attempt in checker.reload_at
        changed |= attempt.vassal in checker.changed
        return not changed and not is_quiet(self.ran[attempt])

    def _may_run(self, attempt: Attempt) -> bool:
        return self.ran[attempt] is self._checker.approvals.may.get(attempt.vassal)

    def _prove(self, attempt: Attempt) -> None:
        if not self._may_run(attempt):
            self._may_prove(attempt)
            return
        self.good[attempt.vassal] = self.ran[attempt]
        if self.is_wanted(attempt):
            self.proved.add(attempt.vassal)
            self.may_be_proved.add(attempt.vassal)

    def _may_prove(self, attempt: Attempt) -> None:
        if self.is_wanted(attempt):
            self.may_be_proved.add(attempt.vassal)
        elif self.good.get(attempt.vassal) is not self.ran[attempt]:
            self.good.pop(attempt.vassal, None)


def is_quiet(spec: Spec) -> bool:
    """Whether its program does not say when it accepts."""
    settings = spec.get("settings", {})
    return "command" in settings and "ready" not in settings

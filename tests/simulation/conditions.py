"""The readiness and the health of programs: who is never ready, or sick, is ended in time."""

import typing

from .trouble import must

if typing.TYPE_CHECKING:
    from .checker import Checker

LATE: typing.Final = "who is not ready in time is ended"
SICK: typing.Final = "who is sick is stopped"


class Conditions:
    """Knows from when on a process may not live, if it does not change."""

    def __init__(self, checker: "Checker") -> None:
        self._checker = checker
        self._silent: dict[int, float] = {}  # pid -> since when it sends no heartbeat
        self._since: dict[int, tuple[float, float, str]] = {}  # pid -> since, bound, rule

    def begins(self, pid: int, now: float, bound: float) -> None:
        """It is not ready yet, and has so many seconds."""
        self._since[pid] = now, bound, LATE

    def fell_sick(self, pid: int, now: float, bound: float) -> None:
        """Its health is to end it within so many seconds."""
        self._since[pid] = now, bound, SICK

    def is_well(self, pid: int) -> None:
        """It is ready and not sick, or gone."""
        self._since.pop(pid, None)

    def fell_silent(self, pid: int, now: float) -> None:
        """It hangs: no heartbeats come any more."""
        self._silent.setdefault(pid, now)

    def speaks_again(self, pid: int) -> None:
        """It was reloaded, and hangs no longer."""
        self._silent.pop(pid, None)

    def died(self, pid: int) -> None:
        """It is gone."""
        self._silent.pop(pid, None)
        self._since.pop(pid, None)

    def forgive(self, now: float) -> None:
        """No daemon can keep the time."""
        self._silent = dict.fromkeys(self._silent, now)
        self._since = {pid: (now, bound, rule) for pid, (_, bound, rule) in self._since.items()}

    def look(self, now: float, slack: float) -> None:
        """Raise Violation if one lives for too long."""
        for pid, (since, bound, rule) in self._since.items():
            attempt = self._checker.living[pid]
            if attempt not in self._checker.told:  # else its mercy counts
                must(now - since <= bound + slack, rule, f"{attempt} lives {now - since:.2f} s so")
        # The daemon looks every second, and counts from its first look.
        checker = self._checker
        bound = checker.policy.get("required_heartbeat", 30.0) + 2 + slack
        for pid, began in self._silent.items():
            attempt = checker.living[pid]
            if attempt in checker.beating - checker.told - checker.deprived:
                said = f"{attempt} has sent no heartbeat for {now - began:.2f} s and was left alone"
                must(now - began <= bound, "who hangs is ended", said)

"""How long a vassal that died has to wait, and how long it may, by the record alone."""

from collections.abc import Iterable
from typing import Any, NamedTuple


class Attempt(NamedTuple):
    """One try at running a vassal."""

    vassal: str
    number: int


class Pacing:
    """Counts deaths and failures, and forgets them after a quiet time."""

    def __init__(self) -> None:
        self.at = 0
        self.policy: dict[str, Any] = {}
        self.programs: set[Attempt] = set()  # those that cannot say that they accept
        self.awaited: set[Attempt] = set()  # those of them whose readiness is looked at
        self.notifying: set[Attempt] = set()  # those of these that say it themselves
        self.deprived: set[Attempt] = set()  # to which no daemon can talk
        self.told: set[Attempt] = set()  # that were ordered to end
        self.changed: set[str] = set()  # vassals that were to be reloaded since their start
        self.loyal: set[Attempt] = set()
        self.up_since: dict[str, int] = {}  # since when the vassal may have run
        self.quiet_since: dict[str, int] = {}  # since when it has run for certain
        self.reload_at: dict[Attempt, int] = {}  # when one was ordered that is not confirmed
        self.ended_by_reload = False  # the attempt whose end was recorded last
        self.launched: dict[str, int] = {}  # when the vassal's last spawn was ordered
        self.deaths: dict[str, int] = {}  # in a row, unasked and unloyal
        self.not_before: dict[str, int] = {}  # as it died so, it has to wait until then
        self.failures: dict[str, int] = {}  # all that could count as deaths in a row
        self.not_after: dict[str, int] = {}  # with so many of them, it waits no longer than that

    def _forget_if_quiet(self, vassal: str) -> None:
        """Forget its deaths if it has run quietly for long enough by now."""
        quiet = int(self.policy.get("forgive", 0.0) * 1e9)
        since = self.up_since.get(vassal)
        if quiet and since is not None and self.at >= since + quiet:
            self.deaths.pop(vassal, None)
        since = self.quiet_since.get(vassal)
        if quiet and since is not None and self.at >= since + quiet:
            self.failures.pop(vassal, None)

    def _end_quiet(self, vassal: str) -> None:
        """It was ordered to end; the time until it has ended is no quiet running.

        That holds for both bounds of its next wait. Otherwise a stop that takes long would bring
        the upper bound (``failures``) below the lower one (``deaths``), and no start be right.
        """
        quiet = int(self.policy.get("forgive", 0.0) * 1e9)
        self.quiet_since.pop(vassal, None)
        since = self.up_since.pop(vassal, None)
        if quiet and since is not None and self.at >= since + quiet:
            self.deaths.pop(vassal, None)  # may be forgotten; the record need not say so in time

    def _count(self, vassal: str, failed: int = 1) -> None:
        """Something of it has ended: the longest that it may wait until the next try.

        An end that was ordered (``failed`` is 0) is no death, but its next start may be paced.
        """
        self.failures[vassal] = failures = self.failures.get(vassal, 0) + failed
        self.not_after[vassal] = self.at + self._delay(max(failures, 1))

    def _fail(self, vassal: str) -> None:
        """Its process is ended as a failure: its next start waits from now on, as after a death."""
        self.failures[vassal] = self.failures.get(vassal, 0) + 1
        if vassal not in self.changed:  # else it may be ended for its restart
            self.deaths[vassal] = deaths = self.deaths.get(vassal, 0) + 1
            self.not_before[vassal] = self.at + self._delay(deaths)

    def _delay(self, times: int) -> int:
        """Nanoseconds to wait after so many failures in a row."""
        delay = self.policy.get("throttle", 1000) << min(times - 1, 32)
        return int(min(delay, self.policy.get("max_throttle", 180_000))) * 1_000_000

    def _forgive_all(self, vassals: Iterable[str]) -> None:
        """These need wait no longer."""
        for vassal in vassals:
            self.deaths.pop(vassal, None)
            self.not_before.pop(vassal, None)

    def _blame(self, attempt: Attempt, body: dict[str, Any]) -> None:
        """It died unasked and unloyal, so its next start has to wait."""
        vassal, code = attempt.vassal, body.get("code")
        # A vassal without its socket cannot say that it is loyal.
        innocent = attempt in self.told | self.loyal | self.deprived or vassal in self.changed
        if innocent or code == 26 or self._is_of_reload(attempt, body):
            return
        throttle = self.policy.get("throttle", 1000) * 1_000_000
        if code == 0 and self.at >= self.launched.get(vassal, self.at) + throttle:
            return
        self.deaths[vassal] = deaths = self.deaths.get(vassal, 0) + 1
        self.not_before[vassal] = self.at + self._delay(deaths)

    def _is_of_reload(self, attempt: Attempt, body: dict[str, Any]) -> bool:
        """Whether a reload that it has not confirmed ended it. A program confirms none."""
        since = self.reload_at.get(attempt)
        if since is None:
            return False
        if attempt in self.programs and self.at > since + int(self.policy.get("mercy", 30.0) * 1e9):
            return False
        code, signal = body.get("code"), body.get("signal")
        return body.get("reload", False) or code == 0 or (code is None and signal is None)

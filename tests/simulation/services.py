"""Programs that ask for more time, and addresses that are kept, by the durable record alone."""

import typing
from typing import Any, Final

from emperord.journal import quantities

from .pacing import Attempt
from .trouble import must

if typing.TYPE_CHECKING:
    from .checker import Checker

OPENS: Final = "new addresses are opened before a stop"
MORE_TIME: Final = "who asked for more time has it"
# Events by which a vassal ends whatever addresses it is to have.
_COSTS_IT: Final = frozenset(
    ("daemon_stopping", "health_lost", "heartbeat_lost", "listen_opened", "vassal_resigned")
)


class Services:
    """Knows which addresses each attempt has, and until when its start may take."""

    def __init__(self, checker: "Checker") -> None:
        self._checker = checker
        self._has: dict[Attempt, set[str]] = {}
        self._until: dict[Attempt, int] = {}  # as it asked for that

    def starts(self, attempt: Attempt) -> None:
        """Its spawn is ordered."""
        self._has[attempt] = self._listen_of(attempt.vassal)
        if self._settings(attempt.vassal).get("ready") == "notify":
            self._checker.notifying.add(attempt)

    def follow(self, kind: str, vassal: str | None, body: Any) -> None:
        """An event about a vassal."""
        checker = self._checker
        if kind == "listen_refused":
            checker.owed.pop(vassal or "", None)  # its change waits
            checker.anew.pop(vassal or "", None)
        elif kind == "timeout_extended":
            attempt = Attempt(vassal or "", body["attempt"])
            timeout = self._settings(vassal).get("ready-timeout", "0s")
            own = float(quantities.duration(timeout) or 0)
            limit = checker.launched[attempt.vassal] + int(own * 1e9)
            until = checker.at + int(body["seconds"] * 1e9)
            starts = attempt in checker.unready - checker.told
            if starts and until > max(limit, self._until.get(attempt, 0)):
                checker.starting.pop(attempt, None)  # others need not wait with it
                self._until[attempt] = until

    def check_end(self, kind: str, attempt: Attempt, do: str, *, unready: bool, late: bool) -> None:
        """It is stopped or killed for the first time. ``unready``: as it was not ready in time."""
        checker, vassal = self._checker, attempt.vassal
        if vassal in checker.wanted and vassal not in checker.held:
            added = self._listen_of(vassal) - self._has.get(attempt, set())
            if checker.rollouts.may_turn(vassal):
                added &= _listen_of(checker.wanted[vassal].get("settings", {}))
            opened = not added or unready or kind in _COSTS_IT
            must(opened, OPENS, f"{attempt}: {do} before {added} by {kind}")
        if unready and not late:
            early = (self._until.get(attempt, 0) - checker.at) / 1e9
            must(early <= 0, MORE_TIME, f"{attempt} is ended {early} s early")

    def _settings(self, vassal: str | None) -> dict[str, str]:
        spec = self._checker.approvals.may.get(vassal or "", {})
        settings: dict[str, str] = spec.get("settings", {})
        return settings

    def _listen_of(self, vassal: str) -> set[str]:
        """The addresses that are to be kept for it."""
        return _listen_of(self._settings(vassal))


def _listen_of(settings: dict[str, str]) -> set[str]:
    return set(filter(None, settings.get("listen", "").split(", ")))

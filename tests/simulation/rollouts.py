"""The rollouts of a run, by the record alone: how many change at once, and who is held back.

A change waits until an order shows that it has its turn. Some turns begin without an order. So
while a change waits, rules that depend on it are waived: it may start with either config.
"""

import typing
from collections.abc import Iterable
from typing import Any, Final

from .pacing import Attempt
from .trouble import must

if typing.TYPE_CHECKING:
    from .checker import Checker

SIZE: Final = "at most so many change at once"
HELD: Final = "a held back vassal runs its former config"
_TRIAL: Final = 1_000_000_000  # a program that cannot say more has settled then
_TURN: Final = 13_000_000_000  # any other one, at the latest
# Events of a vassal by which it has settled, or may have.
_SETTLES: Final = frozenset(
    (
        "adopted",
        "deadline_passed",
        "deploy_refused",
        "heartbeat_lost",
        "health_lost",
        "listen_failed",
        "listen_refused",
        "operator_requested",
        "spawn_failed",
        "vassal_accepting",
        "vassal_added",
        "vassal_deaf",
        "vassal_destroyed",
        "vassal_ready",
        "vassal_removed",
        "vassal_resigned",
    )
)
# Events of a vassal that end its process or load its config for another reason than its turn.
_OF_ITS_OWN: Final = _SETTLES | {"exited", "spawned", "timeout_extended"}
_OF_ALL: Final = frozenset(("daemon_started", "daemon_stopping", "daemon_stopped"))


class Rollouts:
    """Sees all rows. ``checker`` knows what the record says of each vassal."""

    def __init__(self, checker: "Checker") -> None:
        self._checker = checker
        self.waiting: set[str] = set()  # vassals whose change has no turn yet, as far as is known
        self.held_back: set[str] = set()  # those of them that certainly are
        self._begun: dict[str, int] = {}  # that certainly change: since when
        self._new: set[Attempt] = set()  # those of them that have their new config
        self._unseen: dict[str, list[dict[str, Any]]] = {}  # specs that may have had their turn
        self._turns: set[str] = set()  # that have their turn by this event

    @property
    def size(self) -> int:
        """How many of a source may change at once; 0 for all."""
        return int(self._checker.policy.get("rollout") or 0)

    def changed(self, vassal: str) -> bool:
        """Its source has changed it; whether that may have to wait."""
        self.held_back.discard(vassal)
        before = self._checker.wanted[vassal]
        if vassal in self.waiting and "preflight" not in before.get("settings", {}):
            self._unseen.setdefault(vassal, []).append(before)
        self.waiting.discard(vassal)
        # In its turn, its turn begins anew: a death of the process from before is no failure.
        self._new = {each for each in self._new if each.vassal != vassal}
        if self.size:
            self.waiting.add(vassal)
            self.waive([vassal])
        return bool(self.size)

    def left(self, vassal: str) -> None:
        """It is another source's now, or is not wanted."""
        self.waiting.discard(vassal)
        self.held_back.discard(vassal)
        self._begun.pop(vassal, None)
        self._unseen.pop(vassal, None)

    def follow(self, kind: str, vassal: str | None, body: Any, orders: list[Any]) -> None:
        """An event, and what was ordered: turns end, and others begin."""
        self._turns = set()
        if not self.size:
            self._begun.clear()
            return
        if kind == "operator_requested":
            self._ask(vassal, body["request"])
        self._end(kind, vassal, body)
        for action in orders:
            if self._begins(kind, vassal, action):
                self._begin(action)
            elif action["do"] == "spawn" and action["vassal"] in self._begun:
                self._new.add(Attempt(action["vassal"], action["attempt"]))

    def _ask(self, vassal: str | None, request: str) -> None:
        """An operator has a word. A request to all may be about each that changes."""
        if request.startswith("rollout"):
            self.held_back.clear()
        elif vassal is None:
            self._begun.clear()

    def _end(self, kind: str, vassal: str | None, body: Any) -> None:
        checker = self._checker
        for name, since in list(self._begun.items()):
            says = "ready" in checker.approvals.may.get(name, {}).get("settings", {})
            mute = "command" in checker.wanted.get(name, {}).get("settings", {}) and not says
            on_demand = bool(checker.wanted.get(name, {}).get("socket"))
            if on_demand or checker.at >= since + (
                _TRIAL if mute or name in checker.deprived else _TURN
            ):
                del self._begun[name]
        if vassal is None or vassal not in self._begun:
            return
        if kind == "exited":
            attempt = Attempt(vassal, body["attempt"])
            if attempt in checker.told and attempt not in self._new:
                return  # its restart
            del self._begun[vassal]
            if attempt in self._new - checker.told and _dies(body) and self.size == 1:
                self._hold_back(vassal)
        elif kind in _SETTLES:
            del self._begun[vassal]

    def _hold_back(self, failed: str) -> None:
        """The only one that changed has failed. Of those that wait, some are certain to do so."""
        checker = self._checker
        for each in self.waiting - {failed}:
            spec = checker.approvals.may.get(each, {})
            plain = not spec.get("socket") and each not in checker.held | checker.owed.keys()
            same = spec.get("config") == checker.wanted[each].get("config")
            if plain and not same and checker.owner[each] == checker.owner[failed]:
                runs = checker.ordered - checker.over - checker.told
                if any(a.vassal == each for a in runs - checker.starting.keys() - checker.unready):
                    self.held_back.add(each)

    def _begins(self, kind: str, about: str | None, action: dict[str, Any]) -> bool:
        """Whether an order begins the turn of a vassal that waits."""
        vassal, do = action["vassal"], action["do"]
        if vassal not in self.waiting or vassal in self._checker.owed:
            return False
        if do == "check":
            return True
        if do not in ("stop", "reload") or kind in _OF_ALL or self._of_operator(kind, about):
            return False
        return about != vassal or kind not in _OF_ITS_OWN

    @staticmethod
    def _of_operator(kind: str, about: str | None) -> bool:
        return kind == "operator_requested" and about is None

    def _begin(self, action: dict[str, Any]) -> None:
        """It has its turn."""
        checker, vassal = self._checker, action["vassal"]
        self._must_be_free(vassal)
        self.waiting.discard(vassal)
        self._turns.add(vassal)
        if action["do"] != "check":
            self._unseen.pop(vassal, None)
            checker.take_turn(vassal)
        if action["do"] == "reload":
            self._new.add(Attempt(vassal, action["attempt"]))
        spec = checker.wanted[vassal]
        if spec.get("socket") or vassal in checker.held:
            return
        self._begun[vassal] = checker.at
        owner = checker.owner[vassal]
        now = [each for each in self._begun if checker.owner.get(each) == owner]
        must(len(now) <= self.size, SIZE, f"{now} of {owner} change")

    def may_turn(self, vassal: str) -> bool:
        """Whether it has its turn by the event that was followed last, or may have had it."""
        return vassal in self._turns | self.waiting - self.held_back

    def _must_be_free(self, vassal: str) -> None:
        must(vassal not in self.held_back, HELD, f"{vassal} has its turn")

    def to_run(self, vassal: str, action: dict[str, Any]) -> None:
        """A start or reload is ordered. With the new config, its turn has begun unseen."""
        checker = self._checker
        unseen = self._unseen.pop(vassal, [])
        config, old = action.get("config"), checker.approvals.may.get(vassal, {}).get("config")
        if config == old:
            return
        for spec in unseen:
            if spec.get("config") == config:
                self._must_be_free(vassal)
                checker.approvals.goes_on_with(vassal, spec)
        if vassal in self.waiting and config == checker.wanted.get(vassal, {}).get("config"):
            self._must_be_free(vassal)
            self.waiting.discard(vassal)
            checker.take_turn(vassal)

    def waive(self, vassals: Iterable[str]) -> None:
        """Deaths of those that wait may count or not: a change that has its turn forgives them."""
        for each in self.waiting.intersection(vassals):
            self._checker.changed.add(each)
            self._checker.deaths.pop(each, None)
            self._checker.not_before.pop(each, None)


def _dies(body: dict[str, Any]) -> bool:
    """Whether an end is a failure for certain."""
    code, signal = body.get("code"), body.get("signal")
    known = code is not None or signal is not None
    return known and code not in (0, 26) and not body.get("away") and not body.get("reload")

"""The rollouts of a run, by the record alone: how many change at once.

A change waits until an order shows that it has its turn. Some turns begin without an order. So
while a change waits, rules that depend on it are waived: it may start with either config.
"""

import typing
from collections.abc import Iterable
from typing import Any, Final

from .holding import Holding, dies
from .pacing import Attempt
from .precedence import Precedence
from .trouble import must

if typing.TYPE_CHECKING:
    from .checker import Checker

SIZE: Final = "at most so many change at once"
TWICE: Final = "no change is carried out twice"
OUTSIDE: Final = "additions and removals wait for no turn"
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
        self.begun: dict[str, int] = {}  # that certainly change: since when
        self.sizes: dict[str, int] = {}  # source -> at most so many change at once
        self.holding = Holding(self, checker)
        self.precedence = Precedence(self, checker)
        self._checks: dict[str, int] = {}  # the preflights of those that change
        self._new: set[Attempt] = set()  # those of them that have their new config
        self._reloads: set[Attempt] = set()  # that were ordered, and have not ended
        self._unseen: dict[str, list[dict[str, Any]]] = {}  # specs that may have had their turn
        self._turns: set[str] = set()  # that have their turn by this event
        self.opening: set[str] = set()  # that wait and open addresses: perhaps in their turn

    @property
    def size(self) -> str:
        """How many of a source may change at once; empty for all."""
        return str(self._checker.policy.get("rollout") or "")

    def changed(self, vassal: str) -> bool:
        """Its source has changed it; whether that may have to wait."""
        before = self._checker.wanted[vassal]
        if vassal in self.waiting and "preflight" not in before.get("settings", {}):
            self._unseen.setdefault(vassal, []).append(before)
        self.waiting.discard(vassal)
        # In its turn, its turn begins anew: a death of the process from before is no failure.
        self._new = {each for each in self._new if each.vassal != vassal}
        self._checks.pop(vassal, None)
        if self.size:
            self.waiting.add(vassal)
            self._measure(self._checker.owner[vassal])
            self.holding.joined(vassal)
            self.waive([vassal])
        return bool(self.size)

    def left(self, vassal: str) -> None:
        """It is another source's now, or is not wanted."""
        self.waiting.discard(vassal)
        self.holding.left(vassal)
        self.holding.part_of.pop(vassal, None)
        self.precedence.left(vassal)
        self.begun.pop(vassal, None)
        self._unseen.pop(vassal, None)
        self.opening.discard(vassal)

    def _measure(self, source: str) -> None:
        """A rollout of this source may open now, or be of a new daemon, with the size of now.

        That may be a smaller one, but those that change go on.
        """
        self.sizes[source] = max(self.sizes.get(source, 0), self._size_of(source))

    def _size_of(self, source: str) -> int:
        if not self.size.endswith("%"):
            return int(self.size)
        its = sum(owner == source for owner in self._checker.owner.values())
        return max(1, its * int(self.size[:-1]) // 100)

    def follow(self, kind: str, vassal: str | None, body: Any, orders: list[Any]) -> None:
        """An event, and what was ordered: turns end, and others begin."""
        self._turns = set()
        self._end_reloads(kind, vassal, body)
        if not self.size:
            self.begun.clear()
            return
        if kind == "daemon_started":
            for source in self.sizes:
                self._measure(source)
        asks = kind == "operator_requested"
        if asks and vassal is None and not body["request"].startswith("rollout"):
            self.begun.clear()  # it may be about each that changes
        self._end(kind, vassal, body)
        self.holding.follow(kind, vassal, body, orders)
        if asks:
            self.holding.asked(body["request"])
        self.precedence.follow(kind, vassal, orders)
        if kind == "vassal_changed" and vassal in self.waiting:
            self.precedence.joined(vassal)
        for action in orders:
            if self._begins(kind, vassal, action):
                self._begin(action)
            elif action["do"] == "listen":
                self.opening |= self.waiting & {action["vassal"]}
            elif action["do"] == "spawn" and action["vassal"] in self.begun:
                self._new.add(Attempt(action["vassal"], action["attempt"]))

    def _end_reloads(self, kind: str, vassal: str | None, body: Any) -> None:
        """Reloads that are confirmed, or whose time has passed, are not repeated."""
        if kind in ("vassal_accepting", "exited", "deadline_passed"):
            now = self._checker.at
            for each in [each for each in self._reloads if each.vassal == vassal]:
                since = self._checker.reload_at.get(each, 0)
                if body.get("deadline", now) > since:
                    self._reloads.discard(each)

    def _end(self, kind: str, vassal: str | None, body: Any) -> None:
        checker = self._checker
        for name, since in list(self.begun.items()):
            says = "ready" in checker.approvals.may.get(name, {}).get("settings", {})
            mute = "command" in checker.wanted.get(name, {}).get("settings", {}) and not says
            on_demand = bool(checker.wanted.get(name, {}).get("socket"))
            mute |= any(each.vassal == name for each in checker.deprived)
            if on_demand or checker.at >= since + (_TRIAL if mute else _TURN):
                del self.begun[name]
        if vassal is None or vassal not in self.begun:
            return
        if kind == "exited":
            attempt = Attempt(vassal, body["attempt"])
            if attempt in checker.told and attempt not in self._new:
                return  # its restart
            if attempt in self._new - checker.told and dies(body):
                self.holding.failed(vassal)
            del self.begun[vassal]
        elif kind in _SETTLES:
            if kind == "deploy_refused" and body["check"] == self._checks.get(vassal):
                self.holding.failed(vassal)
            del self.begun[vassal]

    def _begins(self, kind: str, about: str | None, action: dict[str, Any]) -> bool:
        """Whether an order begins the turn of a vassal that waits."""
        vassal, do = action["vassal"], action["do"]
        if vassal not in self.waiting:
            return False
        if do == "check":
            return True  # also where a reload from before is still to come
        if do not in ("stop", "reload", "listen") or vassal in self._checker.owed:
            return False
        on_demand = do == "listen" and not self._checker.under_way(vassal)  # with what it had
        if on_demand or kind in _OF_ALL or self._of_operator(kind, about):
            return False
        return about != vassal or kind not in _OF_ITS_OWN

    @staticmethod
    def _of_operator(kind: str, about: str | None) -> bool:
        return kind == "operator_requested" and about is None

    def _begin(self, action: dict[str, Any]) -> None:
        """It has its turn."""
        checker, vassal = self._checker, action["vassal"]
        self.holding.must_be_free(vassal)
        self.waiting.discard(vassal)
        self.opening.discard(vassal)
        self._turns.add(vassal)
        if action["do"] == "check":
            self._checks[vassal] = action["attempt"]
        else:
            self._unseen.pop(vassal, None)
            checker.take_turn(vassal)
        if action["do"] == "reload":
            self._new.add(Attempt(vassal, action["attempt"]))
        spec = checker.wanted[vassal]
        if spec.get("socket") or vassal in checker.held:
            return
        self.begun[vassal] = checker.at
        owner = checker.owner[vassal]
        now = self.changing(owner)
        most = self.sizes[owner]
        must(len(now) <= most, SIZE, f"{now} of {owner} change, {most} may")
        self.precedence.begins(vassal)

    def changing(self, source: str) -> list[str]:
        """The vassals of a source that certainly change."""
        return [each for each in self.begun if self._checker.owner.get(each) == source]

    def is_full(self, source: str) -> bool:
        """Whether so many certainly change that no other one does."""
        return len(self.changing(source)) >= self.sizes[source]

    def may_turn(self, vassal: str) -> bool:
        """Whether it has its turn by the event that was followed last, or may have had it."""
        may_have_had = self.waiting | self._unseen.keys()  # one before its change that is checked
        return vassal in self._turns | may_have_had - self.holding.back

    def to_run(self, vassal: str, action: dict[str, Any]) -> None:
        """A start or reload is ordered. With the new config, its turn has begun unseen."""
        checker = self._checker
        config, old = action.get("config"), checker.approvals.may.get(vassal, {}).get("config")
        failures = checker.failures.get(vassal, 0)
        unseen = [] if config == old else self._unseen.get(vassal, [])
        self._unseen.pop(vassal, None)
        for spec in unseen:
            if spec.get("config") == config:
                self.holding.must_be_free(vassal)
                checker.approvals.goes_on_with(vassal, spec)
                checker.turn_to(vassal)
        wanted = checker.wanted.get(vassal, {}).get("config")
        attempt = Attempt(vassal, action["attempt"])
        # A reload may be due, or repeated by a daemon that adopts the vassal in the midst of it.
        known = checker.owed.get(vassal) == attempt or attempt in self._reloads
        new = config != old or (action["do"] == "reload" and not known)
        if vassal in self.waiting and new and config == wanted:
            self.holding.must_be_free(vassal)
            self.waiting.discard(vassal)
            checker.take_turn(vassal)
        if vassal in self.opening:  # deaths count since its turn, which may have begun then
            checker.failures.setdefault(vassal, failures)
        self.opening &= self.waiting
        if action["do"] == "reload":
            known |= checker.owed.get(vassal) == attempt
            must(known, TWICE, f"{attempt} is reloaded once more")
            self._reloads.add(attempt)

    def waive(self, vassals: Iterable[str]) -> None:
        """Deaths of those that wait may count or not: a change that has its turn forgives them."""
        for each in self.waiting.intersection(vassals):
            self._checker.changed.add(each)
            self._checker.deaths.pop(each, None)
            self._checker.not_before.pop(each, None)

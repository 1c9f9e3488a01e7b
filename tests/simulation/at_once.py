"""Orders that have to follow at once, by the record alone: in the same turn as the event."""

import typing
from collections.abc import Iterable
from typing import Any, Final

from .conditions import SICK
from .pacing import Attempt
from .processes import Processes
from .rollouts import OUTSIDE
from .trouble import must

if typing.TYPE_CHECKING:
    from .rollouts import Rollouts
    from .turns import Turns

# Requests that start a vassal which is down.
_RELEASING: Final = ("start", "restart", "retry")


class AtOnce(Processes):
    """Compares each event with what is ordered by it."""

    turns: "Turns"
    rollouts: "Rollouts"
    restarted_if_sick: set[Attempt]

    def _check_at_once(
        self, kind: str, vassal: str | None, body: Any, actions: list[dict[str, Any]]
    ) -> None:
        """The orders that have to follow in the same turn."""
        if kind == "deadline_passed" and "attempt" in body:
            self.replacements.passed(Attempt(vassal or "", body["attempt"]), actions)
        if self.replacements.names & {vassal, *self.wanted}:
            return
        if kind == "operator_requested" and body["request"] in _RELEASING:
            unnamed = [each for each in self.wanted if each not in self.done]
            self._must_start(unnamed if vassal is None else [vassal], actions)
        elif (
            kind == "exited"
            and body.get("code") != 26
            and Attempt(vassal or "", body["attempt"]) in self.loyal
        ):
            throttle = int(self.policy.get("throttle", 1000)) * 1_000_000
            if self.at >= self.launched.get(vassal or "", self.at) + throttle:
                self._must_start([vassal or ""], actions)
        elif kind == "exited" and body.get("reload") and self.ended_by_reload:
            self._must_start([vassal or ""], actions)
        elif kind == "health_lost":
            attempt = Attempt(vassal or "", body["attempt"])
            stopped = [each for each in actions if each["do"] == "stop"]
            to_stop = attempt in self.restarted_if_sick - self.told - self.over
            must(bool(stopped) == to_stop, SICK, f"{attempt}: {actions} was ordered")
        elif kind == "vassal_added" and self.turns.starts(kind, vassal, body):
            self._must_start([vassal or ""], actions, OUTSIDE)
        elif kind in ("vassal_removed", "vassal_destroyed") and vassal not in self.wanted:
            self._must_end(vassal or "", actions)
        elif kind == "vassal_resigned":
            attempt = Attempt(vassal or "", body["attempt"])
            stopped = [each for each in actions if each["do"] == "stop"]
            must(
                bool(stopped) or attempt in self.told | self.over,
                "who resigns is stopped",
                f"{attempt} resigned, {actions} was ordered",
            )

    def _must_end(self, vassal: str, actions: list[dict[str, Any]]) -> None:
        """A vassal that is removed and up is stopped at once."""
        fresh = self.told | self.starting.keys() | self.unready | self.reloading
        up = {each for each in self.ordered - self.over - fresh if each.vassal == vassal}
        stopped = {action["attempt"] for action in actions if action["do"] in ("stop", "kill")}
        must({each.number for each in up} <= stopped, OUTSIDE, f"{up} is removed, not stopped")

    def _must_start(
        self,
        vassals: Iterable[str],
        actions: list[dict[str, Any]],
        rule: str = "started at once",
    ) -> None:
        """Each of these that is wanted and down is started, as far as there is room."""
        if not self.open or self.reloading or self.restarting:
            return
        down = [
            each
            for each in vassals
            if self.approvals.holds(each)
            and each not in self.held
            and not self.wanted[each].get("socket")
            and not self.under_way(each)
        ]
        # One that is to start with its former config takes the room as well.
        asked = {each for each in vassals if self.approvals.holds(each)} - self.rollouts.waiting
        others = {each for each in self.wanted if self._may_wait(each)} - asked
        # The last slot is kept for a source that has none.
        kept = 1 if len(self.monitors) > 1 and self.most_slots() > 1 else 0
        room = 0 if others else self.most_slots() - len(self.starting) - kept
        started = [each["vassal"] for each in actions if each["do"] == "spawn"]
        enough = len(set(down) & set(started)) >= min(room, len(down))
        must(enough, rule, f"{down} are to start, there is room for {room}: {actions}")

    def _may_wait(self, vassal: str) -> bool:
        """Whether it may wait for a slot, to start or to be reloaded."""
        throttled = self.at < self.not_before.get(vassal, 0)
        throttled = throttled and not self.rollbacks.is_forgiven(vassal)  # a good one starts soon
        down = vassal not in self.held and not self.under_way(vassal) and not throttled
        # The record does not tell when a change has its turn in a rollout, and waits for a slot.
        return vassal in self.owed or down or self.rollouts.may_turn(vassal)

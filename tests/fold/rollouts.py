"""A second opinion on rollouts: how many change at once, in which order, and who is held back.

It follows the events and what became of each vassal. Of the fleet's rollouts it reads the lines
and the numbers that people see, and compares them with what happened.
"""

from collections.abc import Callable
from typing import Any

from emperord.daemon.core.fleet import Fleet
from emperord.daemon.core.rollout import Rollout
from emperord.journal.events import Event

_ANNOUNCED = ("vassal_added", "vassal_changed")


class Rollouts:
    """Sees every event with the fleet after it."""

    def __init__(self, must: Callable[[bool, str], None]) -> None:
        self._must = must
        self.waiting: dict[str, int] = {}  # vassal -> the rollout in which it waits
        self.held: set[int] = set()  # rollouts that are held back
        self.changing: dict[str, set[str]] = {}  # by source
        self.done: dict[int, set[str]] = {}  # by rollout

    def see(self, event: Event, fleet: Fleet) -> None:
        now = {
            name: vassal.waits_in
            for name, vassal in fleet.vassals.items()
            if vassal.waits_in is not None
        }
        for name in self.waiting.keys() - now.keys():
            self._leaves(event, fleet, name)
        for name in fleet.turned:
            known = name in self.waiting or name == event.vassal
            self._must(known, f"{name} has a turn, and did not wait")
            self._must(fleet.open, f"{name} has a turn, and no daemon is ready")
        for name in now.keys() - self.waiting.keys():
            its = event.kind in _ANNOUNCED and event.vassal == name
            self._must(its, f"{name} waits, and has not changed")
        for seq, rollout in fleet.rollouts.items():
            self._check(event, fleet, seq, rollout)
        for rollout in fleet.rollouts.values():
            where = {name for name, seq in now.items() if seq == rollout.seq}
            self._must(where == set(rollout.names), f"rollout {rollout.seq} has another line")
        self._must(set(now.values()) <= fleet.rollouts.keys(), "a vassal waits in no rollout")
        self._check_sizes(fleet)
        self.waiting = now
        self.held = {seq for seq, each in fleet.rollouts.items() if each.held is not None}

    def _leaves(self, event: Event, fleet: Fleet, name: str) -> None:
        """It waits no longer: it has its turn, or its source, an operator or an error says so."""
        vassal = fleet.vassals.get(name)
        gone = vassal is None or not vassal.wanted
        own = event.vassal == name and event.kind in (*_ANNOUNCED, "vassal_failed")
        own |= event.vassal == name and getattr(event.body, "request", "") == "rollback"
        self._must(gone or own or name in fleet.turned, f"{name} changes out of its turn")
        if name in fleet.turned and not own:
            continued = getattr(event.body, "request", "") == "rollout_continue"
            held = self.waiting[name] in self.held
            self._must(continued or not held, f"{name} changes, and was held back")

    def _check(self, event: Event, fleet: Fleet, seq: int, rollout: Rollout) -> None:
        places = [*rollout.names, *rollout.turning, *rollout.done, *rollout.failed]
        self._must(len(places) == len(set(places)), f"rollout {seq} has a vassal twice: {places}")
        for name in rollout.done.keys() - self.done.get(seq, set()):
            self._must(_has_changed(fleet, name), f"{name} counts as done, and is not")
        self.done[seq] = set(rollout.done)
        for name in rollout.turning:
            vassal = fleet.vassals.get(name)
            its = vassal is not None and vassal.monitor == rollout.monitor and vassal.wanted
            self._must(its, f"{name} is changing, and is not there")
        failures = len(rollout.failed) - rollout.pardoned
        if failures >= fleet.policy.rollout_failures and seq in self.held:
            self._must(rollout.held is not None or _continues(event), "a failed rollout goes on")
        ends = rollout.waiting or rollout.turning or rollout.quiet is not None
        self._must(bool(ends), f"rollout {seq} has nothing to do, and does not close")
        if rollout.turning and fleet.open:
            self._must(rollout.deadline is not None, f"rollout {seq} may wait for ever")
        if rollout.line and rollout.held is None and fleet.open:
            others = [each for each in fleet.rollouts.values() if each.monitor == rollout.monitor]
            busy = sum(len(each.turning) for each in others)
            gathers = rollout.gathers is not None and (
                fleet.at < rollout.gathers or any(t.canary for t in rollout.turning.values())
            )
            waits = (
                busy >= rollout.size
                or gathers
                or (rollout.deadline is not None and rollout.deadline <= fleet.at)
            )
            self._must(waits, f"rollout {seq} has room, and {rollout.names} wait")

    def _check_sizes(self, fleet: Fleet) -> None:
        """No more are changing than may, unless they were before a smaller size."""
        for monitor in {each.monitor for each in fleet.rollouts.values()}:
            its = [each for each in fleet.rollouts.values() if each.monitor == monitor]
            now = {name for each in its for name in each.turning}
            before = self.changing.get(monitor, set())
            most = max(each.size for each in its)
            grown = now - before
            self._must(len(now) <= most or not grown, f"{sorted(now)} change at once")
            self.changing[monitor] = now


def _has_changed(fleet: Fleet, name: str) -> bool:
    """Whether a vassal is up with its wanted spec, or waits for a start that a client orders."""
    vassal = fleet.vassals[name]
    if vassal.phase == "barred":
        return vassal.done
    if vassal.phase == "listening":  # it ran the former one
        return vassal.target is vassal.spec
    waits = vassal.spec.settings.get("reload") == "none"
    return vassal.phase in ("ready", "accepting") and (waits or vassal.running == vassal.spec)


def _continues(event: Event) -> bool:
    body: Any = event.body
    return event.kind == "operator_requested" and body.request == "rollout_continue"

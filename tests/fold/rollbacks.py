"""A second opinion on rollbacks: which spec was good, and how often the wanted one has failed.

It follows the events by itself. A rollback is seen in the fleet. It has to follow from a failure,
and to come after as many as the setting says. The spec that it goes back to had accepted.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from emperord.daemon.core.actions import Action
from emperord.daemon.core.fleet import Fleet, Vassal
from emperord.journal.events import Event, Spec

_ANNOUNCED = ("vassal_added", "vassal_changed")
_FAILURES = ("exited", "spawn_failed", "heartbeat_lost", "health_lost", "deadline_passed")


def facts(spec: Spec) -> tuple[Any, ...]:
    """The parts of a spec that tell whether two run the same."""
    return (spec.ts, spec.config, spec.path, spec.socket, tuple(sorted(spec.settings.items())))


class Rollbacks:
    """Sees every event with the fleet after it."""

    def __init__(self, must: Callable[[bool, str], None]) -> None:
        self._must = must
        self._ran: dict[str, Spec] = {}  # the spec of the last order
        self._attempts: dict[str, int | None] = {}
        self._good: dict[str, set[tuple[Any, ...]]] = defaultdict(set)
        self._failures: dict[str, int] = {}  # for certain
        self._troubles: dict[str, int] = {}  # those that may be failures
        self._proved: set[str] = set()  # those that accepted since their last change

    def ordered(self, action: Action, may: Spec | None) -> None:
        """A process is to run this spec."""
        assert may is not None
        self._ran[action.vassal], self._attempts[action.vassal] = may, action.attempt

    def see(self, event: Event, fleet: Fleet, may: Spec | None, wanted: Spec | None) -> Spec | None:
        """The spec that is rolled back to by this event."""
        name, body = event.vassal or "", _any(event.body)
        for gone in self._ran.keys() - fleet.vassals.keys():
            del self._ran[gone], self._attempts[gone]
            self._good.pop(gone, None)
        vassal = fleet.vassals.get(name)
        if vassal is None:
            return None
        if event.kind in _ANNOUNCED and vassal.spec is body.spec:
            self._failures[name] = self._troubles[name] = 0
            self._proved.discard(name)
            return None
        if event.kind in _FAILURES:
            self._troubles[name] = self._troubles.get(name, 0) + 1
        ran, mine = self._ran.get(name), self._attempts.get(name) == getattr(body, "attempt", 0)
        if ran is not None:
            self._note_good(event, name, ran, mine and ran is wanted, mine)
        back = vassal.refused
        if back is None or not back.rolled_back or back.seq != event.seq:
            if ran is not None:
                self._count(event, vassal, may is wanted and ran is wanted and mine)
            return None
        self._check(event, vassal, fleet)
        return vassal.kept

    def _note_good(
        self, event: Event, name: str, ran: Spec, is_wanted: bool, is_present: bool
    ) -> None:
        said = event.kind in ("vassal_accepting", "vassal_loyal") and is_present
        if said or "command" in ran.settings:  # a program cannot say so
            self._good[name].add(facts(ran))
        if event.kind == "vassal_accepting" and is_wanted:
            self._proved.add(name)

    def _count(self, event: Event, vassal: Vassal, is_wanted: bool) -> None:
        """Note a death of the wanted spec. So many of a uWSGI are not to be without a rollback."""
        if event.kind != "exited" or not is_wanted or vassal.phase != "throttled":
            return
        name, most = vassal.name, int(vassal.spec.settings.get("rollback", 0))
        self._failures[name] = self._failures.get(name, 0) + 1
        if name in self._proved or "command" in vassal.spec.settings:
            return
        good = vassal.good
        overdue = good is not None and good.spec is not None and most
        if overdue and good is not None and good.spec is not None:
            same = good.spec.config == vassal.spec.config
            others = (good.spec.uid, good.spec.gid) != (vassal.spec.uid, vassal.spec.gid)
            cannot = same or others or bool(good.bound) or good.spec.bar is not None
            late = self._failures[name] >= most and not cannot
            self._must(not late, f"{name} failed too often, and is not rolled back")

    def _check(self, event: Event, vassal: Vassal, fleet: Fleet) -> None:
        name, kept = vassal.name, vassal.kept
        assert kept is not None
        same_user = (kept.uid, kept.gid) == (vassal.spec.uid, vassal.spec.gid)
        self._must(same_user, f"{name}: rolled back to another user's config")
        self._must(vassal.deaths == 0, f"{name}: waits for the deaths of what was rolled back")
        if event.kind == "operator_requested":
            asked = _any(event.body).back_to
            self._must(facts(kept) == facts(asked), f"{name}: rolled back to another config")
            return
        self._must(event.kind in _FAILURES, f"{name}: rolled back by {event.kind}")
        self._must(name not in self._proved, f"{name}: rolled back, and it had been accepting")
        self._must(facts(kept) in self._good[name], f"{name}: rolled back to what was never good")
        most = int(vassal.spec.settings.get("rollback", fleet.policy.rollback))
        enough = self._troubles[name] >= most > 0
        self._must(enough or event.kind == "spawn_failed", f"{name}: rolled back too soon")


def _any(body: Any) -> Any:
    return body

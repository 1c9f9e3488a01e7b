"""A second opinion on rollbacks: which spec is good, and when a change that fails is taken back.

It states the rule on its own. It sees the fleet after each event, and keeps it until the next one.
Of a vassal it reads its phases and specs, which other moves decide. It reads nothing that the fold
counts for rollbacks, and compares what it finds with that.

    good    loyal with it; or accepting with it for ``forgive`` (``start_patience`` without it, or
            for a program that cannot say that it accepts); or accepting with it where there is no
            way back; or accepting with it at a change, and no failure since its own change; or the
            first one, accepting before its change gets to it
    failure a death that counts as one, a late start, a lost heartbeat or lost health, while the
            wanted spec runs and another one is good
    back    as many failures as the limit says, or a program that cannot be executed
"""

from collections.abc import Callable
from copy import copy
from typing import Any, Final

import msgspec
from emperord.daemon.core.fleet import Fleet, Vassal
from emperord.daemon.core.starts import bar_reason
from emperord.journal.events import Event, Spec
from emperord.journal.policy import Policy

_ANNOUNCED: Final = ("vassal_added", "vassal_changed")
_SECOND: Final = 1_000_000_000
_UP: Final = ("starting", "ready", "accepting", "reloading")


class _Good(msgspec.Struct):
    """The spec that is good. ``wanted``: it is the wanted one."""

    spec: Spec
    wanted: bool
    bound: str = ""
    failures: int = 0
    untried: bool = False  # the first one, which its process has not said that it accepts with


class Rollbacks:
    """Sees every event with the fleet after it."""

    def __init__(self, must: Callable[[bool, str], None]) -> None:
        self._must = must
        self._before: dict[str, Vassal] = {}
        self._policy = Policy()
        self._good: dict[str, _Good | None] = {}

    def see(self, event: Event, fleet: Fleet) -> Spec | None:
        """The spec that is rolled back to by this event."""
        if fleet.rules < 2:
            return None
        for gone in self._before.keys() - fleet.vassals.keys():
            del self._before[gone], self._good[gone]
        for name, vassal in fleet.vassals.items():
            before = self._before.get(name)
            if before is None:
                self._good[name] = None
            else:
                self._follow(event, fleet, before, vassal)
            self._agree(name, vassal)
            self._before[name] = kept = copy(vassal)
            kept.candidate = copy(vassal.candidate)
        self._policy = fleet.policy
        vassal_ = fleet.vassals.get(event.vassal or "")
        return vassal_.kept if vassal_ is not None and _is_back(event, vassal_) else None

    def _agree(self, name: str, vassal: Vassal) -> None:
        """The fold has come to the same."""
        ours, theirs = self._good[name], vassal.good
        if ours is None or theirs is None:
            self._must(ours is None and theirs is None, f"{name}: good is {theirs}, not {ours}")
            return
        told = (theirs.spec is None, theirs.failures, theirs.bound, theirs.untried)
        found = (ours.wanted, ours.failures, ours.bound, ours.untried)
        self._must(told == found, f"{name}: good is {theirs}, not {ours}")
        same = theirs.spec is None or theirs.spec == ours.spec
        self._must(same, f"{name}: good is {theirs.spec}, not {ours.spec}")

    # The rule

    def _follow(self, event: Event, fleet: Fleet, before: Vassal, vassal: Vassal) -> None:
        mine = event.vassal == vassal.name
        body: Any = event.body
        if _leaves(event, fleet, before, vassal):
            self._see_time(event, before, before)
        if mine and getattr(body, "spec", None) is not None and vassal.spec is body.spec:
            self._changes(event, before)
        elif _takes_place(before, vassal):
            self._takes_place(before, vassal)
        elif mine and getattr(body, "attempt", None) == before.attempt:
            self._says(event, before, vassal)
        if _ends(before, vassal):
            self._see_time(event, before, vassal)
        if _has_failed(event, before, vassal):
            self._fails(event, fleet, before, vassal)
        elif _is_back(event, vassal):
            asked = event.kind == "operator_requested"
            self._must(asked, f"{vassal.name}: rolled back by {event.kind}")
            if vassal.kept is not None:
                self._good[vassal.name] = _Good(vassal.kept, wanted=False)
        elif _returned_in_vain(event, before, vassal):
            self._stays(before, vassal)
        elif _is_cancelled(before, vassal) and not (mine and event.kind in _ANNOUNCED):
            self._start_again(vassal.name)

    def _see_time(self, event: Event, before: Vassal, has: Vassal) -> None:
        """Its phase may end: the target that it ``has`` is good if that was long enough.

        Its source may have given again what it runs. Its phase ends with that as its target.
        """
        seconds = self._policy.start_patience
        if before.phase == "accepting":
            seconds = self._policy.forgive or seconds
        elif before.phase != "ready" or _can_say(before):
            return
        good = self._good[before.name]
        if (good is None or not good.wanted) and event.at - before.since >= seconds * _SECOND:
            self._is_good(before.name, before.running, has.target, is_open=has.is_open)

    def _is_good(self, name: str, ran: Spec | None, target: Spec | None, *, is_open: bool) -> None:
        if ran is not None and ran == target:
            self._good[name] = _Good(ran, wanted=not is_open)

    def _changes(self, event: Event, before: Vassal) -> None:
        """Its source gives another spec, or the daemon met an error about that."""
        name, good = before.name, self._good[before.name]
        if event.kind == "vassal_failed" or not before.wanted or before.monitor != event.monitor:
            self._good[name] = None
            return
        runs = before.running == before.spec and not before.is_open
        accepts = before.phase == "accepting" and runs
        if good is not None and (good.wanted or (accepts and not good.failures)):
            self._good[name] = _Good(before.spec, wanted=False, bound=before.bound)
        elif good is not None and not good.untried:
            self._start_again(name)
        elif before.phase in ("starting", "ready", "reloading") and runs:
            first = _Good(before.spec, wanted=False, bound=before.bound, untried=True)
            self._good[name] = first

    def _stays(self, before: Vassal, vassal: Vassal) -> None:
        """The instance with the former spec has failed, so the one that runs is good."""
        if vassal.refused is None:
            self._good[vassal.name] = _Good(vassal.spec, wanted=True)
        elif vassal.kept != before.kept:
            kept = vassal.kept
            self._good[vassal.name] = None if kept is None else _Good(kept, wanted=False)

    def _start_again(self, name: str) -> None:
        """Its failures count from here on."""
        good = self._good[name]
        if good is not None:
            self._good[name] = msgspec.structs.replace(good, failures=0)

    def _says(self, event: Event, before: Vassal, vassal: Vassal) -> None:
        """Its process says that it accepts, or is loyal."""
        ran, target, is_open = before.running, before.target, before.is_open
        if event.kind == "vassal_loyal" and before.phase in ("starting", "ready", "accepting"):
            self._is_good(before.name, ran, target, is_open=is_open)
        elif event.kind == "vassal_accepting" and before.phase in (
            "starting",
            "ready",
            "reloading",
        ):
            self._accepts(vassal, ran, target, is_open=is_open)

    def _accepts(
        self, vassal: Vassal, ran: Spec | None, target: Spec | None, *, is_open: bool
    ) -> None:
        good = self._good[vassal.name]
        if good is not None and good.untried:
            if ran == good.spec != target:
                good.untried = False
            else:
                self._is_good(vassal.name, ran, target, is_open=is_open)
            return
        tried = good is not None and not good.wanted and good.spec != ran
        limit = _limit(vassal.spec, self._policy)
        if not (tried and limit and good is not None and _can_be(good, vassal, self._policy)):
            self._is_good(vassal.name, ran, target, is_open=is_open)

    def _takes_place(self, before: Vassal, vassal: Vassal) -> None:
        """Its new instance has taken over."""
        new = before.candidate
        assert new is not None
        target, is_open = before.target, before.is_open
        if new.tries:
            target, is_open = before.spec, False
        if new.loyal:
            self._is_good(vassal.name, new.running, target, is_open=is_open)
        elif new.speaks or new.running.settings.get("ready", "spawn") != "spawn":
            self._accepts(vassal, new.running, target, is_open=is_open)

    def _fails(self, event: Event, fleet: Fleet, before: Vassal, vassal: Vassal) -> None:
        """See whether its change has to be taken back now."""
        name, good, limit = vassal.name, self._good[vassal.name], _limit(before.spec, fleet.policy)
        is_other = good is not None and not good.wanted and not good.untried
        counts = is_other and bool(limit) and not before.is_open
        due = False
        if good is not None and counts and before.running == before.spec:
            good.failures += 1
            enough = good.failures >= limit or event.kind == "spawn_failed"
            due = enough and _can_be(good, before, fleet.policy)
        back = _is_back(event, vassal)
        self._must(back == due, f"{name}: {'' if back else 'not '}rolled back by {event.kind}")
        if back and good is not None and vassal.kept is not None:
            same = _uncopied(vassal.kept) == _uncopied(good.spec)
            self._must(same, f"{name}: rolled back to {vassal.kept}, not {good.spec}")
            self._must(vassal.deaths == 0, f"{name}: waits for the deaths of its former config")
            self._good[name] = _Good(vassal.kept, wanted=False)


def _leaves(event: Event, fleet: Fleet, before: Vassal, vassal: Vassal) -> bool:
    """Whether its phase ends, or what may be started may become another."""
    if _ends(before, vassal) or before.target != vassal.target:
        return True
    has_turn = vassal.name in fleet.turned and vassal.check != event.seq  # else it is checked first
    if has_turn or _is_tried_again(event, before, vassal):
        return True
    body: Any = event.body
    if event.kind == "deadline_passed":
        due = body.attempt is None and body.deadline == before.deadline
    else:
        due = event.kind in (*_ANNOUNCED, "preflight_passed")
    return bool(due and event.vassal == vassal.name)


def _ends(before: Vassal, vassal: Vassal) -> bool:
    """Whether its phase has ended."""
    facts = [(each.phase, each.since, each.attempt) for each in (before, vassal)]
    return facts[0] != facts[1]


def _is_tried_again(event: Event, before: Vassal, vassal: Vassal) -> bool:
    """Whether its wanted spec is tried again: after a refusal, or by another new instance."""
    refused = before.refused is not None and not before.refused.rolled_back
    if refused and event.kind == "operator_requested" and vassal.refused is None:
        return True
    old, new = before.candidate, vassal.candidate
    if old is None or new is None or old.attempt == new.attempt:
        return False
    return old.tries and new.tries


def _takes_place(before: Vassal, vassal: Vassal) -> bool:
    new = before.candidate
    takes = new is not None and new.is_tried and vassal.attempt == new.attempt
    return takes and vassal.phase in ("ready", "accepting", "reloading")


def _returned_in_vain(event: Event, before: Vassal, vassal: Vassal) -> bool:
    """Whether the new instance of the spec that an operator went back to has failed."""
    new, refused = before.candidate, before.refused
    if new is None or refused is None or not refused.rolled_back or not new.is_tried:
        return False
    about = getattr(event.body, "attempt", None) == new.attempt and event.vassal == vassal.name
    return about and (vassal.candidate is None or not vassal.candidate.is_tried)


def _has_failed(event: Event, before: Vassal, vassal: Vassal) -> bool:
    """Whether its process has died by its own fault, or cannot be executed."""
    body: Any = event.body
    if event.vassal != vassal.name or before.phase not in _UP:
        return False
    if event.kind == "spawn_failed":
        mine = before.attempt == body.attempt
        return bool(mine and before.phase == "starting" and body.fault == "exec" and not before.due)
    died = vassal.died != before.died and vassal.died[-1:] == (event.at,)
    return died and not (event.kind == "exited" and (before.due or not before.control))


def _is_back(event: Event, vassal: Vassal) -> bool:
    """Whether this event has rolled it back."""
    refused = vassal.refused
    return refused is not None and refused.rolled_back and refused.seq == event.seq


def _is_cancelled(before: Vassal, vassal: Vassal) -> bool:
    """Whether it was rolled back, and its wanted spec is tried again."""
    was = before.refused is not None and before.refused.rolled_back
    return was and before.spec is vassal.spec and vassal.refused is None


def _can_say(vassal: Vassal) -> bool:
    """Whether its process can say that it accepts, or is looked at."""
    spec = vassal.aim if vassal.running is None else vassal.running
    looked_at = spec.settings.get("ready", "spawn") != "spawn"
    return vassal.control if vassal.speaks else looked_at


def _limit(spec: Spec, policy: Policy) -> int:
    return int(spec.settings.get("rollback", policy.rollback))


def _can_be(good: _Good, vassal: Vassal, policy: Policy) -> bool:
    """Whether it can go back to that: the same user, another text, and one that may run."""
    spec, wanted = good.spec, vassal.spec
    if (spec.uid, spec.gid) != (wanted.uid, wanted.gid) or spec.config is None:
        return False
    facts = [(each.config, each.path, each.cwd, each.socket) for each in (spec, wanted)]
    if facts[0] == facts[1] or bar_reason(spec, policy, vassal.monitor) is not None:
        return False
    reads_file = spec.path is not None and "command" not in spec.settings
    return not (reads_file and good.bound and not spec.copy)


def _uncopied(spec: Spec) -> Spec:
    return msgspec.structs.replace(spec, copy=False)

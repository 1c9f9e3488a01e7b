"""A second opinion on targets: which spec of each vassal may be started, and which was refused.

It follows the events by itself. The fleet tells only whether the fold took a spec, because several
sources may have a name.
"""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from emperord.daemon.core.actions import Action
from emperord.daemon.core.fleet import Fleet, Vassal
from emperord.daemon.core.reloads import waits_on
from emperord.journal.events import Event, Spec

from .rollbacks import Rollbacks

_GONE = ("vassal_removed", "vassal_destroyed")
_ANNOUNCED = ("vassal_added", "vassal_changed")
_REMOVED = ("vassal_removed", "vassal_destroyed")


class Approvals:
    """Sees every event with the fleet after it, and what was ordered."""

    def __init__(self, must: Callable[[bool, str], None]) -> None:
        self.wanted: dict[str, Spec] = {}
        self.may: dict[str, Spec | None] = {}
        self.checks: dict[str, int] = {}  # under way
        self.rollbacks = Rollbacks(must)
        self.ran: dict[str, Spec] = {}  # the specs of the last starts or reloads
        self.tried: dict[str, int] = {}  # the second attempts on which a change depends
        self._must = must

    def see(self, event: Event, fleet: Fleet, actions: Sequence[Action]) -> None:
        body: Any = event.body
        name = event.vassal or ""
        for action in actions:
            if action.do == "check":
                self.checks[action.vassal] = action.attempt or 0
                if event.kind == "daemon_started":
                    self._unbarred(fleet.vassals[action.vassal])
        self._have_turns(fleet, event)
        vassal = fleet.vassals.get(name)
        if event.kind in _GONE and vassal is not None and not vassal.wanted:
            self.checks.pop(name, None)
            self.may[name] = self.wanted[name]
        if event.kind in _ANNOUNCED or getattr(body, "spec", None) is not None:
            if vassal is not None and vassal.spec is body.spec:
                self._announced(event, vassal, actions)
        elif event.kind == "operator_requested":
            self._asked(fleet)
        elif event.kind == "preflight_passed" and self.checks.get(name) == body.check:
            del self.checks[name]
            self.may[name] = self.wanted[name]
        elif event.kind == "deploy_refused" and self.checks.get(name) == body.check:
            del self.checks[name]
        elif event.kind in _REMOVED and vassal is not None and not vassal.wanted:
            self.checks.pop(name, None)  # it is being stopped, and nothing of it is started
            self.may[name] = self.wanted[name]
        self._follow_rollback(name, event, fleet)
        for left in self.wanted.keys() - fleet.vassals.keys():
            del self.wanted[left], self.may[left]
            self.checks.pop(left, None)
            self.tried.pop(left, None)
        for tried in list(self.tried):
            self._look_at(tried, fleet.vassals[tried])
        for action in actions:
            self._check(fleet, action, event.kind)
        for each in fleet.vassals.values():
            self._check_vassal(each)

    def _unbarred(self, vassal: Vassal) -> None:
        """The policy barred it, so it was not checked. Now it has to be."""
        if self.may[vassal.name] is self.wanted[vassal.name]:
            self._must(vassal.attempt is None, f"{vassal.name}: checked again while it runs")
            self.may[vassal.name] = None

    def _follow_rollback(self, name: str, event: Event, fleet: Fleet) -> None:
        """See whether the last good spec may be started again, in place of the wanted one."""
        back = self.rollbacks.see(event, fleet)
        if back is not None:
            self.may[name] = back
            self.checks.pop(name, None)
        if getattr(event.body, "request", "") == "cancel_rollback":
            for each in [name] if event.vassal else list(fleet.vassals):
                vassal = fleet.vassals.get(each)
                if vassal is not None and not vassal.is_open:
                    self.may[each] = self.wanted[each]

    def _have_turns(self, fleet: Fleet, event: Event) -> None:
        """Some changes have their turn in a rollout. One that is not checked may run."""
        for name in fleet.turned:
            its = event.kind in _ANNOUNCED and name == event.vassal
            if not its and self.checks.get(name) != event.seq:
                self.may[name] = self.wanted[name]

    def _announced(self, event: Event, vassal: Vassal, actions: Sequence[Action]) -> None:
        body: Any = event.body
        # A copy: a source can announce the same again, and that is checked again.
        name, spec = event.vassal or "", copy(body.spec)
        self.wanted[name] = spec
        checked = [each for each in actions if each.do == "check" and each.vassal == name]
        self.tried.pop(name, None)
        if event.kind == "vassal_failed" and "preflight" in spec.settings:
            self.may.setdefault(name, None)
            self.checks.pop(name, None)
        elif vassal.waits_in is not None:
            self.checks.pop(name, None)
        elif not checked:
            self.may[name] = spec
            self.checks.pop(name, None)
        else:
            self._must("preflight" in spec.settings, f"{name} has no preflight")
            self.may.setdefault(name, None)

    def _asked(self, fleet: Fleet) -> None:
        """A change that a second attempt had refused is tried again."""
        for each in fleet.vassals.values():
            waits = each.refused is not None or each.check is not None or each.waits_in is not None
            if not waits and each.name not in self.tried:
                self.may[each.name] = self.wanted[each.name]

    def _check(self, fleet: Fleet, action: Action, kind: str) -> None:
        name = action.vassal
        if action.do not in ("spawn", "reload", "listen"):
            return
        may, vassal = self.may.get(name), fleet.vassals[name]
        if action.do == "listen" and vassal.opening is not None:
            return  # at the addresses of a change, while the process runs on
        ran, second = vassal.running, vassal.candidate
        beside = second is not None and second.attempt == action.attempt
        if second is not None and beside:
            ran = second.running
        self._must(may is not None, f"{action.do} {name}: no config of it may run")
        assert may is not None
        assert ran is not None
        again = action.do == "reload" and kind == "adopted" and waits_on(vassal)
        if again:  # of the one that is under way, and a later change waits on
            may = self.ran[name]
        told = (ran.ts, ran.config, ran.settings)
        self._must(told == (may.ts, may.config, may.settings), f"{action.do} {name}: not approved")
        by_file = may.path is not None and "command" not in may.settings
        is_wanted = self.may[name] is self.wanted[name]
        if action.do != "listen" and by_file and not is_wanted:
            self._must(ran.copy, f"{action.do} {name}: reads a text that was not approved")
        if second is not None and beside and second.tries:
            self.tried[name] = second.attempt
            self.may[name] = self.ran[name]
        elif action.do != "listen" and not beside:
            self.ran[name] = may

    def _look_at(self, name: str, vassal: Vassal) -> None:
        """A change is tried: it may run when its second attempt is the vassal's own."""
        second = vassal.candidate
        if second is not None and second.attempt == self.tried[name] and second.tries:
            return
        if vassal.attempt == self.tried[name] and vassal.phase != "stopping":
            self.ran[name] = self.may[name] = self.wanted[name]
        elif vassal.refused is None and name not in self.checks:
            self.may[name] = self.wanted[name]
        del self.tried[name]

    def _check_vassal(self, vassal: Vassal) -> None:
        name = vassal.name
        self._must(vassal.check == self.checks.get(name), f"{name}: another check is under way")
        is_open = vassal.check is not None or vassal.refused is not None
        is_open = is_open or vassal.waits_in is not None
        is_open = is_open or (vassal.candidate is not None and vassal.candidate.tries)
        approved = self.may.get(name) is self.wanted.get(name)
        settled = not vassal.wanted  # it is only stopped, with whatever it ran
        self._must(settled or is_open != approved, f"{name}: approved or not")
        kept = vassal.kept
        self._must(kept is None or is_open, f"{name} keeps a spec for nothing")

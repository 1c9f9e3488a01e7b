"""The state of the fleet as the durable record has it, formed without the fold."""

import typing
from typing import Any

from .approvals import Approvals
from .pacing import Attempt, Pacing
from .trouble import must

if typing.TYPE_CHECKING:
    from .replacements import Replacements
    from .rollbacks import Rollbacks
    from .rollouts import Rollouts


class Ledger(Pacing):
    """Follows the rows one by one."""

    replacements: "Replacements"
    rollbacks: "Rollbacks"
    rollouts: "Rollouts"

    def __init__(self) -> None:
        super().__init__()
        self.seq = 0
        self.monitors: list[str] = []
        self.owner: dict[str, str] = {}
        self.wanted: dict[str, dict[str, Any]] = {}  # vassal -> its spec
        self.approvals = Approvals()
        self.held: set[str] = set()
        self.ordered: set[Attempt] = set()  # spawns that are durable
        self.over: set[Attempt] = set()  # those with a durable end
        self.starting: dict[Attempt, int | None] = {}  # fresh; until which deadline it may be
        self.ends: dict[Attempt, tuple[int | None, int | None, bool]] = {}  # as they really were
        self.living: dict[int, Attempt] = {}  # by pid, leaders and strays
        self.owed: dict[str, Attempt] = {}  # reloads that were asked for and not ordered yet
        self.anew: dict[str, Attempt] = {}  # those of them that are to be restarts
        self.reloading: set[Attempt] = set()  # since that was ordered; they take slots, too
        self.done: set[str] = set()  # with their work over; only a request by name starts one again
        self.restarting: set[Attempt] = set()  # stopped in place of a reload; they keep slots
        self.unready: set[Attempt] = set()  # awaited ones that are not ready
        self.beating: set[Attempt] = set()  # that send heartbeats
        self.open = self.leaving = False
        self.pressure: dict[str, int] | None = None  # steps, as this daemon told them last
        self.pressed = 0  # when it did
        self.may_leave = False  # the daemon was told to stop all vassals

    def _follow(self, kind: str, monitor: str | None, vassal: str | None, body: Any) -> None:
        if kind == "operator_requested":
            for each in [*self.wanted] if vassal is None else [vassal]:
                self.replacements.asked(each, body["request"])
        if kind == "vassal_added":
            taken = vassal in self.wanted and self.owner[vassal] in self.monitors
            if not taken or self._owns(monitor, vassal):
                self._take(vassal or "", monitor or "", body["spec"])
        elif kind == "vassal_changed":
            if vassal in self.owner and self._owns(monitor, vassal):
                self._take(vassal, monitor or "", body["spec"], changes=True)
        elif kind in ("vassal_removed", "vassal_destroyed"):
            if self.owner.get(vassal or "") == monitor:
                self.wanted.pop(vassal or "", None)
                self.approvals.removed(vassal or "")
                self.rollouts.left(vassal or "")
                self._release(vassal or "")
        elif kind == "operator_requested" and body["request"] == "reload":
            self.changed |= self.wanted.keys() if vassal is None else {vassal}
            for each in self.wanted if vassal is None else [vassal]:
                self._owe_reload(each)
        elif kind == "operator_requested" and body["request"] == "restart":
            self._owe_restarts([*self.wanted] if vassal is None else [vassal])
        elif kind == "operator_requested" and body["request"] == "retry" and vassal is None:
            self._forgive_all(self.wanted)
        elif kind == "operator_requested" and vassal is not None:
            self._forgive_all([vassal])
            if body["request"] == "stop" and (vassal in self.wanted or self.under_way(vassal)):
                self.held.add(vassal)
            elif body["request"] == "start":
                self.held.discard(vassal)
        elif kind == "daemon_started":
            self.policy, self.monitors = body["policy"], body.get("monitors", [])
            self.pressure = None
            self.open = self.leaving = False
        elif kind == "pressure_observed":
            self._press(body)
        elif kind == "daemon_ready":
            self.open = not self.leaving
        elif kind in ("daemon_stopping", "daemon_stopped"):
            self.leaving = True
            must(self.may_leave, "leaves when told", f"{kind}, and nobody asked for it")
            self.open = False
        elif kind in ("preflight_passed", "deploy_refused"):
            passed = kind == "preflight_passed"
            if self.approvals.judged(vassal or "", body["check"], passed=passed):
                self.turn_to(vassal or "")
        elif "attempt" in body and kind != "deadline_passed":
            attempt = Attempt(vassal or "", body["attempt"])
            self.replacements.heard(kind, attempt, body)
            self._heard(kind, attempt, body)
        elif kind == "listen_failed":
            self._count(vassal or "")
        elif kind == "deadline_passed":
            self._pass(vassal or "", body["deadline"])

    def _owns(self, monitor: str | None, vassal: str | None) -> bool:
        """The source has the name already, or is given before the one that has it."""
        owner = self.owner[vassal or ""]
        order = self.monitors
        before = owner in order and monitor in order[: order.index(owner)]
        return owner == monitor or before

    def _pass(self, vassal: str, deadline: int) -> None:
        """Time is up: for a start to hold its slot, or for deaths to be remembered."""
        most = self.not_after.get(vassal)
        if most is not None and not self.under_way(vassal):
            over = (deadline - most) / 1e9
            too_long = deadline > most and vassal not in self.replacements.names
            must(not too_long, "punished no longer", f"{vassal} waits {over:.3f} s too long")
        late = [a for a, until in self.starting.items() if a.vassal == vassal and until == deadline]
        for attempt in late:
            del self.starting[attempt]
            self.up_since[vassal] = self.at
        if any(attempt.vassal == vassal for attempt in self.reloading):
            self.up_since.setdefault(vassal, self.at)  # a program does not say that it has reloaded
        if not late:
            self._forget_if_quiet(vassal)

    def _press(self, body: dict[str, Any]) -> None:
        """The machine is under this pressure."""
        steps = {each: body.get(each, 0) for each in ("cpu", "memory", "io")}
        must(self.open, "pressure is told in need", f"{steps}, and no daemon is ready")
        must(steps != self.pressure, "pressure is told in need", f"{steps} was told before")
        late = self.pressure is None or self.at - self.pressed >= 999_000_000
        must(late, "pressure is told in need", f"{steps} within a second")
        self.pressure, self.pressed = steps, self.at

    def most_slots(self) -> int:
        """How many may start at once."""
        floor = int(self.policy.get("max_starting", 4))
        ceiling = int(self.policy.get("max_starting_ceiling", 0))
        if self.pressure is None:
            return floor
        return max(floor, ceiling >> max(self.pressure.values()))

    def _take(
        self, vassal: str, owner: str, spec: dict[str, Any], *, changes: bool = False
    ) -> None:
        """Its owner says that it is so."""
        same_owner = self.owner.get(vassal) == owner
        self.rollbacks.announced(vassal, anew=not same_owner or vassal not in self.wanted)
        waits = changes and same_owner and vassal in self.wanted and self.rollouts.changed(vassal)
        if not waits:
            self.rollouts.left(vassal)
        self.owner[vassal], self.wanted[vassal] = owner, spec
        self.replacements.announced(vassal, spec)
        if self.approvals.announced(vassal, spec, same_owner=same_owner, waits=waits):
            self.turn_to(vassal)
        elif vassal not in self.approvals.may:
            self.owed.pop(vassal, None)  # it would be a reload to what is not approved
            self.anew.pop(vassal, None)

    def take_turn(self, vassal: str) -> None:
        """Its change has its turn in a rollout."""
        self.approvals.has_turn(vassal)
        self.turn_to(vassal)

    def turn_to(self, vassal: str) -> None:
        """Its wanted spec may be started from now on."""
        self.changed.add(vassal)
        self.done.discard(vassal)
        self.failures.pop(vassal, None)
        self._owe_reload(vassal)
        self._forgive_all([vassal])

    def _owe_reload(self, vassal: str) -> None:
        """A vassal that runs and is not about to end is to be reloaded."""
        if vassal not in self.wanted or vassal not in self.approvals.may:
            return
        up = [each for each in self.ordered - self.over - self.told if each.vassal == vassal]
        if up:
            self.owed[vassal] = max(up)  # the new one, where there are two

    def _owe_restarts(self, vassals: list[str]) -> None:
        """Those that run and are not about to end are to be stopped and started once."""
        self._forgive_all(vassals)
        self.changed.update(vassals)
        for each in vassals:
            self._owe_reload(each)
            if each in self.owed:
                self.anew[each] = self.owed[each]

    def _heard(self, kind: str, attempt: Attempt, body: dict[str, Any]) -> None:
        if kind in ("exited", "spawn_failed"):
            self.unready.discard(attempt)
            self.over.add(attempt)
            spec = self.approvals.may.get(attempt.vassal, {})
            restart = spec.get("settings", {}).get("restart")
            if restart == "no" and kind == "exited" and body.get("code") == 0:
                self.done.add(attempt.vassal)
            self._forget_if_quiet(attempt.vassal)
            self._count(attempt.vassal, 0 if attempt in self.told else 1)
            left = [pid for pid, of in self.living.items() if of == attempt]
            must(not left, "gone means gone", f"{attempt} is recorded as {kind}, {left} live")
            self.starting.pop(attempt, None)
            # A program's end that is later than a stop may take counts as a death.
            self.ended_by_reload = kind == "exited" and self._is_of_reload(attempt, body)
            if kind == "exited" and not body.get("away"):
                self._blame(attempt, body)
            self.reloading.discard(attempt)
            self.restarting.discard(attempt)
            if self.anew.get(attempt.vassal) == attempt:
                del self.anew[attempt.vassal]
            self.up_since.pop(attempt.vassal, None)
            self.quiet_since.pop(attempt.vassal, None)
            self.reload_at.pop(attempt, None)
            if self.owed.get(attempt.vassal) == attempt:
                del self.owed[attempt.vassal]
            self.deprived.discard(attempt)
            self._release(attempt.vassal)
            # A process with no recorded pid cannot be told from one that never was.
            if kind == "exited":
                self._check_death(attempt, body)
        elif kind == "adopted" and not body.get("control"):
            self.deprived.add(attempt)
            self.up_since.setdefault(attempt.vassal, self.at)
            if attempt not in self.awaited - self.notifying:
                self.starting.pop(attempt, None)  # it cannot tell when it accepts
                self.unready.discard(attempt)
        elif kind == "vassal_loyal":
            self.loyal.add(attempt)
            self.deaths.pop(attempt.vassal, None)
            self.failures.pop(attempt.vassal, None)
        elif kind == "heartbeat_started":
            self.beating.add(attempt)
        elif kind == "vassal_accepting" or (
            kind in ("spawned", "adopted") and attempt in self.programs - self.awaited
        ):
            self.starting.pop(attempt, None)
            self.unready.discard(attempt)
            self.reloading.discard(attempt)
            self.quiet_since[attempt.vassal] = self.at
            if kind == "vassal_accepting":
                self.reload_at.pop(attempt, None)
            if kind != "adopted" or attempt.vassal not in self.up_since:
                self.up_since[attempt.vassal] = self.at

    def _release(self, vassal: str) -> None:
        """A vassal that is neither wanted nor under way is forgotten."""
        if vassal not in self.wanted and not self.under_way(vassal):
            self.approvals.released(vassal)
            self.held.discard(vassal)
            self.owner.pop(vassal, None)
            self.failures.pop(vassal, None)
            self.not_after.pop(vassal, None)
            self._forgive_all([vassal])

    def under_way(self, vassal: str) -> bool:
        return any(each.vassal == vassal for each in self.ordered - self.over)

    def _check_death(self, attempt: Attempt, body: dict[str, Any]) -> None:
        """How it ended is told as it was, and it is told if any process can know it."""
        code, signal, known = self.ends.get(attempt, (None, None, False))
        told = body.get("code"), body.get("signal")
        right = told == (code, signal) or (told == (None, None) and not known)
        must(right, "deaths are told right", f"{attempt}: {told}, it was {(code, signal)}")

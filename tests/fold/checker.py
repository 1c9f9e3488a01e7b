"""A second opinion: what must hold whatever happens, checked after every event.

It shares no code with the fold. It follows the history by itself, from the events and the
orders alone, and compares what the fold says with that.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec
from emperord.daemon.core.actions import Action
from emperord.daemon.core.fleet import Fleet, Vassal, Waiting
from emperord.journal.events import Event, Spec

from .approvals import Approvals
from .rollouts import Rollouts


class Violated(AssertionError):
    """An invariant does not hold."""


def must(holds: bool, said: str) -> None:
    if not holds:
        raise Violated(said)


class Checker:
    """Sees every event with the fleet after it and what was ordered."""

    def __init__(self) -> None:
        # Attempts that may have a process. One event can order several, so a number is not enough.
        self.alive: set[tuple[str, int]] = set()
        self.unready: set[tuple[str, int]] = set()  # second attempts that have not said that
        self.kept: set[str] = set()  # vassals for which other sockets may be kept
        self.sockets: dict[str, str] = {}  # vassal -> the address that it was told to listen at
        self.listening: set[str] = set()  # vassals that did before the event
        self.open = self.leaving = False
        self.starting = 0
        self.pressure: list[int] | None = None  # of this daemon, by resource
        self.holders: dict[str, str] = {}  # vassals with a slot -> the user that it counts for
        # Users that wait for a slot -> how often each other one got one meanwhile.
        self.overtaken: dict[str, Counter[str]] = {}
        self.finished: dict[str, Spec] = {}  # those whose work is over, and with which target
        self.approvals = Approvals(must)
        self.rollouts = Rollouts(must)

    def see(self, event: Event, fleet: Fleet, actions: Sequence[Action]) -> None:
        self._follow(event)
        for action in actions:
            self._check_action(fleet, action)
        self.approvals.see(event, fleet, actions)
        self.rollouts.see(event, fleet)
        for vassal in fleet.vassals.values():
            self._check_vassal(fleet, vassal)
        self.finished = _finished(fleet, self.finished)
        self._check_slots(fleet)
        if fleet.rules > 1:
            self._check_turns(event, fleet, actions)
        self._check_queue(fleet)
        _check_blocked(fleet, self.sockets)
        self.listening = {v.name for v in fleet.vassals.values() if v.phase == "listening"}
        known = {(v.name, v.attempt) for v in fleet.vassals.values() if v.attempt is not None}
        seconds = [(v.name, v.candidate) for v in fleet.vassals.values() if v.candidate is not None]
        known |= {(name, each.attempt) for name, each in seconds}
        must(self.alive == known, f"alive are {self.alive}, the fleet says {known}")
        must(self.kept <= fleet.vassals.keys(), "a kept socket outlives its vassal")
        must(self.sockets.keys() <= fleet.vassals.keys(), "a socket outlives its vassal")

    def _follow(self, event: Event) -> None:
        body: Any = event.body
        match event.kind:
            case "vassal_accepting":
                self.unready.discard((event.vassal or "", body.attempt))
            case "exited" | "spawn_failed":
                self.alive.discard((event.vassal or "", body.attempt))
            case "vassal_failed":
                self.alive.discard((event.vassal or "", body.gone))
            case "listen_failed":
                name = event.vassal or ""
                if name in self.listening and self.sockets.get(name) == body.address:
                    del self.sockets[name]
            case "daemon_ready":
                self.open = not self.leaving
            case "daemon_started":
                self.open = self.leaving = False
                self.pressure = None
            case "journal_forked":
                self.alive.clear()  # the processes are the original's
                self.open = self.leaving = False
            case "pressure_observed":
                self.pressure = [body.cpu, body.memory, body.io]
            case "daemon_stopping":
                self.open, self.leaving = False, True
            case "daemon_stopped":
                self.open = False

    def _check_action(self, fleet: Fleet, action: Action) -> None:
        name = action.vassal
        vassal = fleet.vassals.get(name)
        if action.do == "unlisten":
            known = name in self.kept or name in self.sockets
            must(known, f"unlisten {name}: has no socket")
            self.kept.discard(name)
            self.sockets.pop(name, None)
            return
        if action.do in ("check", "uncheck"):
            return
        assert vassal is not None, f"{action.do} {name}: no such vassal"
        spec = vassal.spec if vassal.kept is None else vassal.kept
        address = spec.socket
        if action.do == "listen" and vassal.opening is not None:
            must((name, vassal.attempt) in self.alive, f"listen {name}: it does not run")
            self.kept.add(name)
        elif action.do == "listen":
            must(bool(address), f"listen {name}: not on demand")
            must(self.sockets.get(name, address) == address, f"listen {name}: has another socket")
            self.sockets[name] = address or ""
        elif action.do == "spawn":
            must(self.open, f"spawn {name}: no daemon is ready")
            others = sum(name == other for other, _ in self.alive)
            second = vassal.candidate
            beside = second is not None and second.attempt == action.attempt
            if second is not None and beside:
                must(others == 1, f"spawn {name}: {others} beside it")
                spec = second.running
                must(spec.settings.get("reload") == "replace", f"spawn {name}: not to be replaced")
                if "command" not in spec.settings:  # such a program is ready when it was started
                    self.unready.add((name, fleet.seq))
            else:
                must(others == (second is not None), f"spawn {name}: two of one")
            must(vassal.wanted and not vassal.held, f"spawn {name}: not wanted")
            must(beside or self.sockets.get(name) == address, f"spawn {name}: not at its socket")
            must(action.config == spec.config, f"spawn {name}: another config")
            must(action.attempt == fleet.seq, f"spawn {name}: not named by its event")
            self.alive.add((name, fleet.seq))
            if "listen" in spec.settings:  # without, sockets are kept until the host starts it
                self.kept.add(name)
        else:
            alive = (name, action.attempt) in self.alive
            must(alive, f"{action.do} {name}: attempt {action.attempt} is not alive")
            if action.do == "retire":
                self._check_retired(name, action.attempt)

    def _check_retired(self, name: str, attempt: int | None) -> None:
        """Another instance serves: the old one, or a new one that has said that it is ready."""
        others = [each for each in self.alive if each[0] == name and each[1] != attempt]
        younger = [each for each in others if each[1] > (attempt or 0)]
        must(not younger or younger[0] not in self.unready, f"{name}: stopped for an unready one")

    def _check_vassal(self, fleet: Fleet, vassal: Vassal) -> None:
        name, phase = vassal.name, vassal.phase
        up = vassal.attempt is not None
        must(fleet.vassals[name] is vassal, f"{name} is filed under another name")
        must(not vassal.slot or up, f"{name} holds a slot for no attempt")
        must(not vassal.due or up, f"{name} is to reload without an attempt")
        must(vassal.since <= fleet.at, f"{name} is from the future")
        match phase:
            case "starting" | "ready" | "accepting" | "reloading":
                must(up and vassal.wanted and not vassal.held, f"{name} is {phase}, not wanted")
                if vassal.due:
                    waits = name in _waiting(fleet) or vassal.slot or vassal.candidate is not None
                    waits = waits or not fleet.open
                    must(waits, f"{name}: its reload is forgotten")
                if vassal.slot:
                    must(vassal.deadline is not None, f"{name} may hold its slot for ever")
                aim = vassal.kept or vassal.spec
                current = vassal.due or runs(vassal, aim) or _waits(vassal)
                current = current or vassal.check is not None or vassal.refused is not None
                current = current or vassal.waits_in is not None
                current = current or (vassal.candidate is not None and vassal.candidate.tries)
                opens = vassal.opening is not None or vassal.unopened is not None
                current = current or opens
                must(current, f"{name} runs what is not wanted, and nobody will change that")
            case "stopping":
                must(up and vassal.deadline is not None, f"{name} may stop for ever")
            case "queued":
                waits = name in _waiting(fleet) or not fleet.open or vassal.check is not None
                waits = waits or vassal.waits_in is not None
                waits = waits or (vassal.candidate is not None and vassal.candidate.tries)
                must(not up and vassal.wanted and waits, f"{name} is queued nowhere")
            case "throttled":
                must(not up and vassal.deadline is not None, f"{name} is throttled for ever")
            case "listening":
                must(not up and vassal.wanted, f"{name} listens, not wanted")
                spec = vassal.spec if vassal.kept is None else vassal.kept
                must(self.sockets.get(name) == spec.socket, f"{name} listens elsewhere")
            case "held":
                must(not up and vassal.held, f"{name} is held by nobody")
                must(name not in self.sockets, f"{name} is held and has a socket")
            case "barred":
                must(not up and bool(vassal.reason), f"{name} is barred without a reason")
        if phase not in ("held", "stopping"):
            must(vassal.wanted and not vassal.held, f"{name} is {phase}, held or not wanted")

    def _check_slots(self, fleet: Fleet) -> None:
        held = sum(vassal.slot for vassal in fleet.vassals.values())
        seconds = [v.candidate for v in fleet.vassals.values() if v.candidate is not None]
        held += sum(each.slot for each in seconds)
        must(
            all(each.deadline is not None for each in seconds), "a second attempt may stay for ever"
        )
        must(fleet.starting == held, f"{fleet.starting} slots counted, {held} held")
        # Another policy or a higher pressure may leave more than there are; none is taken then.
        most = max(self._slots(fleet), self.starting)
        must(fleet.starting <= most, f"{fleet.starting} are starting at once")
        self.starting = fleet.starting

    def _slots(self, fleet: Fleet) -> int:
        """How many may be starting: the ceiling, halved for each step, but not below the floor."""
        most = fleet.policy.max_starting_ceiling
        if self.pressure is None:
            most = 0
        for _ in range(max(self.pressure or [0])):
            most //= 2
        return max(most, fleet.policy.max_starting)

    def _check_queue(self, fleet: Fleet) -> None:
        waiting = _waiting(fleet)
        must(len(waiting) == len(set(waiting)), f"somebody waits twice: {waiting}")
        for name in waiting:
            vassal = fleet.vassals.get(name)
            must(vassal is not None, f"{name} waits in the queue and does not exist")
            if vassal is not None:
                waits = vassal.phase == "queued" or (vassal.due and not vassal.slot)
                must(waits, f"{name} waits in the queue for nothing")
        free = self._slots(fleet) - fleet.starting
        for name in waiting if self.open else ():
            may = free > 0 if fleet.rules == 1 else self._may_have(fleet, name, free)
            must(not may, f"a slot is free, and {name} waits for it")
        must(fleet.open == self.open, "open differs")

    def _may_have(self, fleet: Fleet, name: str, free: int) -> bool:
        """Whether there is a slot for it. One is kept for users that have none."""
        has = _user(fleet, fleet.vassals[name]) in self.holders.values()
        return free > (1 if has and self._keeps_one(fleet) else 0)

    def _keeps_one(self, fleet: Fleet) -> bool:
        several = fleet.policy.tyrant or len(fleet.monitors) > 1
        return several and self._slots(fleet) > 1

    def _check_turns(self, event: Event, fleet: Fleet, actions: Sequence[Action]) -> None:
        """The next start of each user comes after at most one of each other."""
        before = {} if event.kind == "daemon_started" else self.holders
        ordered = {action.vassal for action in actions if action.do in ("spawn", "reload")}
        holds = [v for v in fleet.vassals.values() if v.slot or (v.candidate and v.candidate.slot)]
        self.holders = {
            vassal.name: _user(fleet, vassal)
            if vassal.name in ordered or vassal.name not in before
            else before[vassal.name]
            for vassal in holds
        }
        now = {_user(fleet, fleet.vassals[name]) for name in _waiting(fleet)}
        if event.kind in ("daemon_started", "vassal_deaf"):
            # Other users than before, or a restart that belongs to the turn of its reload.
            self.overtaken = {user: Counter() for user in now}
            return
        turns = [
            self.holders[name]
            for name in dict.fromkeys(action.vassal for action in actions)
            if name in self.holders and name not in before
        ]
        for user in self.overtaken.keys() - now - {*turns}:
            del self.overtaken[user]  # its last one that waited was barred, or is gone
        for turn in turns:
            self._note_turn(fleet, turn, {*before.values()})
        self.overtaken = {user: self.overtaken.get(user, Counter()) for user in now}

    def _note_turn(self, fleet: Fleet, turn: str, had: set[str]) -> None:
        for user, others in self.overtaken.items():
            may = not self._keeps_one(fleet) or user not in {*self.holders.values(), *had}
            if user != turn and may:
                others[turn] += 1
                must(others[turn] <= 1, f"{turn} starts twice while {user} waits")
        if turn in self.overtaken:
            self.overtaken[turn].clear()


def _finished(fleet: Fleet, before: Mapping[str, Spec]) -> dict[str, Spec]:
    """A request for all starts none whose work is over. It is not over with another config."""
    found: dict[str, Spec] = {}
    for vassal in filter(attrgetter("done"), fleet.vassals.values()):
        aim = msgspec.structs.replace(vassal.aim, copy=False)
        found[vassal.name] = before.get(vassal.name, aim)
        same = found[vassal.name] == aim
        must(same, f"{vassal.name} counts as finished, and is another one now")
    return found


def _check_blocked(fleet: Fleet, sockets: Mapping[str, str]) -> None:
    for name, holder in fleet.blocked.items():
        vassal = fleet.vassals.get(name)
        must(vassal is not None, f"{name} waits for an address and does not exist")
        if vassal is not None and vassal.phase == "barred":
            must(holder in sockets, f"{name} is barred for {holder}, which has no address")


def runs(vassal: Vassal, spec: Spec) -> bool:
    """Whether it runs this spec.

    A copy of the same text may serve on: a replacement by the file is a reload, and can fail.
    """
    ran = vassal.running
    if ran is not None and ran.copy and spec.settings.get("reload") == "replace":
        ran = msgspec.structs.replace(ran, copy=spec.copy)
    return ran == spec


def _waits(vassal: Vassal) -> bool:
    """Whether its config asks that a change waits for the next start."""
    return vassal.spec.settings.get("reload") == "none"


def _waiting(fleet: Fleet) -> list[str]:
    lines: list[Fleet | Waiting] = [fleet, *fleet.users.values()]
    return [name for each in lines for name in (*each.express, *each.queue, *each.retries)]


def _user(fleet: Fleet, vassal: Vassal) -> str:
    """By whom slots are shared."""
    return f"uid {vassal.spec.uid}" if fleet.policy.tyrant else vassal.monitor

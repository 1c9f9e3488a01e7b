"""Replacements: a new instance is started beside the old one (``reload = replace``).

    a change or a reload -> its turn for a slot -> the candidate starts on the kept sockets
      it is ready, and runs well for replace-settle -> it takes the place of the old instance,
        which is stopped gracefully
      it is not ready in time, ends, hangs or fails a check of its health -> it is stopped, and the
        change is refused; the old instance was never stopped

Meanwhile the old config is the target (``target.py``): should the old instance die, that is what is
started again. Both lives go on independently. ``review`` ends a candidate that is not wanted any
more, whatever the event was that made it so.

Both instances accept from the same sockets. So a candidate that is ready serves, too, and is always
stopped gracefully. An address that the old instance answers at cannot tell whether the new one is
ready. There a restart is made, as where there are no sockets (``obstacle``).
"""

from typing import Final

import msgspec

from ...journal import quantities
from ...journal.events import Event, Spec
from . import slots, target, trial
from .actions import Action
from .candidate import Candidate
from .fleet import UP, Fleet, Good, Vassal
from .listening import addresses
from .starts import bar_reason, begin
from .steps import Actions, await_forgiveness, enter, free_slot, inherit, mercy_of, seconds

SETTLE: Final = 5.0  # seconds
NOT_REPLACED: Final = "not replaced: "  # why a reload of the same config had no effect
# Settings of the sockets and of the user: the old instance has them from its start on.
_SHARED: Final = ("listen", "listen-mode", "listen-owner", "listen-backlog", "user", "group")
_DOWN: Final = ("queued", "throttled", "listening")


# Whether it can be


def obstacle(vassal: Vassal) -> str | None:
    """Why its process cannot be replaced by a new one beside it; None where it can."""
    old, new = vassal.running, vassal.aim
    told = obstacle_of(new)
    if told is not None or old is None:
        return told
    places = [(each.uid, each.gid, each.socket, each.path, each.cwd) for each in (old, new)]
    if places[0] != places[1]:
        return "its user, source or address is another one"
    if any(old.settings.get(key) != new.settings.get(key) for key in _SHARED):
        return "its sockets or its user change"
    if vassal.speaks and (not vassal.control or vassal.is_deaf):
        return "its process takes no orders, so it cannot be stopped gracefully"
    return None


def obstacle_of(spec: Spec) -> str | None:
    """Why no vassal of this spec can be replaced."""
    kept = [*addresses(spec), *([spec.socket] if spec.socket else [])]
    if not kept:
        return "reload = replace needs listen, or a vassal on demand"
    ready = spec.settings.get("ready", "")
    scheme, _, rest = ready.partition("://")
    shared = ready == "listen"
    if scheme in ("tcp", "http"):
        shared = _port(rest.partition("/")[0]) in [_port(each) for each in kept]
    return f"the old instance may answer its ready = {ready}" if shared else None


def _port(address: str) -> str:
    number = address.rpartition(":")[2]
    return number if number.isdigit() else "80"


def is_replaced(vassal: Vassal) -> bool:
    """Whether a change gets to it by a replacement."""
    return vassal.aim.settings.get("reload") == "replace" and obstacle(vassal) is None


# Begin


def start(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Start a new instance with its target beside the old one. It takes a slot."""
    new, old = vassal.aim, vassal.running
    policy, settings = fleet.policy, new.settings
    vassal.due = vassal.anew = False
    vassal.opening = vassal.unopened = None
    changes = old is None or _plain(old) != _plain(new)
    patience = min(policy.start_patience, timeout_of(fleet, new))
    vassal.candidate = candidate = Candidate(
        "starting",
        event.at,
        event.seq,
        attempt=event.seq,
        order=event.seq,
        running=new,
        launched=event.at,
        deadline=event.at + seconds(patience),
        changes=changes,
        speaks="command" not in settings,
        own_user=policy.tyrant,
        user=policy.user,
    )
    if changes and not vassal.is_open:
        vassal.kept = _kept(vassal)
        candidate.tries = True
    take_slot(fleet, vassal, candidate)
    fleet.reloaded_last = True
    actions.append(Action("spawn", vassal.name, event.seq, new.config))


def _plain(spec: Spec) -> Spec:
    return msgspec.structs.replace(spec, copy=False) if spec.copy else spec


def _kept(vassal: Vassal) -> Spec | None:
    """The spec of its process, as it can be started again while the file has another text."""
    old = vassal.running
    if old is None or not target.runs_file(old) or old.copy:
        return old
    return None if vassal.tied else msgspec.structs.replace(old, copy=True)


def timeout_of(fleet: Fleet, spec: Spec) -> float:
    """The seconds within which a candidate has to be ready."""
    found = quantities.duration(spec.settings.get("ready-timeout", ""))
    return fleet.policy.start_patience if found is None else float(found)


def settle_time(spec: Spec) -> float:
    """The seconds for which a candidate has to run well before it takes over."""
    found = quantities.duration(spec.settings.get("replace-settle", ""))
    return SETTLE if found is None else float(found)


# Slots


def take_slot(fleet: Fleet, vassal: Vassal, candidate: Candidate) -> None:
    candidate.slot = True
    fleet.starting += 1
    candidate.slot_of = slots.count(fleet, vassal)


def give_slot(fleet: Fleet, candidate: Candidate) -> None:
    if candidate.slot:
        candidate.slot = False
        fleet.starting -= 1
        slots.discount(fleet, candidate.slot_of)
        candidate.slot_of = None


# Ends


def move(
    candidate: Candidate, event: Event, phase: str, deadline: int, reason: str | None = None
) -> None:
    candidate.phase = phase  # type: ignore[assignment]
    candidate.since, candidate.because = event.at, event.seq
    candidate.deadline, candidate.reason = deadline, reason


def order(vassal: Vassal, event: Event, actions: Actions, do: str) -> None:
    candidate = vassal.candidate
    assert candidate is not None
    candidate.order = event.seq
    actions.append(Action(do, vassal.name, candidate.attempt))  # type: ignore[arg-type]


def retire(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions, reason: str) -> None:
    """Stop the candidate: it does not take over. The next step is decided when it has gone."""
    candidate = vassal.candidate
    assert candidate is not None
    give_slot(fleet, candidate)
    give_up(fleet, vassal, event)
    move(candidate, event, "ending", event.at + seconds(mercy_of(fleet, candidate.running)), reason)
    order(vassal, event, actions, "retire")


def fail(
    fleet: Fleet, vassal: Vassal, event: Event, actions: Actions, reason: str, *, gone: bool
) -> None:
    """The candidate has failed: the change that it was for is refused."""
    candidate = vassal.candidate
    assert candidate is not None
    tried, told = candidate.tries, f"its new instance {reason}"
    if _goes_back(vassal, candidate) and vassal.phase in UP and vassal.phase != "stopping":
        _stay(vassal)
    candidate.tries = False  # the kept spec stays
    if gone:
        drop(fleet, vassal, event)
    else:
        retire(fleet, vassal, event, actions, reason)
    if tried:
        target.refuse(vassal, event, told)
        if vassal.target is None and vassal.phase in _DOWN:
            slots.leave(fleet, vassal.name)
            begin(fleet, vassal, event, actions)
    elif vassal.phase in UP and vassal.phase != "stopping":
        vassal.reason = f"{NOT_REPLACED}{told}"


def _goes_back(vassal: Vassal, candidate: Candidate) -> bool:
    """Whether it has the former config to which its vassal is to go back."""
    refused = vassal.refused
    return refused is not None and refused.rolled_back and candidate.running == vassal.aim


def _stay(vassal: Vassal) -> None:
    """The former config fails, so its vassal does not go back: what runs is its target."""
    if vassal.running == vassal.spec:
        target.settle(vassal)
        vassal.good = Good()
    else:
        vassal.kept = _kept(vassal)
        vassal.good = None if vassal.kept is None else Good(vassal.kept)


def drop(fleet: Fleet, vassal: Vassal, event: Event) -> None:
    """There is no second attempt any more."""
    candidate = vassal.candidate
    if candidate is not None:
        give_slot(fleet, candidate)
        give_up(fleet, vassal, event)
        vassal.candidate = None


def give_up(fleet: Fleet, vassal: Vassal, event: Event) -> None:
    """Its wanted spec does not depend on the candidate any more, and is its target."""
    candidate = vassal.candidate
    if candidate is not None and candidate.tries:
        trial.note_time(fleet, vassal, event)  # of the former one, which it runs
        candidate.tries = False
        if not vassal.is_open:
            vassal.kept = None


# Success


def take_place(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """The candidate has settled: it is the vassal's instance now, and the old one is stopped."""
    new = vassal.candidate
    assert new is not None
    give_slot(fleet, new)
    old = _former(fleet, vassal, event)
    was_stopping = vassal.phase == "stopping"
    if new.tries:
        new.tries = False
        target.settle(vassal)
    free_slot(fleet, vassal)
    slots.leave(fleet, vassal.name)
    _take_facts(vassal, new, is_wanted=new.running == vassal.spec)
    vassal.candidate = old
    enter(vassal, "accepting" if tells_ready(new) else "ready", event)
    vassal.due |= new.due
    if old is not None and not was_stopping:
        order(vassal, event, actions, "retire")
    await_forgiveness(fleet, vassal)


def _former(fleet: Fleet, vassal: Vassal, event: Event) -> Candidate | None:
    """The record of the old instance; None where it has no process."""
    if vassal.phase not in UP or vassal.attempt is None or vassal.running is None:
        return None
    stopping = vassal.phase == "stopping"
    until = event.at + seconds(mercy_of(fleet, vassal.running))
    return Candidate(
        "leaving",
        event.at,
        event.seq,
        attempt=vassal.attempt,
        order=vassal.order or event.seq,
        running=vassal.running,
        launched=vassal.launched or event.at,
        deadline=vassal.deadline if stopping else until,
        reason=vassal.reason if stopping else "replaced by its new instance",
        pid=vassal.pid,
        start_time=vassal.start_time,
        mark=vassal.mark,
        control=vassal.control,
        speaks=vassal.speaks,
        loyal=vassal.loyal,
        heartbeat=vassal.heartbeat,
        own_user=vassal.own_user,
        user=vassal.user,
        killed=vassal.killed,
    )


def _take_facts(vassal: Vassal, new: Candidate, *, is_wanted: bool) -> None:
    vassal.attempt, vassal.order = new.attempt, new.order
    vassal.running, vassal.launched = new.running, new.launched
    vassal.tied = vassal.bound if is_wanted else ""
    vassal.loaded = new.running.config
    vassal.pid, vassal.start_time, vassal.mark = new.pid, new.start_time, new.mark
    vassal.control, vassal.speaks = new.control, new.speaks
    vassal.loyal, vassal.heartbeat = new.loyal, new.heartbeat
    vassal.own_user, vassal.user = new.own_user, new.user
    vassal.sockets = "listen" in new.running.settings
    vassal.deaths = 0
    vassal.earliest = vassal.late = vassal.killed = vassal.sick = None
    vassal.reload_at = vassal.opening = vassal.unopened = vassal.deaf = None


def tells_ready(candidate: Candidate) -> bool:
    """Whether more is known of it than that it was started."""
    return candidate.speaks or candidate.running.settings.get("ready", "spawn") != "spawn"


# After each event


def review(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """End a candidate that is not wanted any more, and wait for it before its vassal rests."""
    candidate = vassal.candidate
    if candidate is None:
        return
    if event.kind == "vassal_failed" and getattr(event.body, "gone", None) == candidate.attempt:
        drop(fleet, vassal, event)
        return
    if candidate.is_tried:
        reason = _unwanted(fleet, vassal, candidate, event)
        if reason is not None:
            retire(fleet, vassal, event, actions, reason)
    if candidate.is_tried or vassal.phase in UP:
        return
    if not vassal.wanted or vassal.held or vassal.failed is not None or fleet.leaving:
        inherit(fleet, vassal, event)


def _is_restart(vassal: Vassal, event: Event) -> bool:
    """Whether an operator asks for a restart of this vassal, or of all.

    One of another vassal may give this one its turn in a rollout, and so start its new instance.
    """
    asked = event.kind == "operator_requested" and getattr(event.body, "request", "") == "restart"
    return asked and event.vassal in (None, vassal.name)


def _unwanted(fleet: Fleet, vassal: Vassal, candidate: Candidate, event: Event) -> str | None:
    """Why a candidate is not to take over any more."""
    by_policy = (candidate.own_user, candidate.user) != (fleet.policy.tyrant, fleet.policy.user)
    if not vassal.wanted:
        return "its vassal was removed"
    if vassal.held:
        return "stopped by an operator"
    if fleet.leaving:
        return "the daemon stops"
    if vassal.failed is not None:
        return vassal.failed
    if _is_restart(vassal, event):
        return "an operator asked for a restart"
    if by_policy or bar_reason(candidate.running, fleet.policy, vassal.monitor) is not None:
        return "it may not run by the present options"
    tried = candidate.tries and vassal.refused is None and vassal.waits_in is None
    is_same = not candidate.changes and candidate.running == vassal.aim
    is_current = tried or is_same or _goes_back(vassal, candidate)
    return None if is_current and vassal.check is None else "another change came"

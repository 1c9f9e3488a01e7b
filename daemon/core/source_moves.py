"""Moves of what sources say: vassals come, change and go."""

from typing import Any

from ...journal.events import Event, Spec
from . import listening, replacement, rollback, rollout_moves, rules, slots, target, trial
from .fleet import Fleet, Vassal
from .reloads import await_next_start, is_anothers, needs_restart, reload_in_turn, way_to_reload
from .starts import bar_reason, begin, moves_socket
from .steps import Actions, close_socket, end, forget


def add(fleet: Fleet, event: Event, actions: Actions) -> None:
    """The first time that this name is seen."""
    assert event.vassal is not None
    assert event.monitor is not None
    spec: Spec = event.body.spec  # type: ignore[attr-defined]
    vassal = Vassal(event.vassal, event.monitor, spec, "queued", event.at, event.seq)
    vassal.bound = event.body.bound  # type: ignore[attr-defined]
    fleet.vassals[event.vassal] = vassal
    target.begin_check(fleet, vassal, event, actions, None)
    begin(fleet, vassal, event, actions)


def take_spec(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> bool:
    """Take what its source says now; False where it waits for its turn or its preflight."""
    body: Any = event.body
    assert event.monitor is not None
    rollback.note_change(fleet, vassal, event)
    before, kept = vassal.aim, None
    waits = rollout_moves.takes_in(fleet, vassal, event)
    if waits or target.has_preflight(fleet, body.spec):
        kept = target.kept_from(fleet, vassal, event)
    vassal.spec, vassal.bound, vassal.monitor = body.spec, body.bound, event.monitor
    if waits:
        vassal.kept = kept
        rollout_moves.line_up(fleet, vassal, event, actions)
        return False
    if target.begin_check(fleet, vassal, event, actions, kept):
        return False
    target.turn_to(vassal, before)
    return True


def await_check(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """No process, and its change is being checked: it goes on as before, if that may be."""
    if vassal.kept is None:
        slots.leave(fleet, vassal.name)
        begin(fleet, vassal, event, actions)


def readd(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It comes back, or changes, while it is being stopped: it starts again after."""
    approved = take_spec(fleet, vassal, event, actions)
    vassal.wanted = True
    if approved:
        vassal.deaths = 0


def requeue(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Queued: keeps its place, unless it may no longer run or is now on demand."""
    had_target = vassal.target is not None  # without one it is in no line
    if not take_spec(fleet, vassal, event, actions):
        await_check(fleet, vassal, event, actions)
    elif had_target:
        queue_anew(fleet, vassal, event, actions)
    else:
        begin_anew(fleet, vassal, event, actions)


def queue_anew(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Queued, with another target."""
    vassal.deaths = 0
    slots.renew(fleet, vassal)
    on_demand = vassal.aim.socket or moves_socket(vassal)
    if on_demand or bar_reason(vassal.aim, fleet.policy, vassal.monitor) is not None:
        slots.leave(fleet, vassal.name)
        begin(fleet, vassal, event, actions)


def renew(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Throttled or barred: after a fix of its config it does not wait."""
    if take_spec(fleet, vassal, event, actions):
        begin_anew(fleet, vassal, event, actions)
    else:
        await_check(fleet, vassal, event, actions)


def begin_anew(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """No process, and another target."""
    vassal.deaths = 0
    begin(fleet, vassal, event, actions)


def begin_restored(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Barred: its text is in the journal again, so it can start unless something else bars it."""
    if not vassal.exiled and vassal.spec.bar is None and vassal.name not in fleet.blocked:
        begin(fleet, vassal, event, actions)


def relisten(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Listening: only another address, owner or a bar matters before it runs."""
    if take_spec(fleet, vassal, event, actions):
        listen_anew(fleet, vassal, event, actions)
    else:
        await_check(fleet, vassal, event, actions)


def listen_anew(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Listening, with another target."""
    vassal.deaths = 0
    barred = bar_reason(vassal.aim, fleet.policy, vassal.monitor) is not None
    if moves_socket(vassal) or barred:
        begin(fleet, vassal, event, actions)


def amend(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Up: reload it in place, or restart it where that is not enough."""
    if take_spec(fleet, vassal, event, actions):
        amend_now(fleet, vassal, event, actions)
        return
    new, old = vassal.spec, vassal.running
    if old is not None and (old.uid, old.gid) != (new.uid, new.gid):
        reason = f"stops, as it is to run as {user_text(new)}; it was {user_text(old)}"
        end(fleet, vassal, event, actions, "stop", reason)
    elif vassal.kept is None:  # a reload that waits would be one to the new text
        vassal.due = vassal.anew = False
        vassal.opening = None
        slots.leave(fleet, vassal.name)


def amend_now(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Up, with another target."""
    vassal.deaths = 0
    listening.forget_refusal(vassal)
    reason = bar_reason(vassal.aim, fleet.policy, vassal.monitor)
    way = way_to_reload(vassal)
    if reason is not None:
        end(fleet, vassal, event, actions, "stop", reason)
    elif way == "none" and not is_anothers(vassal):
        vassal.due = False
        if rules.holds(fleet, rules.WITHDRAWN):
            slots.leave(fleet, vassal.name)
        vassal.opening = None
        await_next_start(fleet, vassal)
    elif way == "replace":
        vassal.opening = None  # it has the sockets of what runs
        reload_in_turn(fleet, vassal, event, actions)
    elif needs_restart(vassal) or vassal.opening is not None:
        slots.leave(fleet, vassal.name)
        if not listening.opens_first(vassal, event, actions):
            end(fleet, vassal, event, actions, "stop", _why_restart(vassal))
    else:
        reload_in_turn(fleet, vassal, event, actions)


def _why_restart(vassal: Vassal) -> str:
    old, new = vassal.running, vassal.aim
    assert old is not None
    if (old.uid, old.gid) != (new.uid, new.gid):
        return f"restarts as {user_text(new)}; it was {user_text(old)}"
    if new.settings.get("reload") == "replace":
        return f"restarts with its new settings, as {replacement.obstacle(vassal)}"
    return "restarts with its new settings"


def user_text(spec: Spec) -> str:
    pairs = (("uid", spec.uid), ("gid", spec.gid))
    told = [f"{what} {number}" for what, number in pairs if number is not None]
    return " ".join(told) or "the daemon's user"


def drop(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """No longer wanted, and no process: forgotten at once, or after its second attempt."""
    if vassal.candidate is None:
        forget(fleet, vassal, actions)
        return
    vassal.wanted = False
    target.cancel(vassal, actions)
    close_socket(vassal, actions)
    slots.leave(fleet, vassal.name)


def dismiss(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """No longer wanted, and up: stopped, then forgotten."""
    trial.note_time(fleet, vassal, event)  # by the target that it still has
    vassal.wanted = False
    target.cancel(vassal, actions)
    if vassal.phase != "stopping":
        end(fleet, vassal, event, actions, "stop", event.kind.replace("vassal_", ""))

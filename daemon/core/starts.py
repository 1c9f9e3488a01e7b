"""Starts: whether a vassal may run, and when, and what follows when its process has ended."""

from typing import Final

from ...journal import quantities
from ...journal.events import Event
from . import budget, ends, rules, slots
from .actions import Action
from .bars import bar_reason as bar_reason
from .fleet import Fleet, Refusal, Vassal
from .kept_open import keep_open
from .steps import (
    HELD,
    LISTENS,
    Actions,
    clear_attempt,
    close_socket,
    enter,
    forget,
    inherit,
    seconds,
    take_slot,
)

_MILLISECOND: Final = 1_000_000
_OVER_BUDGET: Final = "more is recorded of it than its budget allows"

CHECKED: Final = "waits for its preflight"
TRIED: Final = "waits for its new instance"


def untried_text(vassal: Vassal) -> str:
    """Why it is not started where no config of it may run yet."""
    if vassal.waits_in is not None:
        return f"waits for its turn in rollout {vassal.waits_in}"
    return CHECKED if vassal.check is not None else TRIED


def refusal_text(refused: Refusal) -> str:
    """Why a config that was refused does not run."""
    return f"its config was refused: {refused.reason}"


def moves_socket(vassal: Vassal) -> bool:
    """Whether the on-demand socket it has is not the one it is to have."""
    old, new = vassal.running, vassal.aim
    return old is not None and (old.socket, old.uid, old.gid) != (new.socket, new.uid, new.gid)


def begin(
    fleet: Fleet, vassal: Vassal, event: Event, actions: Actions, *, had_turn: bool = False
) -> None:
    """It has no process and is wanted: bar it, listen for it, or launch it.

    ``had_turn``: it held a slot until now, and this start belongs to the same turn.
    """
    vassal.exiled = vassal.done = False
    fleet.blocked.pop(vassal.name, None)
    reason = vassal.failed
    target = vassal.target
    if reason is None and target is not None:
        reason = bar_reason(target, fleet.policy, vassal.monitor)
    elif reason is None and vassal.refused is not None:
        reason = refusal_text(vassal.refused)
    if reason is not None or (fleet.open and moves_socket(vassal)):
        close_socket(vassal, actions)
    if reason is not None:
        enter(vassal, "barred", event, reason)
    elif not fleet.open:
        enter(vassal, "queued", event, "waits for the daemon")
    elif target is None:
        enter(vassal, "queued", event, untried_text(vassal))
    elif target.socket:
        vassal.running = target
        enter(vassal, "listening", event)
        actions.append(Action("listen", vassal.name))
    else:
        launch(fleet, vassal, event, actions, had_turn=had_turn)


def launch(
    fleet: Fleet, vassal: Vassal, event: Event, actions: Actions, *, had_turn: bool = False
) -> None:
    """Spawn it, or queue it for a slot, or let it wait if it was started a moment ago."""
    if not fleet.open:
        enter(vassal, "queued", event, "waits for the daemon")
        return
    if vassal.target is None:  # a client woke it
        enter(vassal, "queued", event, untried_text(vassal))
        return
    if vassal.earliest is not None and event.at < vassal.earliest:
        reason = vassal.late or "was started a moment ago"
        enter(vassal, "throttled", event, reason, vassal.earliest)
        return
    full = fleet.starting >= slots.slots(fleet)
    if rules.holds(fleet, rules.SHARES):
        waits = (full or not had_turn) and not slots.gets_slot(fleet, vassal, event)
    elif waits := full:
        slots.join(fleet, vassal, event)
    if waits:
        reason = "max-starting vassals are starting" if full else "waits for its turn to start"
        enter(vassal, "queued", event, reason)
        return
    spawn(fleet, vassal, event, actions)


def spawn(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    target = vassal.target
    assert target is not None  # without one it waits in no line
    take_slot(fleet, vassal)
    fleet.reloaded_last = False
    vassal.launched, vassal.earliest = event.at, None
    vassal.attempt = vassal.order = event.seq
    vassal.running = target
    vassal.pid = vassal.start_time = vassal.mark = None
    vassal.control = True
    # A plain program never says that it accepts, so nothing may wait for that.
    settings = target.settings
    vassal.speaks = "command" not in settings
    vassal.own_user, vassal.user = fleet.policy.tyrant, fleet.policy.user
    vassal.loyal = vassal.heartbeat = vassal.due = vassal.anew = False
    if rules.holds(fleet, rules.LOADED):
        vassal.loaded = target.config
    if rules.holds(fleet, rules.REPLACE):
        vassal.tied = "" if vassal.is_open else vassal.bound
    vassal.reload_at = vassal.killed = vassal.late = None
    vassal.sockets |= "listen" in settings  # the host closes others when it has started it
    if not vassal.speaks:
        vassal.deaf = None  # a program gets signals
    patience = fleet.policy.start_patience
    own = None if vassal.speaks else quantities.duration(settings.get("ready-timeout", ""))
    if own is not None:
        patience = min(patience, float(own))
    enter(vassal, "starting", event, deadline=event.at + seconds(patience))
    actions.append(Action("spawn", vassal.name, event.seq, target.config))


def after_stop(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Its process was stopped and is gone: forget it, hold it, or begin anew."""
    had_turn = vassal.slot  # it was stopped for a restart
    ends.note_end(fleet, vassal, event, "stop" if vassal.killed is None else "kill")
    clear_attempt(fleet, vassal)
    if vassal.candidate is not None and (not vassal.wanted or vassal.held):
        inherit(fleet, vassal, event)
    elif not vassal.wanted:
        forget(fleet, vassal, actions)
    elif vassal.held:
        if not vassal.listens:
            close_socket(vassal, actions)
        enter(vassal, "held", event, LISTENS if vassal.listens else HELD)
        keep_open(fleet, vassal, event, actions)
    else:
        begin(fleet, vassal, event, actions, had_turn=had_turn)


def back_off(fleet: Fleet, vassal: Vassal, event: Event, reason: str) -> None:
    """It died unasked and unloyal: it waits, twice as long each time."""
    vassal.deaths += 1
    clear_attempt(fleet, vassal)
    until = event.at + delay(fleet, vassal)
    if is_over_budget(fleet, vassal, event) and vassal.launched is not None:
        slow = vassal.launched + fleet.policy.max_throttle * _MILLISECOND
        if slow > until:
            reason, until = f"{reason}; {_OVER_BUDGET}", slow
    enter(vassal, "throttled", event, reason, until)


def delay(fleet: Fleet, vassal: Vassal) -> int:
    """The nanoseconds that the next start waits after so many deaths in a row."""
    policy = fleet.policy
    # The exponent is bounded: a vassal may die for months.
    return min(policy.throttle << min(vassal.deaths - 1, 32), policy.max_throttle) * _MILLISECOND


def pace(fleet: Fleet, vassal: Vassal, event: Event) -> None:
    """It ends and is not to blame, but one that does so in a loop must not keep the machine busy.

    From start to start it takes a throttle. So one that ran for longer is started again at once,
    and so is one that is to run another config.
    """
    if vassal.launched is not None and not vassal.due:
        pause = min(fleet.policy.throttle, fleet.policy.max_throttle)
        if is_over_budget(fleet, vassal, event):
            pause = fleet.policy.max_throttle
        vassal.earliest = vassal.launched + pause * _MILLISECOND


def is_over_budget(fleet: Fleet, vassal: Vassal, event: Event) -> bool:
    """Whether the account that pays for it is above its budget of records."""
    holds = rules.holds(fleet, rules.BUDGET)
    return holds and budget.is_vassal_over(fleet, vassal.name, event.at)

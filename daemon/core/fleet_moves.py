"""Moves of the whole fleet: a daemon starts, is ready, and leaves; a source has an outage."""

from typing import Any, Final

from ...journal.events import Event
from ...journal.policy import Policy
from . import replacement, rollout_moves, rules, slots, target, trial
from .blame import Blame
from .fleet import Fleet, Outage, Pressure, Vassal
from .kept_open import keep_open
from .reloads import ask_reload, way_to_reload
from .source_moves import user_text
from .spec_order import sorted_mapping
from .starts import after_stop, bar_reason, begin
from .steps import Actions, await_forgiveness, end, enter


def take_over(fleet: Fleet, event: Event, actions: Actions) -> None:
    """A daemon starts. Nothing is launched before it has recovered and heard its sources."""
    body: Any = event.body
    rules.check(body.rules)
    other_policy = body.policy != fleet.policy
    fleet.policy, fleet.boot, fleet.open = body.policy, body.boot, False
    fleet.names = sorted_mapping(body.names)
    fleet.monitors, fleet.leaving, fleet.rules = body.monitors, False, body.rules
    fleet.pressure, fleet.booted = None, body.booted
    fleet.version = body.version if body.rules > 1 else ""
    slots.regroup(fleet)
    rollout_moves.resume(fleet, event)
    for vassal in list(fleet.vassals.values()):
        if vassal.check is not None:  # the daemon before may have ended in the midst of it
            target.order(vassal, event, actions)
        # The old policy may have barred it, so it is judged again. A vassal that barred itself by
        # its exit code stays barred.
        if vassal.phase == "barred" and other_policy and not vassal.exiled:
            with Blame(vassal.name):
                target.order_unchecked(fleet, vassal, event, actions)
                begin(fleet, vassal, event, actions)
        elif vassal.phase == "listening":
            enter(vassal, "queued", event, "waits for the daemon")
        elif vassal.phase in ("ready", "accepting") and not vassal.slot:
            vassal.deadline = None
            await_forgiveness(fleet, vassal)


def let_go(fleet: Fleet, event: Event, actions: Actions) -> None:
    """This journal is a copy: the processes are the original's, and all is started anew."""
    fleet.open = fleet.leaving = False
    for vassal in list(fleet.vassals.values()):
        replacement.drop(fleet, vassal, event)
        if vassal.attempt is not None:
            with Blame(vassal.name):
                trial.note_time(fleet, vassal, event)
                after_stop(fleet, vassal, event, actions)


def open_up(fleet: Fleet, event: Event, actions: Actions) -> None:
    """The daemon is ready: vassals that waited for it begin, unless it is leaving already."""
    if fleet.leaving:
        return
    fleet.open = True
    for vassal in list(fleet.vassals.values()):
        with Blame(vassal.name):
            if vassal.phase == "queued":
                slots.leave(fleet, vassal.name)
                begin(fleet, vassal, event, actions)
            elif vassal.phase in ("starting", "ready", "accepting", "reloading"):
                _end_wrong_user(fleet, vassal, event, actions)
                if vassal.due and vassal.phase in ("ready", "accepting", "reloading"):
                    _go_on_replacing(fleet, vassal, event, actions)
            elif vassal.phase == "held":
                keep_open(fleet, vassal, event, actions)


def _go_on_replacing(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """A replacement that is due starts an instance, so it has waited for the daemon in no line.

    It may be a restart now, as the socket of its process was lost with the daemon before. That
    waits for the end of a second instance, if there is one.
    """
    if vassal.slot or vassal.waits_as is not None:
        return
    restarts = vassal.candidate is None and rules.holds(fleet, rules.SHARES)
    if way_to_reload(vassal) == "replace" or restarts:
        ask_reload(fleet, vassal, event, actions)


def _end_wrong_user(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Stop it if this policy would not have let it run as it does."""
    reason = bar_reason(vassal.aim, fleet.policy, vassal.monitor)
    if reason is None and vassal.own_user != fleet.policy.tyrant:
        tyrant = fleet.policy.tyrant
        whose, turned = (user_text(vassal.aim), "on") if tyrant else ("the daemon's user", "off")
        reason = f"restarts as {whose}: tyrant mode was turned {turned}"
    elif reason is None and vassal.user != fleet.policy.user:
        reason = f"restarts as {_by_option(fleet.policy)}: --user was changed"
    if reason is not None:
        end(fleet, vassal, event, actions, "stop", reason)


def _by_option(policy: Policy) -> str:
    if policy.user is None:
        return "the daemon's user"
    uid, gid = policy.user
    return f"uid {uid} gid {gid}"


def wind_down(fleet: Fleet, event: Event, actions: Actions) -> None:
    """The daemon was told to stop: so is every vassal, and none is started any more."""
    body: Any = event.body
    fleet.open, fleet.leaving = False, True
    for vassal in fleet.vassals.values():
        if vassal.phase in ("starting", "ready", "accepting", "reloading"):
            with Blame(vassal.name):
                end(fleet, vassal, event, actions, "stop", f"the daemon stops ({body.reason})")


def close_down(fleet: Fleet, event: Event, actions: Actions) -> None:
    """The daemon has left."""
    fleet.open = False
    for vassal in fleet.vassals.values():
        if vassal.phase == "listening":
            enter(vassal, "queued", event, "waits for the daemon")


def note_outage(fleet: Fleet, event: Event, actions: Actions) -> None:
    body: Any = event.body
    assert event.monitor is not None
    fleet.outages[event.monitor] = Outage(body.reason, event.at)


def end_outage(fleet: Fleet, event: Event, actions: Actions) -> None:
    fleet.outages.pop(event.monitor, None)  # type: ignore[arg-type]


def note_pressure(fleet: Fleet, event: Event, actions: Actions) -> None:
    body: Any = event.body
    fleet.pressure = Pressure(body.cpu, body.memory, body.io)


def set_clock(fleet: Fleet, event: Event, actions: Actions) -> None:
    body: Any = event.body
    if body.taken:
        fleet.booted = body.booted


def lose_keeper(fleet: Fleet, event: Event, actions: Actions) -> None:
    """The daemon has no keeper from now on."""
    fleet.unkept = event.seq


def have_keeper(fleet: Fleet, event: Event, actions: Actions) -> None:
    """The daemon has a keeper again."""
    fleet.unkept = None


def record_only(fleet: Fleet, event: Event, actions: Actions) -> None:
    """Do nothing: the event is for readers of the record."""


MOVE_NO_VASSAL: Final = (
    record_only,
    rollout_moves.take_deadline,  # it moves those that have their turn (``Fleet.turned``)
    note_outage,
    end_outage,
    note_pressure,
    set_clock,
    lose_keeper,
    have_keeper,
)

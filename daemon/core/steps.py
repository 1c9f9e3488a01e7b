"""Steps that moves share: a phase is entered, a slot taken, an order given, an attempt ended.

A move takes the fleet, the vassal, the event and the list of actions to add to. It reads nothing
else: not the clock (time is ``event.at``), no randomness, nothing of the machine. A move that
refuses changes nothing.

The files of moves follow the parts of the fold's table: ``source_moves.py``, ``process_moves.py``,
``operator_moves.py``, ``failure_moves.py``, ``fleet_moves.py``. They share this file, ``starts.py``
and ``reloads.py``.
"""

from typing import Final

from ...journal import quantities
from ...journal.events import Event, Spec
from . import ends, slots, trial
from .actions import Action, Order
from .fleet import Fleet, Phase, Vassal

_SECOND: Final = 1_000_000_000
HELD: Final = "stopped by an operator"  # the reason
LISTENS: Final = f"{HELD}; its addresses stay open"
Actions = list[Action]


def ignore(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Nothing happens. A cell says so rather than being missing."""


def enter(
    vassal: Vassal,
    phase: Phase,
    event: Event,
    reason: str | None = None,
    deadline: int | None = None,
) -> None:
    vassal.phase = phase
    vassal.since = event.at
    vassal.because = event.seq
    if reason is None and vassal.unopened is not None:
        reason = waits_text(vassal.unopened)
    vassal.reason = reason
    vassal.deadline = deadline


def waits_text(reason: str) -> str:
    """Why it runs with its former config: an address of its change cannot be had."""
    return f"its change waits: {reason}"


def order(vassal: Vassal, do: Order, event: Event, actions: Actions) -> None:
    vassal.order = event.seq
    actions.append(Action(do, vassal.name, vassal.attempt))


def take_slot(fleet: Fleet, vassal: Vassal) -> None:
    if not vassal.slot:
        vassal.slot = True
        fleet.starting += 1
        slots.took(fleet, vassal)


def free_slot(fleet: Fleet, vassal: Vassal) -> None:
    if vassal.slot:
        vassal.slot = False
        fleet.starting -= 1
        slots.gave_back(fleet, vassal)


def clear_attempt(fleet: Fleet, vassal: Vassal) -> None:
    free_slot(fleet, vassal)
    slots.leave(fleet, vassal.name)
    vassal.attempt = vassal.pid = vassal.start_time = vassal.mark = None
    vassal.loyal = vassal.heartbeat = vassal.due = vassal.anew = False
    vassal.opening = vassal.unopened = vassal.sick = None


def close_socket(vassal: Vassal, actions: Actions) -> None:
    """Give its addresses back. ``running`` names that on demand, also after the attempt."""
    on_demand = vassal.running is not None and vassal.running.socket
    if on_demand:
        vassal.running = None
    if on_demand or vassal.sockets:
        vassal.sockets = False
        actions.append(Action("unlisten", vassal.name))


def end(
    fleet: Fleet, vassal: Vassal, event: Event, actions: Actions, do: Order, reason: str | None
) -> None:
    """Stop or kill its process; what follows is decided when it has gone."""
    trial.note_time(fleet, vassal, event)
    free_slot(fleet, vassal)
    slots.leave(fleet, vassal.name)
    vassal.due = vassal.anew = False
    vassal.opening = vassal.unopened = None
    order(vassal, do, event, actions)
    if do == "kill":
        ends.note_kill(fleet, vassal, reason or "")
    enter(vassal, "stopping", event, reason, event.at + seconds(mercy(fleet, vassal)))


def mercy(fleet: Fleet, vassal: Vassal) -> float:
    """The seconds from its stop to its kill.

    Its ``stop-timeout`` says it. Tenants can only shorten it: the daemon's own stop waits for them.
    """
    return mercy_of(fleet, vassal.spec if vassal.running is None else vassal.running)


def mercy_of(fleet: Fleet, spec: Spec) -> float:
    """The same for an attempt of this spec."""
    own = quantities.duration(spec.settings.get("stop-timeout", ""))
    if own is None:
        return fleet.policy.mercy
    return min(float(own), fleet.policy.mercy) if fleet.policy.tyrant else float(own)


def forget(fleet: Fleet, vassal: Vassal, actions: Actions) -> None:
    close_socket(vassal, actions)
    free_slot(fleet, vassal)
    slots.leave(fleet, vassal.name)
    if vassal.check is not None:
        actions.append(Action("uncheck", vassal.name))
    fleet.blocked.pop(vassal.name, None)
    del fleet.vassals[vassal.name]


def inherit(fleet: Fleet, vassal: Vassal, event: Event) -> None:
    """Its own attempt is over: what it waits for is the end of its second one (candidate.py)."""
    candidate = vassal.candidate
    assert candidate is not None
    slots.leave(fleet, vassal.name)
    vassal.attempt, vassal.order = candidate.attempt, candidate.order
    vassal.running = candidate.running
    vassal.pid, vassal.start_time = candidate.pid, candidate.start_time
    vassal.mark, vassal.control = candidate.mark, candidate.control
    vassal.speaks, vassal.killed = candidate.speaks, candidate.killed
    vassal.own_user, vassal.user = candidate.own_user, candidate.user
    vassal.candidate = None
    enter(vassal, "stopping", event, candidate.reason, candidate.deadline)


def await_forgiveness(fleet: Fleet, vassal: Vassal) -> None:
    """Have its deaths forgotten if it has run quietly for a while since its phase began."""
    if vassal.deaths and fleet.policy.forgive:
        vassal.deadline = vassal.since + seconds(fleet.policy.forgive)


def seconds(duration: float) -> int:
    return int(duration * _SECOND)

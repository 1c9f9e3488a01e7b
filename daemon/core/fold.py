"""The fold: each event turns the fleet into the next one and says what is to be done.

    fold(fleet, event) -> actions

It is the only place where anything is decided, and it is pure: it sees the fleet and the event,
nothing else. Fold the same events again, on another machine, in another year, and the same
actions come out; ``emperor-replay verify`` checks that, row by row. So this file and those it
imports must not reach for the clock, the system, randomness or the journal, and a test sees to
it.

The table is total: each kind of event about a vassal has a cell for every phase. The cell is
``ignore`` where nothing happens. It is keyed by name, never by position. ``moves.py`` has the moves
that the cells name.

Before the fold looks into the table, it drops an event that is out of date. Such an event is from a
former attempt of the vassal or from a former deadline. So is an observation by a monitor that does
not own the vassal (``claims.py``).
"""

from collections.abc import Callable
from typing import Any, Final

from ...journal.events import Event
from . import budget, claims, slots
from . import moves as m
from .actions import Action
from .blame import Blame, VassalFault
from .fleet import Fleet, Outage, Pressure, Vassal

Move = Callable[[Fleet, Vassal, Event, list[Action]], None]
FleetMove = Callable[[Fleet, Event, list[Action]], None]

i = m.ignore

# fmt: off
TABLE: Final[dict[str, dict[str, Move]]] = {
    # Observations of monitors
    "vassal_added": dict(
        queued=m.requeue, throttled=m.renew, listening=m.relisten, starting=m.amend, ready=m.amend,
        accepting=m.amend, reloading=m.amend, stopping=m.readd, held=m.respec, barred=m.renew),
    "vassal_changed": dict(
        queued=m.requeue, throttled=m.renew, listening=m.relisten, starting=m.amend, ready=m.amend,
        accepting=m.amend, reloading=m.amend, stopping=m.readd, held=m.respec, barred=m.renew),
    "vassal_removed": dict(
        queued=m.drop, throttled=m.drop, listening=m.drop, starting=m.dismiss, ready=m.dismiss,
        accepting=m.dismiss, reloading=m.dismiss, stopping=m.dismiss, held=m.drop, barred=m.drop),
    "vassal_destroyed": dict(
        queued=m.drop, throttled=m.drop, listening=m.drop, starting=m.dismiss, ready=m.dismiss,
        accepting=m.dismiss, reloading=m.dismiss, stopping=m.dismiss, held=m.drop, barred=m.drop),
    "config_restored": dict(
        queued=i, throttled=i, listening=i, starting=i, ready=i,
        accepting=i, reloading=i, stopping=i, held=i, barred=m.begin_restored),
    # Reports of the host and of vassals
    "spawned": dict(
        queued=i, throttled=i, listening=i, starting=m.note_spawned, ready=i,
        accepting=i, reloading=i, stopping=m.note_spawned, held=i, barred=i),
    "spawn_failed": dict(
        queued=i, throttled=i, listening=i, starting=m.fail_spawn, ready=i,
        accepting=i, reloading=i, stopping=m.after_stop, held=i, barred=i),
    "vassal_ready": dict(
        queued=i, throttled=i, listening=i, starting=m.note_ready, ready=i,
        accepting=i, reloading=i, stopping=i, held=i, barred=i),
    "vassal_accepting": dict(
        queued=i, throttled=i, listening=i, starting=m.accept, ready=m.accept,
        accepting=i, reloading=m.accept, stopping=i, held=i, barred=i),
    "vassal_loyal": dict(
        queued=i, throttled=i, listening=i, starting=m.note_loyal, ready=m.note_loyal,
        accepting=m.note_loyal, reloading=m.note_loyal, stopping=i, held=i, barred=i),
    "vassal_resigned": dict(
        queued=i, throttled=i, listening=i, starting=m.resign, ready=m.resign,
        accepting=m.resign, reloading=m.resign, stopping=i, held=i, barred=i),
    "vassal_deaf": dict(
        queued=i, throttled=i, listening=i, starting=i, ready=m.note_deaf,
        accepting=m.note_deaf, reloading=m.note_deaf, stopping=i, held=i, barred=i),
    "reload_failed": dict(
        queued=i, throttled=i, listening=i, starting=i, ready=i,
        accepting=i, reloading=m.fail_reload, stopping=i, held=i, barred=i),
    "heartbeat_started": dict(
        queued=i, throttled=i, listening=i, starting=m.note_heartbeat, ready=m.note_heartbeat,
        accepting=m.note_heartbeat, reloading=i, stopping=i, held=i, barred=i),
    "heartbeat_lost": dict(
        queued=i, throttled=i, listening=i, starting=m.lose_heartbeat, ready=m.lose_heartbeat,
        accepting=m.lose_heartbeat, reloading=m.lose_heartbeat, stopping=i, held=i, barred=i),
    "connection_waiting": dict(
        queued=i, throttled=i, listening=m.wake, starting=i, ready=i,
        accepting=i, reloading=i, stopping=i, held=i, barred=i),
    "listen_failed": dict(
        queued=i, throttled=i, listening=m.fail_listen, starting=i, ready=i,
        accepting=i, reloading=i, stopping=i, held=i, barred=i),
    "exited": dict(
        queued=i, throttled=i, listening=i, starting=m.die, ready=m.die,
        accepting=m.die, reloading=m.die, stopping=m.after_stop, held=i, barred=i),
    "adopted": dict(
        queued=i, throttled=i, listening=i, starting=m.adopt, ready=m.adopt,
        accepting=m.adopt, reloading=m.adopt, stopping=m.adopt, held=i, barred=i),
    "deadline_passed": dict(
        queued=i, throttled=m.retry, listening=i, starting=m.start_timed_out,
        ready=m.start_timed_out, accepting=m.forgive, reloading=m.start_timed_out,
        stopping=m.stop_timed_out, held=i, barred=i),
    "vassal_failed": dict(
        queued=m.fail, throttled=m.fail, listening=m.fail, starting=m.fail_up, ready=m.fail_up,
        accepting=m.fail_up, reloading=m.fail_up, stopping=m.fail_up, held=m.note_failure,
        barred=m.fail),
    # Requests of operators
    "start": dict(
        queued=i, throttled=m.release, listening=i, starting=i, ready=i,
        accepting=i, reloading=i, stopping=m.unhold, held=m.release, barred=m.release),
    "stop": dict(
        queued=m.hold, throttled=m.hold, listening=m.hold, starting=m.stop_and_hold,
        ready=m.stop_and_hold, accepting=m.stop_and_hold, reloading=m.stop_and_hold,
        stopping=m.stop_and_hold, held=i, barred=m.hold),
    "reload": dict(
        queued=i, throttled=i, listening=i, starting=m.reload_when_up, ready=m.reload_when_up,
        accepting=m.reload_when_up, reloading=m.reload_when_up, stopping=i, held=i, barred=i),
    "retry": dict(
        queued=i, throttled=m.release, listening=i, starting=i, ready=i,
        accepting=i, reloading=i, stopping=i, held=i, barred=m.release),
    "upgrade": dict(  # of the daemon: no vassal is to notice
        queued=i, throttled=i, listening=i, starting=i, ready=i,
        accepting=i, reloading=i, stopping=i, held=i, barred=i),
}
# fmt: on

_BY_MONITOR: Final = frozenset(
    (
        "vassal_added",
        "vassal_changed",
        "vassal_removed",
        "vassal_destroyed",
        "config_restored",
    )
)
_BY_ATTEMPT: Final = frozenset(
    (
        "spawned",
        "spawn_failed",
        "vassal_ready",
        "vassal_accepting",
        "vassal_loyal",
        "vassal_resigned",
        "vassal_deaf",
        "reload_failed",
        "heartbeat_started",
        "heartbeat_lost",
        "exited",
        "adopted",
    )
)


def is_ignored(row: str, phase: str) -> bool:
    """Whether the table ignores such an event or request in this phase."""
    return TABLE[row][phase] is i


def fold(fleet: Fleet, event: Event) -> list[Action]:
    """Fold one event into the fleet, which changes in place; the actions that it orders."""
    actions: list[Action] = []
    kind = event.kind
    fleet.seq = event.seq
    fleet.at = event.at
    if event.failed:
        return actions
    budget.charge(fleet, event)
    row = TABLE.get(kind)
    if row is None:
        FLEET_TABLE[kind](fleet, event, actions)
    else:
        try:
            vassal = fleet.vassals.get(event.vassal)  # type: ignore[arg-type]
            if vassal is None:
                if kind == "vassal_added":
                    m.add(fleet, event, actions)
                elif kind == "vassal_failed":
                    m.add_failed(fleet, event, actions)
            elif not _is_over(fleet, vassal, event):
                row[vassal.phase](fleet, vassal, event, actions)
        except Exception as error:
            raise VassalFault(event.vassal or "") from error
    if kind == "vassal_failed":
        _fail_others(fleet, event, actions)
    if fleet.blocked:
        m.unblock(fleet, event, actions)
    if fleet.open:
        _advance(fleet, event, actions)
    return actions


def _is_over(fleet: Fleet, vassal: Vassal, event: Event) -> bool:
    kind = event.kind
    body: Any = event.body
    if kind in _BY_ATTEMPT:
        return bool(vassal.attempt != body.attempt)
    if kind == "deadline_passed":
        return bool(vassal.deadline != body.deadline)
    if kind in _BY_MONITOR and vassal.monitor != event.monitor:
        return not claims.takes_effect(fleet, vassal, event)
    return False


def _advance(fleet: Fleet, event: Event, actions: list[Action]) -> None:
    """Give free slots to those who wait for one."""
    while (name := slots.next_of(fleet)) is not None:
        with Blame(name):
            slots.take(fleet, name)
            vassal = fleet.vassals[name]
            if vassal.phase == "queued":
                m.spawn(fleet, vassal, event, actions)
            elif vassal.due:
                m.reload(fleet, vassal, event, actions)


def _fail_others(fleet: Fleet, event: Event, actions: list[Action]) -> None:
    body: Any = event.body
    for name in body.also:
        vassal = fleet.vassals.get(name)
        if vassal is not None:
            TABLE[event.kind][vassal.phase](fleet, vassal, event, actions)


# Moves of the fleet or of a source, not of one vassal.


def _operate(fleet: Fleet, event: Event, actions: list[Action]) -> None:
    body: Any = event.body
    row = TABLE[body.request]
    if event.vassal is None:
        vassals = list(fleet.vassals.values())
    else:
        named = fleet.vassals.get(event.vassal)
        vassals = [] if named is None else [named]
    for vassal in vassals:
        with Blame(vassal.name):
            row[vassal.phase](fleet, vassal, event, actions)


def _note_outage(fleet: Fleet, event: Event, actions: list[Action]) -> None:
    body: Any = event.body
    assert event.monitor is not None
    fleet.outages[event.monitor] = Outage(body.reason, event.at)


def _end_outage(fleet: Fleet, event: Event, actions: list[Action]) -> None:
    fleet.outages.pop(event.monitor, None)  # type: ignore[arg-type]


def _note_pressure(fleet: Fleet, event: Event, actions: list[Action]) -> None:
    body: Any = event.body
    fleet.pressure = Pressure(body.cpu, body.memory, body.io)


def _set_clock(fleet: Fleet, event: Event, actions: list[Action]) -> None:
    body: Any = event.body
    if body.taken:
        fleet.booted = body.booted


def _record_only(fleet: Fleet, event: Event, actions: list[Action]) -> None:
    """Do nothing: the event is for readers of the record."""


FLEET_TABLE: Final[dict[str, FleetMove]] = {
    "observation_rejected": _record_only,
    "listing_doubted": _record_only,
    "monitor_failed": _note_outage,
    "monitor_recovered": _end_outage,
    "daemon_started": m.take_over,
    "daemon_ready": m.open_up,
    "daemon_stopping": m.wind_down,
    "daemon_stopped": m.close_down,
    "operator_requested": _operate,
    "request_refused": _record_only,
    "journal_adopted": _record_only,
    "journal_forked": m.let_go,
    "clock_jumped": _set_clock,
    "pressure_observed": _note_pressure,
}

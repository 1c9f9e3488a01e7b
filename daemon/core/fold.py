"""The fold: each event turns the fleet into the next one and says what is to be done.

    fold(fleet, event) -> actions

It is the only place where anything is decided, and it is pure: it sees the fleet and the event,
nothing else. Fold the same events again, on another machine, in another year, and the same
actions come out; ``emperor-replay verify`` checks that, row by row. So this file and those it
imports must not reach for the clock, the system, randomness or the journal, and a test sees to
it.

The table is total: each kind of event about a vassal has a cell for every phase. The cell is
``ignore`` where nothing happens. It is keyed by name, never by position. Each part of the table has
a file with the moves that its cells name: ``source_moves.py``, ``process_moves.py`` and so on;
``steps.py`` lists them.

Before the fold looks into the table, it drops an event that is out of date. Such an event is from a
former attempt of the vassal or from a former deadline. So is an observation by a monitor that does
not own the vassal (``claims.py``).
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from ...journal.events import Event
from . import (
    budget,
    candidate_table,
    claims,
    fleet_moves,
    reloads,
    replacement,
    rollout_moves,
    slots,
    starts,
)
from . import failure_moves as f
from . import health as h
from . import keep_listening as k
from . import listening as l
from . import notify_moves as n
from . import operator_moves as o
from . import preflight_moves as c
from . import process_moves as p
from . import rollback_moves as b
from . import source_moves as s
from .actions import Action
from .blame import Blame, VassalFault
from .fleet import Fleet, Vassal
from .starts import after_stop
from .steps import ignore
from .target import may_check_again

Move = Callable[[Fleet, Vassal, Event, list[Action]], None]
FleetMove = Callable[[Fleet, Event, list[Action]], None]

i = ignore

# fmt: off
TABLE: Final[dict[str, dict[str, Move]]] = {
    # Observations of monitors
    "vassal_added": dict(
        queued=s.requeue, throttled=s.renew, listening=s.relisten, starting=s.amend, ready=s.amend,
        accepting=s.amend, reloading=s.amend, stopping=s.readd, held=k.respec, barred=s.renew),
    "vassal_changed": dict(
        queued=s.requeue, throttled=s.renew, listening=s.relisten, starting=s.amend, ready=s.amend,
        accepting=s.amend, reloading=s.amend, stopping=s.readd, held=k.respec, barred=s.renew),
    "vassal_removed": dict(
        queued=s.drop, throttled=s.drop, listening=s.drop, starting=s.dismiss, ready=s.dismiss,
        accepting=s.dismiss, reloading=s.dismiss, stopping=s.dismiss, held=s.drop, barred=s.drop),
    "vassal_destroyed": dict(
        queued=s.drop, throttled=s.drop, listening=s.drop, starting=s.dismiss, ready=s.dismiss,
        accepting=s.dismiss, reloading=s.dismiss, stopping=s.dismiss, held=s.drop, barred=s.drop),
    "config_restored": dict(
        queued=i, throttled=i, listening=i, starting=i, ready=i,
        accepting=i, reloading=i, stopping=i, held=i, barred=s.begin_restored),
    # Reports of the host and of vassals
    "spawned": dict(
        queued=i, throttled=i, listening=i, starting=p.note_spawned, ready=i,
        accepting=i, reloading=i, stopping=p.note_spawned, held=i, barred=i),
    "spawn_failed": dict(
        queued=i, throttled=i, listening=i, starting=p.fail_spawn, ready=i,
        accepting=i, reloading=i, stopping=after_stop, held=i, barred=i),
    "vassal_ready": dict(
        queued=i, throttled=i, listening=i, starting=p.note_ready, ready=i,
        accepting=i, reloading=i, stopping=i, held=i, barred=i),
    "vassal_accepting": dict(
        queued=i, throttled=i, listening=i, starting=p.accept, ready=p.accept,
        accepting=i, reloading=p.accept, stopping=i, held=i, barred=i),
    "vassal_loyal": dict(
        queued=i, throttled=i, listening=i, starting=p.note_loyal, ready=p.note_loyal,
        accepting=p.note_loyal, reloading=p.note_loyal, stopping=i, held=i, barred=i),
    "vassal_resigned": dict(
        queued=i, throttled=i, listening=i, starting=p.resign, ready=p.resign,
        accepting=p.resign, reloading=p.resign, stopping=i, held=i, barred=i),
    "vassal_deaf": dict(
        queued=i, throttled=i, listening=i, starting=i, ready=p.note_deaf,
        accepting=p.note_deaf, reloading=p.note_deaf, stopping=i, held=i, barred=i),
    "reload_failed": dict(
        queued=i, throttled=i, listening=i, starting=i, ready=i,
        accepting=i, reloading=p.fail_reload, stopping=i, held=i, barred=i),
    "heartbeat_started": dict(
        queued=i, throttled=i, listening=i, starting=p.note_heartbeat, ready=p.note_heartbeat,
        accepting=p.note_heartbeat, reloading=i, stopping=i, held=i, barred=i),
    "heartbeat_lost": dict(
        queued=i, throttled=i, listening=i, starting=p.lose_heartbeat, ready=p.lose_heartbeat,
        accepting=p.lose_heartbeat, reloading=p.lose_heartbeat, stopping=i, held=i, barred=i),
    "vassal_reloading": dict(
        queued=i, throttled=i, listening=i, starting=i, ready=n.note_reloading,
        accepting=n.note_reloading, reloading=n.note_reloading, stopping=i, held=i, barred=i),
    "vassal_stopping": dict(
        queued=i, throttled=i, listening=i, starting=n.note_stopping, ready=n.note_stopping,
        accepting=n.note_stopping, reloading=n.note_stopping, stopping=i, held=i, barred=i),
    "timeout_extended": dict(
        queued=i, throttled=i, listening=i, starting=n.extend_start, ready=i,
        accepting=i, reloading=n.extend_reload, stopping=n.extend_stop, held=i, barred=i),
    "health_lost": dict(
        queued=i, throttled=i, listening=i, starting=i, ready=h.lose,
        accepting=h.lose, reloading=h.lose, stopping=i, held=i, barred=i),
    "health_regained": dict(
        queued=i, throttled=i, listening=i, starting=i, ready=h.regain,
        accepting=h.regain, reloading=h.regain, stopping=i, held=i, barred=i),
    "connection_waiting": dict(
        queued=i, throttled=i, listening=p.wake, starting=i, ready=i,
        accepting=i, reloading=i, stopping=i, held=i, barred=i),
    "listen_failed": dict(
        queued=i, throttled=i, listening=p.fail_listen, starting=i, ready=i,
        accepting=i, reloading=i, stopping=i, held=k.failed, barred=i),
    "listen_opened": dict(
        queued=i, throttled=i, listening=i, starting=l.change, ready=l.change,
        accepting=l.change, reloading=l.change, stopping=i, held=k.opened, barred=i),
    "listen_refused": dict(
        queued=i, throttled=i, listening=i, starting=l.refuse, ready=l.refuse,
        accepting=l.refuse, reloading=l.refuse, stopping=i, held=k.refused, barred=i),
    "exited": dict(
        queued=i, throttled=i, listening=i, starting=p.die, ready=p.die,
        accepting=p.die, reloading=p.die, stopping=after_stop, held=i, barred=i),
    "adopted": dict(
        queued=i, throttled=i, listening=i, starting=p.adopt, ready=p.adopt,
        accepting=p.adopt, reloading=p.adopt, stopping=p.adopt, held=i, barred=i),
    "deadline_passed": dict(
        queued=i, throttled=p.retry, listening=i, starting=p.start_timed_out,
        ready=p.start_timed_out, accepting=p.forgive, reloading=p.start_timed_out,
        stopping=p.stop_timed_out, held=i, barred=i),
    # Preflights of changes
    "preflight_passed": dict(
        queued=c.approve_queued, throttled=c.approve_down, listening=c.approve_listening,
        starting=c.approve_up, ready=c.approve_up, accepting=c.approve_up,
        reloading=c.approve_up, stopping=c.approve_stopping, held=k.approve, barred=c.approve_down),
    "deploy_refused": dict(
        queued=c.refuse_waiting, throttled=c.refuse_waiting, listening=c.refuse_waiting,
        starting=c.refuse, ready=c.refuse, accepting=c.refuse,
        reloading=c.refuse, stopping=c.refuse, held=c.refuse, barred=c.refuse),
    "vassal_failed": dict(
        queued=f.fail, throttled=f.fail, listening=f.fail, starting=f.fail_up, ready=f.fail_up,
        accepting=f.fail_up, reloading=f.fail_up, stopping=f.fail_up, held=f.note_failure,
        barred=f.fail),
    # Requests of operators
    "start": dict(
        queued=i, throttled=o.release, listening=i, starting=i, ready=i,
        accepting=i, reloading=i, stopping=o.unhold, held=o.release, barred=o.release),
    "stop": dict(
        queued=o.hold, throttled=o.hold, listening=o.hold, starting=o.stop_and_hold,
        ready=o.stop_and_hold, accepting=o.stop_and_hold, reloading=o.stop_and_hold,
        stopping=o.stop_and_hold, held=o.hold_on, barred=o.hold),
    "restart": dict(
        queued=i, throttled=o.restart_down, listening=i, starting=o.start_anew, ready=o.start_anew,
        accepting=o.start_anew, reloading=o.start_anew, stopping=i, held=i, barred=o.restart_down),
    "reload": dict(
        queued=o.reload_new, throttled=o.reload_new, listening=o.reload_new, starting=o.reload_up,
        ready=o.reload_up, accepting=o.reload_up, reloading=o.reload_up, stopping=o.reload_new,
        held=i, barred=o.reload_new),
    "retry": dict(
        queued=c.check_again, throttled=o.release, listening=c.check_again,
        starting=c.check_again, ready=c.check_again, accepting=c.check_again,
        reloading=c.check_again, stopping=c.check_again, held=c.check_again, barred=o.release),
    "rollback": dict(
        queued=b.go_back_queued, throttled=b.go_back_down, listening=b.go_back_listening,
        starting=b.go_back_up, ready=b.go_back_up, accepting=b.go_back_up, reloading=b.go_back_up,
        stopping=b.go_back_stopping, held=i, barred=b.go_back_down),
    "cancel_rollback": dict(
        queued=b.cancel_queued, throttled=b.cancel_down, listening=b.cancel_listening,
        starting=b.cancel_up, ready=b.cancel_up, accepting=b.cancel_up, reloading=b.cancel_up,
        stopping=b.cancel_later, held=b.cancel_later, barred=b.cancel_down),
    "reopen": dict(  # of logs
        queued=i, throttled=i, listening=i, starting=i, ready=i,
        accepting=i, reloading=i, stopping=i, held=i, barred=i),
    "upgrade": dict(  # of the daemon: no vassal is to notice
        queued=i, throttled=i, listening=i, starting=i, ready=i,
        accepting=i, reloading=i, stopping=i, held=i, barred=i),
    rollout_moves.CONTINUE: dict(  # they move those that have their turn then
        queued=i, throttled=i, listening=i, starting=i, ready=i,
        accepting=i, reloading=i, stopping=i, held=i, barred=i),
    rollout_moves.ABORT: dict(
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
# The body names an attempt. The fold drops those of a former one.
BY_ATTEMPT: Final = frozenset(
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
        "vassal_reloading",
        "vassal_stopping",
        "timeout_extended",
        "health_lost",
        "health_regained",
        "exited",
        "adopted",
    )
)
# The body names a check. The fold drops those of a former one.
BY_CHECK: Final = frozenset(("preflight_passed", "deploy_refused"))


def is_ignored(row: str, phase: str) -> bool:
    """Whether the table ignores such an event or request in this phase."""
    return TABLE[row][phase] is i


def ignores(kind: str, vassal: Vassal, attempt: int) -> bool:
    """Whether such an event of one of its attempts changes nothing."""
    candidate = vassal.candidate
    if candidate is not None and candidate.attempt == attempt:
        return candidate_table.is_ignored(kind, candidate.phase)
    return is_ignored(kind, vassal.phase)


def has_effect(row: str, vassal: Vassal, *, keep_listening: bool = False) -> bool:
    """Whether such a request can change anything about this vassal."""
    cell = TABLE[row][vassal.phase]
    if cell is o.hold_on:
        return o.changes_hold(vassal, keep_listening)
    if cell is o.reload_new:
        return vassal.candidate is not None and vassal.candidate.is_tried
    return cell is not i and (cell is not c.check_again or may_check_again(vassal))


def has_limit(vassal: Vassal) -> bool:
    """Whether a start, reload or stop of this vassal is under way that may time out.

    Its second attempt always has a deadline. One that settles is to run well until then.
    """
    if vassal.candidate is not None:
        return True
    cell = TABLE["deadline_passed"][vassal.phase]
    return vassal.deadline is not None and cell in (p.start_timed_out, p.stop_timed_out)


def fold(fleet: Fleet, event: Event) -> list[Action]:
    """Fold one event into the fleet, which changes in place; the actions that it orders."""
    actions: list[Action] = []
    kind = event.kind
    fleet.seq = event.seq
    fleet.at = event.at
    if fleet.turned:
        fleet.turned = []
    if event.failed:
        return actions
    if fleet.policy.record_budget > 0:
        budget.charge(fleet, event)
    row = TABLE.get(kind)
    if row is None:
        FLEET_TABLE[kind](fleet, event, actions)
    else:
        try:
            vassal = fleet.vassals.get(event.vassal)  # type: ignore[arg-type]
            if vassal is None:
                if kind == "vassal_added":
                    s.add(fleet, event, actions)
                elif kind == "vassal_failed":
                    f.add_failed(fleet, event, actions)
            elif vassal.candidate is not None and candidate_table.is_about(vassal, event):
                candidate_table.move(fleet, vassal, event, actions)
            elif not _is_over(fleet, vassal, event):
                row[vassal.phase](fleet, vassal, event, actions)
        except Exception as error:
            raise VassalFault(event.vassal or "") from error
    if kind == "vassal_failed":
        _fail_others(fleet, event, actions)
    if event.vassal is None or kind == "vassal_failed":
        _review_all(fleet, event, actions)
    else:
        _review(fleet, event, actions, event.vassal)
    if fleet.rollouts:
        rollout_moves.follow(fleet, event, actions, TABLE["preflight_passed"])
        for name in fleet.turned:  # their target is another one since the review
            _review(fleet, event, actions, name)
    if fleet.blocked:
        p.unblock(fleet, event, actions)
    if fleet.open and slots.may_have_turn(fleet):
        _advance(fleet, event, actions)
    if fleet.rollouts:
        rollout_moves.note_orders(fleet, actions)
    return actions


def _is_over(fleet: Fleet, vassal: Vassal, event: Event) -> bool:
    kind = event.kind
    body: Any = event.body
    if kind in BY_ATTEMPT:
        return bool(vassal.attempt != body.attempt)
    if kind in _BY_MONITOR:
        is_owner = vassal.monitor == event.monitor
        return not is_owner and not claims.takes_effect(fleet, vassal, event)
    if kind == "deadline_passed":
        return bool(vassal.deadline != body.deadline or body.attempt is not None)
    return kind in BY_CHECK and bool(vassal.check != body.check)


def _review(fleet: Fleet, event: Event, actions: list[Action], name: str) -> None:
    """End the candidate of this vassal, if the event makes it unwanted."""
    vassal = fleet.vassals.get(name)
    if vassal is not None and vassal.candidate is not None:
        with Blame(name):
            replacement.review(fleet, vassal, event, actions)


def _review_all(fleet: Fleet, event: Event, actions: list[Action]) -> None:
    """The same for each vassal that an event about several ones may move."""
    names: Iterable[str] = ()
    if event.vassal is not None:
        names = (event.vassal, *getattr(event.body, "also", ()))
    elif event.kind not in MOVES_NO_VASSAL:
        names = list(fleet.vassals)
    for name in names:
        _review(fleet, event, actions, name)


def _advance(fleet: Fleet, event: Event, actions: list[Action]) -> None:
    """Give free slots to those who wait for one."""
    while (name := slots.next_of(fleet)) is not None:
        try:
            slots.take(fleet, name)
            vassal = fleet.vassals[name]
            if vassal.phase == "queued":
                starts.spawn(fleet, vassal, event, actions)
            elif vassal.due:
                reloads.reload(fleet, vassal, event, actions)
        except Exception as error:
            raise VassalFault(name) from error


def _fail_others(fleet: Fleet, event: Event, actions: list[Action]) -> None:
    body: Any = event.body
    for name in body.also:
        vassal = fleet.vassals.get(name)
        if vassal is not None:
            TABLE[event.kind][vassal.phase](fleet, vassal, event, actions)


def _operate(fleet: Fleet, event: Event, actions: list[Action]) -> None:
    body: Any = event.body
    if body.request in (rollout_moves.CONTINUE, rollout_moves.ABORT):
        rollout_moves.operate(fleet, event, actions)
        return
    row = TABLE[body.request]
    if event.vassal is None:
        vassals = list(fleet.vassals.values())
    else:
        named = fleet.vassals.get(event.vassal)
        vassals = [] if named is None else [named]
    for vassal in vassals:
        with Blame(vassal.name):
            row[vassal.phase](fleet, vassal, event, actions)


def open_up(fleet: Fleet, event: Event, actions: list[Action]) -> None:
    """The daemon is ready: changes that have their turn now are there before all starts."""
    fleet.open = not fleet.leaving
    if fleet.rollouts:
        rollout_moves.give_turns(fleet, event, actions, TABLE["preflight_passed"])
    fleet_moves.open_up(fleet, event, actions)


FLEET_TABLE: Final[dict[str, FleetMove]] = {
    "observation_rejected": fleet_moves.record_only,
    "listing_doubted": fleet_moves.record_only,
    "monitor_failed": fleet_moves.note_outage,
    "monitor_recovered": fleet_moves.end_outage,
    "daemon_started": fleet_moves.take_over,
    "daemon_ready": open_up,
    "daemon_stopping": fleet_moves.wind_down,
    "daemon_stopped": fleet_moves.close_down,
    "operator_requested": _operate,
    "request_refused": fleet_moves.record_only,
    "journal_adopted": fleet_moves.record_only,
    "journal_forked": fleet_moves.let_go,
    "journal_archived": fleet_moves.record_only,
    "clock_jumped": fleet_moves.set_clock,
    "pressure_observed": fleet_moves.note_pressure,
    "checkpoint": fleet_moves.record_only,
    "keeper_lost": fleet_moves.lose_keeper,
    "keeper_back": fleet_moves.have_keeper,
    rollout_moves.DUE: rollout_moves.take_deadline,
}
# Events of the fleet or a source that move no vassal, except by an order.
MOVES_NO_VASSAL: Final = frozenset(
    kind for kind, move in FLEET_TABLE.items() if move in fleet_moves.MOVE_NO_VASSAL
)

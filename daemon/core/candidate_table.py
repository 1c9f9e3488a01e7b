"""The table of second attempts: each word of one has a cell for each of its phases.

It is total, as the big table in ``fold.py`` is, and a test sees to that. A deadline and every word
of a process name their attempt, so the fold knows which table is asked. docs/deploys.md says the
same for people.
"""

from collections.abc import Callable
from typing import Any, Final

from ...journal import quantities
from ...journal.events import Event
from . import deaths, replacement, rollback, trial
from .candidate import Candidate, CandidatePhase
from .fleet import End, Fleet, Vassal
from .reloads import ask_reload, end_hung_start
from .starts import begin
from .steps import Actions, mercy_of, seconds

_Move = Callable[[Fleet, Vassal, Candidate, Event, Actions], None]
_READY: Final = ("ready", "accepting")
_LIVES: Final = (*_READY, "reloading", "starting")  # an instance serves, or will


def _ignore(
    fleet: Fleet, vassal: Vassal, candidate: Candidate, event: Event, actions: Actions
) -> None:
    """Nothing happens."""


def _note_spawned(
    fleet: Fleet, vassal: Vassal, candidate: Candidate, event: Event, actions: Actions
) -> None:
    body: Any = event.body
    candidate.pid, candidate.start_time = body.pid, body.start_time
    candidate.mark = body.mark
    if body.runs is not None:
        candidate.control = body.control
    if candidate.phase == "starting" and not replacement.tells_ready(candidate):
        _settle(fleet, vassal, candidate, event, actions)


def _fail_spawn(
    fleet: Fleet, vassal: Vassal, candidate: Candidate, event: Event, actions: Actions
) -> None:
    body: Any = event.body
    if body.fault == "interrupted":
        _try_again(fleet, vassal, candidate, event, actions)
        return
    reason = f"was not started: {body.reason}"
    replacement.fail(fleet, vassal, event, actions, reason, gone=True)
    _after(fleet, vassal, event, actions)


def _settle(
    fleet: Fleet, vassal: Vassal, candidate: Candidate, event: Event, actions: Actions
) -> None:
    """It is ready."""
    replacement.give_slot(fleet, candidate)
    time = replacement.settle_time(candidate.running)
    if time:
        replacement.move(candidate, event, "settling", event.at + seconds(time))
    else:
        _take_place(fleet, vassal, candidate, event, actions)


def _take_place(
    fleet: Fleet, vassal: Vassal, candidate: Candidate, event: Event, actions: Actions
) -> None:
    """It has run well for long enough."""
    trial.note_time(fleet, vassal, event)
    replacement.take_place(fleet, vassal, event, actions)
    if vassal.loyal:
        trial.note_good(fleet, vassal)
    elif vassal.phase == "accepting":
        rollback.note_accepting(fleet, vassal)
    if vassal.candidate is None:
        _after(fleet, vassal, event, actions)


def _time_out(
    fleet: Fleet, vassal: Vassal, candidate: Candidate, event: Event, actions: Actions
) -> None:
    """The time of its slot is over, or that of its start."""
    timeout = replacement.timeout_of(fleet, candidate.running)
    until = candidate.launched + seconds(timeout)
    if event.at < until and candidate.slot:
        replacement.give_slot(fleet, candidate)
        candidate.deadline, candidate.reason = until, "slow to start"
        return
    told = f"was not ready within {quantities.duration_text(timeout)}"
    replacement.fail(fleet, vassal, event, actions, told, gone=False)


def _extend_start(
    fleet: Fleet, vassal: Vassal, candidate: Candidate, event: Event, actions: Actions
) -> None:
    body: Any = event.body
    until = event.at + seconds(body.seconds)
    if until > (candidate.deadline or 0):
        replacement.give_slot(fleet, candidate)
        candidate.deadline, candidate.reason = until, "slow to start; it asked for more time"


def _extend_stop(
    fleet: Fleet, vassal: Vassal, candidate: Candidate, event: Event, actions: Actions
) -> None:
    body: Any = event.body
    if not fleet.policy.tyrant and candidate.killed is None:
        candidate.deadline = max(candidate.deadline or 0, event.at + seconds(body.seconds))


def _note_loyal(
    fleet: Fleet, vassal: Vassal, candidate: Candidate, event: Event, actions: Actions
) -> None:
    candidate.loyal = True


def _note_heartbeat(
    fleet: Fleet, vassal: Vassal, candidate: Candidate, event: Event, actions: Actions
) -> None:
    candidate.heartbeat = True


def _hang(
    fleet: Fleet, vassal: Vassal, candidate: Candidate, event: Event, actions: Actions
) -> None:
    """It sends no heartbeat: it is killed, as it would not read an order."""
    body: Any = event.body
    reason = (
        "hangs: its watchdog says so" if body.asked else f"sent no heartbeat for {body.silent:g} s"
    )
    replacement.fail(fleet, vassal, event, actions, reason, gone=False)
    actions.pop()  # the order to stop
    _kill(fleet, vassal, candidate, event, actions, reason)


def _resign(
    fleet: Fleet, vassal: Vassal, candidate: Candidate, event: Event, actions: Actions
) -> None:
    replacement.fail(fleet, vassal, event, actions, "resigned", gone=False)


def _lose_health(
    fleet: Fleet, vassal: Vassal, candidate: Candidate, event: Event, actions: Actions
) -> None:
    replacement.fail(fleet, vassal, event, actions, "failed a check of its health", gone=False)


def _die(
    fleet: Fleet, vassal: Vassal, candidate: Candidate, event: Event, actions: Actions
) -> None:
    """It ended before it could take over."""
    body: Any = event.body
    _note_end(fleet, vassal, candidate, event, ordered=False)
    if body.away:
        _try_again(fleet, vassal, candidate, event, actions)
        return
    told = f"ended: {deaths.how_it_died(body)}"
    replacement.fail(fleet, vassal, event, actions, told, gone=True)
    _after(fleet, vassal, event, actions)


def _try_again(
    fleet: Fleet, vassal: Vassal, candidate: Candidate, event: Event, actions: Actions
) -> None:
    """It has no process, and is not to blame for that: another one is started in its turn."""
    replacement.drop(fleet, vassal, event)
    if vassal.phase in _LIVES:
        vassal.due = True
    elif vassal.phase == "queued":  # it may have waited for this one
        begin(fleet, vassal, event, actions)
    _after(fleet, vassal, event, actions)


def _leave(
    fleet: Fleet, vassal: Vassal, candidate: Candidate, event: Event, actions: Actions
) -> None:
    """It has ended as ordered."""
    _note_end(fleet, vassal, candidate, event, ordered=True)
    replacement.drop(fleet, vassal, event)
    _after(fleet, vassal, event, actions)


def _after(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """There is one attempt again: a reload that waited for that has its turn.

    With a slot it is still loading, and reloads when it gives that back. A start whose time is
    over hangs, and is ended. One that still has time goes on, as this may bring no change.
    """
    if vassal.candidate is not None or not vassal.due or vassal.slot:
        return
    if vassal.phase in _READY:
        ask_reload(fleet, vassal, event, actions)
    elif vassal.phase == "starting" and vassal.deadline is None:
        end_hung_start(fleet, vassal, event, actions)


def _note_end(
    fleet: Fleet, vassal: Vassal, candidate: Candidate, event: Event, *, ordered: bool
) -> None:
    body: Any = event.body
    if event.kind != "exited":
        return
    killed = candidate.killed
    reason = None if not ordered else candidate.reason if killed is None else killed
    vassal.last = End(
        event.seq,
        event.at,
        body.code,
        body.signal,
        None if not ordered else "stop" if killed is None else "kill",
        reason,
        oom=body.oom,
    )


def _adopt(
    fleet: Fleet, vassal: Vassal, candidate: Candidate, event: Event, actions: Actions
) -> None:
    """A new daemon found it running. Its time begins anew, and so does an order that it had."""
    body: Any = event.body
    candidate.pid, candidate.start_time = body.pid, body.start_time
    candidate.control, spec = body.control, candidate.running
    is_told = candidate.speaks  # uWSGI ends by itself when the daemon's end of its socket is gone
    if candidate.phase == "starting":
        is_told |= spec.settings.get("ready") == "notify"
    if candidate.is_tried and is_told and not body.control:
        vassal.due = vassal.phase in _LIVES
        replacement.retire(fleet, vassal, event, actions, "its sockets were lost")
    elif candidate.phase == "starting":
        if not replacement.tells_ready(candidate):  # it was killed before it recorded the start
            _settle(fleet, vassal, candidate, event, actions)
        else:
            candidate.deadline = event.at + seconds(replacement.timeout_of(fleet, spec))
    elif candidate.phase == "settling":
        candidate.deadline = event.at + seconds(replacement.settle_time(spec))
    else:
        replacement.order(vassal, event, actions, "retire")
        candidate.deadline = event.at + seconds(mercy_of(fleet, spec))


def _stop_timed_out(
    fleet: Fleet, vassal: Vassal, candidate: Candidate, event: Event, actions: Actions
) -> None:
    _kill(fleet, vassal, candidate, event, actions, "it did not stop in time")


def _kill(
    fleet: Fleet,
    vassal: Vassal,
    candidate: Candidate,
    event: Event,
    actions: Actions,
    reason: str,
) -> None:
    replacement.order(vassal, event, actions, "kill")
    candidate.killed = reason
    candidate.deadline = event.at + seconds(mercy_of(fleet, candidate.running))


i = _ignore

# fmt: off
TABLE: Final[dict[str, dict[CandidatePhase, _Move]]] = {
    "spawned": dict(
        starting=_note_spawned, settling=i, ending=_note_spawned, leaving=_note_spawned),
    "spawn_failed": dict(starting=_fail_spawn, settling=i, ending=_leave, leaving=_leave),
    "vassal_ready": dict(starting=i, settling=i, ending=i, leaving=i),
    "vassal_accepting": dict(starting=_settle, settling=i, ending=i, leaving=i),
    "vassal_loyal": dict(starting=_note_loyal, settling=_note_loyal, ending=i, leaving=i),
    "vassal_resigned": dict(starting=_resign, settling=_resign, ending=i, leaving=i),
    "vassal_deaf": dict(starting=i, settling=i, ending=i, leaving=i),
    "reload_failed": dict(starting=i, settling=i, ending=i, leaving=i),
    "heartbeat_started": dict(
        starting=_note_heartbeat, settling=_note_heartbeat, ending=i, leaving=i),
    "heartbeat_lost": dict(starting=_hang, settling=_hang, ending=i, leaving=i),
    "vassal_reloading": dict(starting=i, settling=i, ending=i, leaving=i),
    "vassal_stopping": dict(starting=i, settling=i, ending=i, leaving=i),
    "timeout_extended": dict(
        starting=_extend_start, settling=i, ending=_extend_stop, leaving=_extend_stop),
    "health_lost": dict(starting=i, settling=_lose_health, ending=i, leaving=i),
    "health_regained": dict(starting=i, settling=i, ending=i, leaving=i),
    "exited": dict(starting=_die, settling=_die, ending=_leave, leaving=_leave),
    "adopted": dict(starting=_adopt, settling=_adopt, ending=_adopt, leaving=_adopt),
    "deadline_passed": dict(
        starting=_time_out, settling=_take_place, ending=_stop_timed_out, leaving=_stop_timed_out),
}
# fmt: on


def is_about(vassal: Vassal, event: Event) -> bool:
    """Whether an event is about the second attempt of a vassal."""
    if vassal.candidate is None or event.kind not in TABLE:
        return False
    return getattr(event.body, "attempt", None) == vassal.candidate.attempt


def move(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Fold an event about the second attempt."""
    body: Any = event.body
    candidate = vassal.candidate
    assert candidate is not None
    if event.kind == "deadline_passed" and body.deadline != candidate.deadline:
        return
    TABLE[event.kind][candidate.phase](fleet, vassal, candidate, event, actions)


def is_ignored(row: str, phase: CandidatePhase) -> bool:
    """Whether the table ignores such an event in this phase."""
    return TABLE[row][phase] is i

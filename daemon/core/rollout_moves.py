"""Decisions of rollouts: which change waits, which has its turn, and when the rest is held back.

A source can have its changes carried out a few at a time (``--rollout``). The first change opens a
*rollout*. It takes in the changes that come until all have settled and ``--freq`` has passed.

- A change joins the line. Its vassal keeps its target from before (``target.py``), so each start
  until its turn uses the former config.
- At most ``size`` vassals of the source are *turning*. A change whose turn has come goes the way of
  one whose preflight has passed. One that has a preflight is checked first.
- A turn ends when its vassal has *settled*: ``_verdict`` says how. Then the next one has its turn.
- After ``rollout_failures`` failures those that wait are *held back*. Changes that come within
  ``--freq`` of the last one belong to the same push, and are held back as well. They would open a
  rollout of their own otherwise, and fail there. A later change opens the next one, and so does
  another change of a vassal that has failed. It may be one of a vassal that is held back. One of a
  vassal that is still turning goes ahead, and its turn is one of the next rollout from then on.
- Canaries go first. Where the source has some, others wait for ``--freq`` from the first change on.

Outside of rollouts are additions, removals, a change of the source and one of the user. A name that
another source takes over is not to run for the former one, nor a place for its former user.

A turn always ends. Most phases have a deadline of their own. ``Turn.until`` bounds the others, and
in tyrant mode a tenant cannot extend it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from ...journal import quantities
from ...journal.events import Event, Spec
from . import deaths, rules, target
from .actions import Action
from .blame import Blame
from .fleet import Fleet, Vassal
from .reloads import awaits_ready, tells
from .replacement import NOT_REPLACED
from .rollout import Closed, Rollout, Turn
from .starts import bar_reason
from .steps import Actions, mercy, seconds
from .telling import UNCONFIRMED

Row = Mapping[str, Callable[[Fleet, Vassal, Event, Actions], None]]

CONTINUE: Final = "rollout_continue"
ABORT: Final = "rollout_abort"
DUE: Final = "rollout_due"
_TRIAL: Final = 1.0  # seconds that a program runs before it counts as done, if it says no more
_TICK: Final = 250_000_000  # trials end at multiples of this, so that a look serves many of them
_SLACK: Final = 10.0  # seconds of a turn besides the times that its settings give
_PREFLIGHT: Final = 30.0  # the default of preflight-timeout


# Changes that come


def size(text: str, vassals: int) -> int:
    """The number that a size means for so many vassals, at least 1."""
    if text.endswith("%"):
        return max(1, vassals * int(text[:-1]) // 100)
    return max(1, int(text))


def takes_in(fleet: Fleet, vassal: Vassal, event: Event) -> bool:
    """Whether this change, which is not folded yet, waits for its turn in a rollout.

    One of a vassal that is turning does not. Its turn goes on in the rollout that takes the change.
    """
    if event.monitor is None or not fleet.policy.rollout_size(event.monitor):
        return False
    if not rules.holds(fleet, rules.ROLLOUT):
        return False
    if vassal.monitor != event.monitor or not vassal.wanted:
        return False
    new: Spec = event.body.spec  # type: ignore[attr-defined]
    has = vassal.aim
    if (has.uid, has.gid) != (new.uid, new.gid):
        return False
    turning = [each for each in fleet.rollouts.values() if vassal.name in each.turning]
    for each in turning:
        if not _takes_more(fleet, each, event):
            turn = each.turning.pop(vassal.name)
            _joined(fleet, vassal.name, event).turning[vassal.name] = turn
    return not turning


def line_up(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Its wanted spec waits for its turn from now on."""
    if vassal.check is not None:
        actions.append(Action("uncheck", vassal.name))
    vassal.check = vassal.refused = None
    rollout = _joined(fleet, vassal.name, event)
    if vassal.waits_in is not None and vassal.waits_in != rollout.seq:
        _leave(fleet.rollouts[vassal.waits_in], vassal.name)
    vassal.waits_in = rollout.seq
    its, other = rollout.line, rollout.canaries
    if _is_canary(vassal.spec):
        its, other = other, its
    other.pop(vassal.name, None)
    its[vassal.name] = None


def _joined(fleet: Fleet, name: str, event: Event) -> Rollout:
    """The rollout that this change of a vassal is part of now."""
    rollout = _open(fleet, event)
    rollout.done.pop(name, None)
    rollout.forget_failure(name)
    rollout.quiet, rollout.latest = None, event.at
    return rollout


def _open(fleet: Fleet, event: Event) -> Rollout:
    """The rollout of a source that takes in changes, a new one where there is none."""
    assert event.monitor is not None
    for rollout in fleet.rollouts.values():
        if rollout.monitor == event.monitor and _takes_more(fleet, rollout, event):
            return rollout
    rollout = Rollout(event.seq, event.at, event.monitor, _size(fleet, event.monitor))
    spec: Spec = event.body.spec  # type: ignore[attr-defined]
    its = (each for each in fleet.vassals.values() if each.monitor == event.monitor)
    if _is_canary(spec) or any(_is_canary(each.spec) for each in its):
        rollout.gathers = event.at + seconds(fleet.policy.freq)
        _look_at(rollout, rollout.gathers)
    fleet.rollouts[event.seq] = rollout
    return rollout


def _takes_more(fleet: Fleet, rollout: Rollout, event: Event) -> bool:
    """Whether this change belongs to it. One of a vassal that has failed in it is a fix."""
    if rollout.held is None:
        return True
    if rollout.aborted is not None or event.vassal in rollout.failed:
        return False
    return event.at < rollout.latest + seconds(fleet.policy.freq)


def _size(fleet: Fleet, monitor: str) -> int:
    return size(
        fleet.policy.rollout_size(monitor),
        sum(each.monitor == monitor for each in fleet.vassals.values()),
    )


def _is_canary(spec: Spec) -> bool:
    return spec.settings.get("canary") == "yes"


def _leave(rollout: Rollout, name: str) -> None:
    rollout.canaries.pop(name, None)
    rollout.line.pop(name, None)


def is_held_back(fleet: Fleet, vassal: Vassal) -> bool:
    """Whether its change is held back until an operator or its source says something."""
    rollout = fleet.rollouts.get(vassal.waits_in or 0)
    return rollout is not None and rollout.held is not None


# After each event


def follow(fleet: Fleet, event: Event, actions: Actions, row: Row) -> None:
    """An event has moved its vassal: turns end, others begin, a rollout is held back or closes.

    ``row`` are the moves of a change that may be carried out, by phase.
    """
    names = _seen(event, actions)
    for rollout in list(fleet.rollouts.values()):
        for name in _members(rollout, event) if names is None else names:
            _see(fleet, rollout, name, event, actions)
    give_turns(fleet, event, actions, row)
    for rollout in list(fleet.rollouts.values()):
        _close(fleet, rollout, event)


def give_turns(fleet: Fleet, event: Event, actions: Actions, row: Row) -> None:
    """Begin changes where there is room. At the start of a daemon, that comes before all starts."""
    ordered = {action.vassal for action in actions}
    for rollout in list(fleet.rollouts.values()):
        _give_turns(fleet, rollout, event, actions, row, ordered)


def _seen(event: Event, actions: Iterable[Action]) -> list[str] | None:
    """The vassals that an event may have changed; None where those of a rollout may have."""
    if event.vassal is None:
        return None
    return list(dict.fromkeys((event.vassal, *(action.vassal for action in actions))))


def _members(rollout: Rollout, event: Event) -> list[str]:
    body: Any = event.body
    if event.kind == DUE:
        return list(rollout.turning) if body.rollout == rollout.seq else []
    if event.kind.startswith("daemon_") or event.kind in ("operator_requested", "journal_forked"):
        return [*rollout.names, *rollout.turning]
    return []


def note_orders(fleet: Fleet, actions: Iterable[Action]) -> None:
    """Note the attempts that run new configs."""
    for action in actions:
        if action.do in ("spawn", "reload"):
            for rollout in fleet.rollouts.values():
                turn = rollout.turning.get(action.vassal)
                if turn is not None and _is_to_change(fleet.vassals[action.vassal], action):
                    turn.attempt = action.attempt


def _is_to_change(vassal: Vassal, action: Action) -> bool:
    """Whether an order to start or reload a vassal gives it its new config.

    At an adoption, the reload that is under way is ordered again, and the change waits on.
    """
    return not vassal.is_open and (action.do == "spawn" or vassal.running == vassal.spec)


def _see(fleet: Fleet, rollout: Rollout, name: str, event: Event, actions: Actions) -> None:
    """See what an event says of one vassal of a rollout."""
    vassal = fleet.vassals.get(name)
    if vassal is None or vassal.waits_in != rollout.seq:
        _leave(rollout, name)
    turn = rollout.turning.get(name)
    if turn is None:
        if vassal is not None and name in rollout.done and _dies(vassal, event, rollout.done[name]):
            del rollout.done[name]
            _fail(fleet, rollout, name, _death(vassal, event), event)
        return
    if vassal is None or vassal.monitor != rollout.monitor:
        del rollout.turning[name]
        return
    if event.kind in ("vassal_added", "vassal_changed") and event.vassal == name:
        turn.attempt = turn.settles = None
        turn.until = event.at + _limit(fleet, vassal)
    elif event.kind in ("daemon_started", "daemon_ready"):
        turn.settles = None
        turn.until = event.at + _limit(fleet, vassal)
    elif _dies(vassal, event, turn.attempt):
        _settle(fleet, rollout, name, _death(vassal, event), event)
        return
    own = [action for action in actions if action.vassal == name]
    note_orders(fleet, own)
    _judge(fleet, rollout, vassal, event)


def _dies(vassal: Vassal, event: Event, attempt: int | None) -> bool:
    """Whether this event is a death of the attempt, or a kill of it as it hangs."""
    if attempt is None or event.vassal != vassal.name:
        return False
    if event.kind == "reload_failed":
        return True
    if not vassal.died or vassal.died[-1] != event.at:
        return False
    of = getattr(event.body, "attempt", None)
    return bool((vassal.attempt if of is None else of) == attempt)


def _death(vassal: Vassal, event: Event) -> str:
    body: Any = event.body
    if event.kind == "exited":
        return deaths.how_it_died(body)
    return vassal.late or vassal.reason or "died"


def _judge(fleet: Fleet, rollout: Rollout, vassal: Vassal, event: Event) -> None:
    """End its turn if it has settled, or an operator or its source wants it to stop."""
    turn = rollout.turning[vassal.name]
    if vassal.held or not vassal.wanted:
        del rollout.turning[vassal.name]
        return
    verdict = _verdict(fleet, vassal, turn)
    if verdict is not None:
        _settle(fleet, rollout, vassal.name, verdict, event)
        return
    if _runs(vassal, turn):
        if turn.settles is None:
            turn.settles = (event.at + seconds(_TRIAL)) // _TICK * _TICK + _TICK
        elif event.at >= turn.settles:
            _settle(fleet, rollout, vassal.name, "", event)
            return
        _look_at(rollout, turn.settles)
    else:
        turn.settles = None
    if event.at >= turn.until:
        waits = vassal.check is not None or vassal.phase == "queued" or _is_replaced(vassal)
        if not fleet.open or waits:
            turn.until = event.at + _limit(fleet, vassal)
        elif not fleet.policy.tyrant and (until := _deadline(vassal)) > event.at:
            turn.until = until + seconds(_SLACK)
        else:
            reason = f"has not settled, and is {vassal.phase}"
            _settle(fleet, rollout, vassal.name, reason, event)
            return
    _look_at(rollout, turn.until)


def _deadline(vassal: Vassal) -> int:
    """Until when its phase, or that of its new instance, may last. A kill is not waited for."""
    if vassal.killed is not None:
        return 0
    of_second = 0 if vassal.candidate is None else vassal.candidate.deadline
    return max(vassal.deadline or 0, of_second or 0)


def _verdict(fleet: Fleet, vassal: Vassal, turn: Turn) -> str | None:
    """The reason of its failure, "" where it went well, None where it has not settled."""
    if vassal.refused is not None:
        return vassal.refused.reason
    if vassal.check is not None or _is_replaced(vassal):
        return None
    reason = vassal.reason or vassal.phase
    match vassal.phase:
        case "barred":
            return "" if vassal.done else reason
        case "throttled":
            return reason if vassal.deaths else None
        case "listening":
            return ""
        case "starting" if not vassal.slot and not vassal.due:
            hangs = vassal.deadline is None or fleet.policy.tyrant
            return reason if hangs else None
        case "ready" | "accepting":
            return _verdict_up(vassal, turn)
    return None


def _is_replaced(vassal: Vassal) -> bool:
    """Whether its change is tried by a new instance beside the old one."""
    return vassal.candidate is not None and vassal.candidate.is_tried


def _verdict_up(vassal: Vassal, turn: Turn) -> str | None:
    """The same of one that is up."""
    if vassal.due or vassal.opening is not None:
        return None
    if vassal.unopened is not None:
        return f"its sockets could not be opened: {vassal.unopened}"
    if vassal.reason is not None and vassal.reason.startswith(NOT_REPLACED):
        return vassal.reason
    if turn.attempt is None or vassal.phase == "accepting":
        return ""  # its change waits for its next start, or it has told that it accepts
    if tells(vassal) and not vassal.slot:
        return vassal.reason or UNCONFIRMED
    return None


def _runs(vassal: Vassal, turn: Turn) -> bool:
    """Whether it runs the new config, and cannot say more than that."""
    if vassal.phase != "ready" or vassal.due or vassal.opening is not None or tells(vassal):
        return False
    cannot_say = vassal.speaks or not awaits_ready(vassal) or not vassal.control
    return turn.attempt is not None and cannot_say


def _limit(fleet: Fleet, vassal: Vassal) -> int:
    """The nanoseconds that a turn may take, besides the time in which it waits for a slot."""
    settings = vassal.spec.settings
    patience = fleet.policy.start_patience
    ready = quantities.duration(settings.get("ready-timeout", ""))
    start = patience if ready is None else float(ready)
    if fleet.policy.tyrant:
        start = min(start, patience)
    checks = 0.0
    if "preflight" in settings:
        checks = float(quantities.duration(settings.get("preflight-timeout", "")) or _PREFLIGHT)
    return seconds(checks + mercy(fleet, vassal) + start + _SLACK)


def _settle(fleet: Fleet, rollout: Rollout, name: str, reason: str, event: Event) -> None:
    """Its turn is over; ``reason`` is that of a failure."""
    turn, vassal = rollout.turning.pop(name), fleet.vassals[name]
    if reason:
        _fail(fleet, rollout, name, reason, event)
    else:  # a new instance that has taken over has the vassal's attempt
        rollout.done[name] = vassal.attempt if vassal.running == vassal.spec else turn.attempt


def _fail(fleet: Fleet, rollout: Rollout, name: str, reason: str, event: Event) -> None:
    rollout.failed[name] = reason
    failures = len(rollout.failed) - rollout.pardoned
    if rollout.held is None and failures >= fleet.policy.rollout_failures:
        rollout.held = event.seq


# Turns


def _give_turns(
    fleet: Fleet, rollout: Rollout, event: Event, actions: Actions, row: Row, ordered: set[str]
) -> None:
    """Begin the changes of those that come next, as long as there is room.

    This event may have ``ordered`` something about one of them, by its former config. It has its
    turn a moment later, as an event of its own.
    """
    while fleet.open and (name := _next(fleet, rollout, event)) is not None:
        if name in ordered:
            _look_at(rollout, event.at)
            return
        with Blame(name):
            vassal = fleet.vassals[name]
            _leave(rollout, name)
            turn = Turn(event.at + _limit(fleet, vassal), canary=_is_canary(vassal.spec))
            rollout.turning[name] = turn
            fleet.turned.append(name)
            begun = len(actions)
            _begin(fleet, vassal, event, actions, row)
            note_orders(fleet, actions[begun:])
            _judge(fleet, rollout, vassal, event)


def _next(fleet: Fleet, rollout: Rollout, event: Event) -> str | None:
    """The vassal whose turn it is now."""
    if rollout.held is not None or not rollout.waiting:
        return None
    rollouts = fleet.rollouts.values()
    busy = sum(len(each.turning) for each in rollouts if each.monitor == rollout.monitor)
    if busy >= rollout.size:
        return None
    for name in rollout.canaries:
        return name
    if rollout.gathers is not None:
        if event.at < rollout.gathers:
            _look_at(rollout, rollout.gathers)
            return None
        if any(turn.canary for turn in rollout.turning.values()):
            return None
    return next(iter(rollout.line))


def _begin(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions, row: Row) -> None:
    """Its turn has come: have it checked, or carry it out."""
    spec = vassal.spec
    barred = bar_reason(spec, fleet.policy, vassal.monitor) is not None
    if barred or not target.has_preflight(fleet, spec):
        row[vassal.phase](fleet, vassal, event, actions)
        return
    target.order(vassal, event, actions)
    if vassal.phase == "queued" and vassal.kept is None:
        vassal.reason = target.CHECKED


# The end, deadlines, and operators


def _close(fleet: Fleet, rollout: Rollout, event: Event) -> None:
    """Close it where nothing is left to do, or have it looked at again."""
    if rollout.waiting or rollout.turning:
        rollout.quiet = None
        return
    if rollout.quiet is None:
        since = event.at if rollout.held is None else rollout.latest
        rollout.quiet = rollout.deadline = since + seconds(fleet.policy.freq)
    if rollout.aborted is None and event.at < rollout.quiet:
        return
    del fleet.rollouts[rollout.seq]
    fleet.rolled[rollout.monitor] = Closed(
        rollout.seq, rollout.at, event.seq, event.at, len(rollout.done), rollout.failed,
        rollout.aborted is not None,
    )  # fmt: skip


def _look_at(rollout: Rollout, when: int) -> None:
    """Look at it at this time, or earlier."""
    if rollout.deadline is None or when < rollout.deadline:
        rollout.deadline = when


def take_deadline(fleet: Fleet, event: Event, actions: Actions) -> None:
    """The deadline of a rollout has passed: ``follow`` looks at each of its turns."""
    body: Any = event.body
    rollout = fleet.rollouts.get(body.rollout)
    if rollout is not None and rollout.deadline == body.deadline:
        rollout.deadline = rollout.quiet


def resume(fleet: Fleet, event: Event) -> None:
    """A daemon starts: its policy says how many may change at once from now on.

    Where it has no rollouts, one that is under way goes on with the size that it had.
    """
    for rollout in fleet.rollouts.values():
        if fleet.policy.rollout_size(rollout.monitor):
            rollout.size = _size(fleet, rollout.monitor)
        rollout.deadline = None
        if rollout.quiet is not None:
            rollout.quiet = rollout.deadline = event.at + seconds(fleet.policy.freq)


def operate(fleet: Fleet, event: Event, actions: Actions) -> None:
    """An operator continues or aborts the rollouts of one source, or all."""
    body: Any = event.body
    for rollout in fleet.rollouts.values():
        if event.monitor not in (None, rollout.monitor) or rollout.aborted is not None:
            continue
        if body.request == ABORT:
            rollout.aborted = event.seq
            rollout.held = event.seq if rollout.held is None else rollout.held
        elif rollout.held is not None:
            rollout.held, rollout.pardoned = None, len(rollout.failed)

"""Moves of what operators ask."""

from typing import Any

from ...journal.events import Event
from . import replacement, rules, slots, target
from .fleet import Fleet, Hold, Vassal
from .kept_open import keep_open
from .preflight_moves import check_again
from .reloads import ask_reload, end_hung_start, reload, reload_when_up
from .starts import begin
from .steps import HELD, LISTENS, Actions, close_socket, end, enter


def hold(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    _note_hold(fleet, vassal, event)
    if not vassal.listens:
        close_socket(vassal, actions)
    slots.leave(fleet, vassal.name)
    enter(vassal, "held", event, LISTENS if vassal.listens else HELD)
    keep_open(fleet, vassal, event, actions)


def hold_on(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Held: another stop may say that its addresses are open, or that they are not."""
    if not changes_hold(vassal, event.body.keep_listening):  # type: ignore[attr-defined]
        return
    _note_hold(fleet, vassal, event)
    vassal.opening = vassal.unopened = None
    if not vassal.listens:
        close_socket(vassal, actions)
        vassal.reason = HELD
    keep_open(fleet, vassal, event, actions)


def changes_hold(vassal: Vassal, listens: bool) -> bool:
    """Whether another stop of a held vassal would open or close its addresses."""
    return vassal.listens != listens or (listens and vassal.unopened is not None)


def stop_and_hold(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    _note_hold(fleet, vassal, event)
    if vassal.phase != "stopping":
        end(fleet, vassal, event, actions, "stop", HELD)


def release(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Held, throttled or barred: an operator wants it started now."""
    if vassal.done and event.vassal is None:
        return  # it was not named, and its work is over
    vassal.opening = vassal.unopened = None
    vassal.held, vassal.hold, vassal.listens = False, None, False
    vassal.deaths = 0
    vassal.earliest = vassal.failed = vassal.late = None
    if target.may_check_again(vassal):
        target.try_again(fleet, vassal, event, actions)
    begin(fleet, vassal, event, actions)


def unhold(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It starts again after, and its past is forgiven as if it had stopped already."""
    vassal.held, vassal.hold, vassal.listens = False, None, False
    vassal.deaths = 0
    vassal.earliest = vassal.failed = vassal.late = None
    check_again(fleet, vassal, event, actions)


def start_anew(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Stop it and start it again, at once if it holds a slot, else when it gets one.

    Its past is forgiven, as by a start.
    """
    if not rules.holds(fleet, rules.RESTART):
        return
    vassal.deaths = 0
    if vassal.target is None:  # a stop would leave nothing to start
        check_again(fleet, vassal, event, actions)
    elif vassal.slot:
        vassal.due = vassal.anew = True
        reload(fleet, vassal, event, actions)
    elif vassal.phase == "starting":
        end_hung_start(fleet, vassal, event, actions)
    else:
        vassal.due = vassal.anew = True
        ask_reload(fleet, vassal, event, actions)


def restart_down(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Throttled or barred: it is started now. That is with its wanted config (``replacement.py``).

    So a new instance that tries that config does not take over, and is ended first.
    """
    replacement.review(fleet, vassal, event, actions)
    release(fleet, vassal, event, actions)


def reload_up(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Reload it. Where only a refused config could be loaded, that is checked again instead."""
    reload_new(fleet, vassal, event, actions)
    if vassal.target is None:
        check_again(fleet, vassal, event, actions)
    else:
        reload_when_up(fleet, vassal, event, actions)


def reload_new(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """A new instance that is to take over may have loaded already: it is reloaded after that.

    An instance that has ended, or is about to, loads all anew at its next start.
    """
    candidate = vassal.candidate
    if candidate is not None and candidate.is_tried:
        candidate.due = True


def _note_hold(fleet: Fleet, vassal: Vassal, event: Event) -> None:
    body: Any = event.body
    if not vassal.held and rules.holds(fleet, rules.ENDS):
        vassal.hold = Hold(event.seq, event.at, body.uid, body.loginuid)
    vassal.held, vassal.listens = True, body.keep_listening

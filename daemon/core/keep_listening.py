"""Moves of vassals that are held and listen on (``kept_open.py``)."""

from typing import Any, Final

from ...journal.events import Event, Spec
from . import preflight_moves, source_moves
from .fleet import Fleet, Vassal
from .kept_open import keep_open
from .steps import HELD, Actions

# Settings of a config that say what is listened at, and how.
_TERMS: Final = ("listen", "listen-mode", "listen-owner", "listen-backlog", "user", "group")


def respec(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Held: the new config waits with it, and its addresses are opened."""
    before = vassal.aim
    source_moves.take_spec(fleet, vassal, event, actions)
    _follow(fleet, vassal, before, event, actions)


def approve(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Held: a change of it has passed its check."""
    before = vassal.aim
    preflight_moves.approve(fleet, vassal, event, actions)
    _follow(fleet, vassal, before, event, actions)


def opened(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Held: its addresses are open."""
    body: Any = event.body
    if vassal.opening is not None and vassal.opening == body.change:
        vassal.opening = None


def refused(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Held: an address cannot be had. Those that were open stay so."""
    body: Any = event.body
    if vassal.opening is not None and vassal.opening == body.change:
        vassal.opening = None
        _note(vassal, body.reason)


def failed(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Held: its address on demand cannot be had."""
    body: Any = event.body
    if not vassal.listens or vassal.running is None or vassal.running.socket != body.address:
        return
    vassal.running = None
    _note(vassal, body.reason)


def _note(vassal: Vassal, reason: str) -> None:
    vassal.unopened = reason
    vassal.reason = f"{HELD}; {reason}"


def _follow(fleet: Fleet, vassal: Vassal, before: Spec, event: Event, actions: Actions) -> None:
    """Open other addresses where its config has some now."""
    if _terms(vassal.aim) != _terms(before) or vassal.unopened is not None:
        keep_open(fleet, vassal, event, actions)


def _terms(spec: Spec) -> tuple[Any, ...]:
    return (spec.socket, spec.uid, spec.gid, spec.bar, *map(spec.settings.get, _TERMS))

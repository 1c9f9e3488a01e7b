"""Sockets that are kept for a program (``listen`` in its settings), over all of its attempts.

The host opens them when it starts the vassal, and closes those that the vassal no longer wants. An
``unlisten`` closes them all. So most of the table knows nothing of them. A start that fails may
have closed them or not. So the end of a vassal that once had some orders it, and may close none.

A change of the addresses of a vassal that runs is the exception. The new ones are opened before
its process is stopped: an address that cannot be had must not cost the service that there is. The
order is ``listen``; the answer is ``listen_opened``, and then the vassal restarts, or
``listen_refused``, and then it runs on with the former config. An operator's reload or restart
tries again in the same way.

Journals of rules 1 have no such settings, so no rule tells the decisions apart.
"""

from typing import Any

from ...journal import quantities
from ...journal.events import Event, Spec
from . import slots
from .actions import Action, Order
from .fleet import Fleet, Vassal
from .steps import Actions, end, waits_text
from .telling import explain

OPENS = "restarts when its new addresses are open"


def addresses(spec: Spec | None) -> tuple[str, ...]:
    """The addresses that are kept for a vassal of this spec."""
    return () if spec is None else quantities.addresses(spec.settings.get("listen", ""))


def opens_first(vassal: Vassal, event: Event, actions: Actions) -> bool:
    """Order to open addresses that its change adds. Whether the restart waits for them."""
    vassal.unopened = None
    added = set(addresses(vassal.aim)) - set(addresses(vassal.running))
    if not added and vassal.opening is None:
        return False
    vassal.due = vassal.anew = False
    vassal.sockets, vassal.opening = True, event.seq
    explain(vassal, OPENS)
    actions.append(Action("listen", vassal.name))
    return True


def go_on(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """A new daemon adopted it: an order to open that may be lost is given again."""
    if vassal.opening is not None:
        slots.leave(fleet, vassal.name)  # a reload that waits is part of its restart
        opens_first(vassal, event, actions)


def change(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Its new addresses are open, so it restarts with them."""
    body: Any = event.body
    if vassal.opening is None or vassal.opening != body.change:
        return  # that was for a former change
    hangs = vassal.phase == "starting" and not vassal.slot  # then it handles no stop
    do: Order = "kill" if hangs else "stop"
    end(fleet, vassal, event, actions, do, "restarts with its new settings")


def forget_refusal(vassal: Vassal) -> None:
    """The change whose addresses could not be opened is over: another one came."""
    if vassal.unopened is not None:
        if vassal.reason == waits_text(vassal.unopened):
            vassal.reason = None
        vassal.unopened = None


def refuse(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """A new address cannot be had, so it runs on with the former config."""
    body: Any = event.body
    if vassal.opening is None or vassal.opening != body.change:
        return
    vassal.opening, vassal.unopened = None, body.reason
    explain(vassal, waits_text(body.reason))

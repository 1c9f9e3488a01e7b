"""Vassals that an operator stopped with ``--keep-listening``: their addresses stay open.

Clients wait in the backlog until the start, as at a socket unit of systemd whose service is
stopped. The vassal is held as by any stop, so no client starts it. The request has a field for it,
and journals of former releases have no such request. So no rule tells the decisions apart.

The host opens what is missing when it is ordered to: after a reboot, say, or where the vassal has
never run. Each daemon that is ready orders it anew. An address that cannot be had is told as the
reason of the vassal, which stays held.
"""

from ...journal.events import Event, Spec
from .actions import Action
from .bars import bar_reason
from .fleet import Fleet, Vassal
from .listening import addresses
from .steps import HELD, LISTENS, Actions, close_socket


def can_listen(spec: Spec) -> bool:
    """Whether a vassal of this spec has an address that the daemon can keep open."""
    return spec.socket is not None or bool(addresses(spec))


def keep_open(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Held: order to listen at the addresses of its config, if its operator wants that."""
    if not vassal.listens or not fleet.open:  # the next daemon that is ready orders it
        return
    spec, had = vassal.aim, vassal.running
    vassal.opening = vassal.unopened = None
    barred = vassal.failed or bar_reason(spec, fleet.policy, vassal.monitor)
    if barred is not None or not can_listen(spec):
        close_socket(vassal, actions)
        vassal.reason = HELD if barred is None else f"{HELD}; {barred}"
        return
    vassal.reason = LISTENS
    moved = had is not None and (had.socket, had.uid, had.gid) != (spec.socket, spec.uid, spec.gid)
    if had is not None and had.socket and moved:
        close_socket(vassal, actions)
    if spec.socket:
        vassal.running = spec
    if addresses(spec) or vassal.sockets:  # those of before are closed
        vassal.sockets, vassal.opening = True, event.seq
    actions.append(Action("listen", vassal.name))

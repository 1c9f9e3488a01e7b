"""How many sockets the daemon keeps for vassals (``listen``): a part of its descriptors, shared.

Each kept socket takes a descriptor of the daemon, and one of the keeper, for as long as its vassal
is wanted. Without a limit one tenant could use them up, and then no vassal can be started.

A quarter of the descriptors that the daemon may have open is for kept sockets. As with other
places (``fair_places.py``), a user may have another one while it holds fewer than are left.
"""

import resource
from collections.abc import Iterable
from typing import Final

from ...monitors.names import shown
from .listen_address import CannotListen
from .opening import Listener

_PART: Final = 4  # a quarter


def most() -> int:
    """How many sockets are kept at most."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return hard // _PART


def check(address: str, user: int | None, kept: Iterable[Listener]) -> None:
    """Raise CannotListen if no further socket is kept for this user; None: there are no users."""
    count = own = 0
    for each in kept:
        count += 1
        own += each.user == user
    left = most() - count
    if left > (own if user is not None else 0):
        return
    whose = "" if user is None else f", {own} of them for uid {user}"
    raise CannotListen(
        f"cannot listen at {shown(address)}: {count} of {most()} sockets that the daemon keeps are"
        f" taken{whose}; raise its limit of open files (LimitNOFILE=), of which they are a quarter",
        "busy",
    )

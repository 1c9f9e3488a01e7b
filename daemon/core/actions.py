"""The orders that the fold can give. The journal has them in the row of the event they follow."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from ...journal.chain import canonical
from ...journal.events import NOT_FOLDED

Order = Literal[
    "spawn",
    "reload",
    "stop",
    "retire",  # stop it gracefully, whatever the policy says: another instance serves
    "kill",
    "listen",
    "unlisten",
    "check",
    "uncheck",
]


class Action(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One order about one vassal.

    ``attempt`` says which run of it is meant. ``config`` is the digest that a spawn or a reload is
    to run with, so the row alone says what was deployed. Of a ``check`` it is the config that its
    preflight is run with, and ``attempt`` is the number of the event that ordered it.
    """

    do: Order
    vassal: str
    attempt: int | None = None
    config: str | None = None


def recorded(actions: Sequence[Action], *, failed: bool = False) -> str:
    """The canonical JSON that stands in the journal: null of an event on which the fold raised."""
    if failed:
        return NOT_FOLDED
    return canonical(actions).decode() if actions else "[]"

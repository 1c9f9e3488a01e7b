"""One turn of the loop: the events that it records, and operators' requests among them."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

import trio

from ...journal import chain
from ...journal.events import Event
from ..control.pauses import NOT_RECORDED, paused_advice
from ..control.server import Refused
from ..core.actions import Action
from ..core.deploys import Deploys
from ..core.draft import Draft
from ..core.fleet import Fleet
from .event_log import Line

# The events of an input, given the fleet as it is now. After a None, the events that follow may
# wait while other inputs have their share (see ``input_queue``). The fleet may have moved on
# by then.
Input = Callable[[Fleet], Iterable[Draft | None]]
Tell = Callable[[Input], Awaitable[None]]
"""Hands over an input; returns when its events are durable."""


class Folded(NamedTuple):
    """One event: its row, the actions that it orders, and its lines in the log."""

    event: Event
    row: chain.Columns
    actions: list[Action]
    lines: list[Line]


class Turn:
    """The events of one transaction. ``requests``: it has nothing but operators' requests.

    Such a turn may be given up. ``deploys`` are then those from before it, and ``asked`` are its
    requests.
    """

    def __init__(self, deploys: Deploys, asked: Sequence[Input], *, requests: bool) -> None:
        self.requests = requests
        self.asked = asked
        self.deploys = deploys.copied() if requests else deploys
        self.folded: list[Folded] = []
        self.waited = False  # for a journal that could not be written

    @property
    def rows(self) -> list[chain.Columns]:
        """The rows that the journal is to append."""
        return [each.row for each in self.folded]

    @property
    def ends(self) -> bool:
        """Whether it is a daemon's last, after which all vassals are stopped."""
        return bool(self.folded) and self.folded[-1].event.kind == "daemon_stopped"

    @property
    def ordered(self) -> list[tuple[Action, int]]:
        """The actions that are to be carried out, each with the time of its event."""
        return [(action, each.event.at) for each in self.folded for action in each.actions]


class Asked:
    """An operator's request as an input, an event for each vassal. Refused, it has no meaning."""

    def __init__(self, *drafts: Draft) -> None:
        self._drafts = drafts
        self.scope = trio.CancelScope()
        self.refused: str | None = None
        self.durable = False

    def __call__(self, fleet: Fleet) -> Iterable[Draft]:
        return () if self.refused is not None else self._drafts


class Requests:
    """The requests that are not durable yet. Each is recorded or refused, never both."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._open: dict[Asked, None] = {}  # in order

    async def record(self, *drafts: Draft) -> None:
        """Return when a request is durable. Raises Refused while the journal cannot be written."""
        asked = Asked(*drafts)
        self._open[asked] = None
        try:
            with asked.scope:
                await self._tell(asked)
        finally:
            del self._open[asked]
        if asked.refused is not None:
            raise Refused(NOT_RECORDED + asked.refused + paused_advice(asked.refused))

    def refuse(self, reason: str, but: Sequence[Input] = ()) -> None:
        """Refuse all but these: the journal cannot be written."""
        for asked in self._open:
            if not asked.durable and asked not in but:
                asked.refused = reason
                asked.scope.cancel()

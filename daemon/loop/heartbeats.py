"""Heartbeats: a vassal that has sent one and then falls silent is told as lost.

Only vassals that have sent one are looked at, and only when the first of them may be lost. So a
fleet without heartbeats costs nothing.
"""

from collections.abc import Iterable
from typing import Final

import trio

from ...journal.events import Event, HeartbeatLost
from ..core import attempts
from ..core.draft import Draft
from ..core.fleet import Fleet, Vassal
from ..core.fold import is_ignored
from . import ports
from .turn import Input, Tell

_PAUSE: Final = 0.05  # seconds between looks, at least
_LOOK: Final = 1.0  # seconds until a vassal is looked at again that is stopping, or cannot be heard


class Heartbeats:
    """Knows the vassals that have sent heartbeats, and tells of those that fall silent."""

    def __init__(self, fleet: Fleet, host: ports.Host, tell: Tell) -> None:
        self._fleet = fleet
        self._host = host
        self._tell = tell
        self._beating: set[str] = set()
        self._begun = trio.Event()

    def note(self, event: Event) -> None:
        """An event is recorded: it may be a vassal's first heartbeat."""
        if event.kind == "heartbeat_started" and event.vassal is not None:
            self._beating.add(event.vassal)
            self._begun.set()

    async def watch(self) -> None:
        """Tell of vassals that are silent for longer than the policy allows, until cancelled."""
        self._beating |= {each.name for each in self._fleet.vassals.values() if _has_begun(each)}
        while True:
            self._begun = trio.Event()
            rest, silent = self._look(self._fleet.policy.required_heartbeat)
            if silent:
                await self._tell(_silence(silent, self._fleet.policy.required_heartbeat))
            if rest is None:
                await self._begun.wait()
            else:
                with trio.move_on_after(rest):
                    await self._begun.wait()
            await trio.sleep(_PAUSE)

    def _look(self, required: float) -> tuple[float | None, list[tuple[str, int | None]]]:
        """Seconds until the next look, None where no vassal beats; and those that are silent."""
        rests: list[float] = []
        silent: list[tuple[str, int | None]] = []
        for name in list(self._beating):
            each = self._fleet.vassals.get(name)
            if each is None or not _has_begun(each):
                self._beating.discard(name)  # its next process begins anew
                continue
            rest = _LOOK
            for vassal in attempts.up(each):
                # A vassal that was adopted without its socket cannot be heard.
                if not vassal.heartbeat or not vassal.control:
                    continue
                if is_ignored("heartbeat_lost", vassal.phase):
                    continue
                left = required - self._host.silent_for(name, vassal.attempt)
                if left < 0:
                    silent.append((name, vassal.attempt))
                else:
                    rests.append(left)
                    rest = 0
            if rest:
                rests.append(rest)
        return min(rests, default=None), silent


def _has_begun(vassal: Vassal) -> bool:
    """Whether one of its attempts has sent heartbeats."""
    return any(each.heartbeat for each in attempts.up(vassal))


def _silence(silent: list[tuple[str, int | None]], required: float) -> Input:
    def meaning(fleet: Fleet) -> Iterable[Draft]:
        for name, attempt in silent:
            assert attempt is not None
            body = HeartbeatLost(attempt=attempt, silent=required)
            yield Draft("heartbeat_lost", body, None, name)

    return meaning

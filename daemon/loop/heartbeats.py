"""Heartbeats: a vassal that has sent one and then falls silent is told as lost."""

from collections.abc import Iterable
from typing import Final

import trio

from ...journal.events import HeartbeatLost
from ..core import attempts
from ..core.draft import Draft
from ..core.fleet import Fleet
from ..core.fold import is_ignored
from . import ports
from .turn import Input, Tell

_LOOK: Final = 1.0  # seconds between looks


async def watch(fleet: Fleet, host: ports.Host, tell: Tell) -> None:
    """Tell of vassals that are silent for longer than the policy allows, until cancelled."""
    while True:
        await trio.sleep(_LOOK)
        required = fleet.policy.required_heartbeat
        silent = [
            (vassal.name, vassal.attempt)
            for each in fleet.vassals.values()
            for vassal in attempts.up(each)
            # A vassal that was adopted without its socket cannot be heard.
            if vassal.heartbeat
            and vassal.control
            and not is_ignored("heartbeat_lost", vassal.phase)
            and host.silent_for(vassal.name, vassal.attempt) > required
        ]
        if silent:
            await tell(_silence(silent, required))


def _silence(silent: list[tuple[str, int | None]], required: float) -> Input:
    def meaning(fleet: Fleet) -> Iterable[Draft]:
        for name, attempt in silent:
            assert attempt is not None
            body = HeartbeatLost(attempt=attempt, silent=required)
            yield Draft("heartbeat_lost", body, None, name)

    return meaning

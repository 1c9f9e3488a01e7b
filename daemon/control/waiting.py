"""Clients that wait until a vassal has come to what an operator asked for.

Whether it has is seen from the fleet as it stands, not from what happened meanwhile. So a client
may ask again, of another daemon too: the one before was killed, or replaced.
"""

import math
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, Protocol

import trio

from ..core.actions import Action
from ..core.fleet import Fleet, Vassal

Goal = Literal["start", "stop", "restart", "reload", "retry"]
_UP: Final = ("ready", "accepting", "listening")
# A program cannot say that it is up. It counts as started when it has run for so long, as it does
# for supervisord (startsecs): one that is misconfigured has ended by then.
_SETTLED: Final = 1_000_000_000  # nanoseconds


class Verdict(NamedTuple):
    """The answer to a client. ``failure`` is None where the vassal has come to the goal."""

    phase: str
    failure: str | None = None


class Daemon(Protocol):
    """The daemon as far as clients wait for it."""

    @property
    def fleet(self) -> Fleet: ...

    @property
    def paused(self) -> str | None: ...

    def now(self) -> int: ...


def verdict(fleet: Fleet, name: str, goal: Goal, now: int) -> Verdict | None:
    """Whether a vassal has come to what was asked; None while it is on its way."""
    vassal = fleet.vassals.get(name)
    if vassal is None:
        gone = "its source has it no longer"
        return Verdict("forgotten", None if goal == "stop" else f"{name} is forgotten: {gone}")
    phase, reason = vassal.phase, vassal.reason
    if goal == "stop":
        return _stopped(vassal)
    if phase in _UP and not vassal.due:
        if _unsettled(vassal, now):
            return None
        # The fold gives a reason to one that it takes for ready because its patience is over.
        unsure = phase == "ready" and reason is not None
        return Verdict(phase, f"{name}: {reason}" if unsure else None)
    if phase == "throttled" and not vassal.deaths:
        return None  # it only keeps a distance from its last start
    if phase in ("barred", "throttled", "held"):
        return Verdict(phase, f"{name} is {phase}" + (f": {reason}" if reason else ""))
    if vassal.held:
        return Verdict(phase, f"{name} is {phase}: an operator stopped it meanwhile")
    if fleet.leaving:
        return Verdict(phase, f"{name} is {phase}: the daemon stops")
    return None


def _unsettled(vassal: Vassal, now: int) -> int:
    """Nanoseconds until a program has run long enough."""
    if vassal.speaks or vassal.phase != "ready" or vassal.launched is None:
        return 0
    return max(0, vassal.launched + _SETTLED - now)


def _stopped(vassal: Vassal) -> Verdict | None:
    if vassal.phase == "held":
        return Verdict("held")
    if not vassal.held:
        started = "an operator started it meanwhile"
        return Verdict(vassal.phase, f"{vassal.name} is {vassal.phase}: {started}")
    return None


class Waiting:
    """Clients by the vassal that they wait for. They cost nothing while other vassals change."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._waiting: dict[str, set[trio.Event]] = {}

    def look(self, vassal: str | None, actions: Iterable[Action] = ()) -> None:
        """Something about these vassals is recorded: the event's own, those of its orders."""
        if not self._waiting:
            return
        names = list(self._waiting) if vassal is None else [vassal]
        for name in (*names, *(action.vassal for action in actions)):
            for changed in self._waiting.get(name, ()):
                changed.set()

    async def until(self, name: str, goal: Goal, patience: float) -> Verdict:
        """The outcome of a request, after so many seconds at the most."""
        with trio.move_on_after(patience):
            return await self._until(name, goal)
        vassal = self._daemon.fleet.vassals.get(name)
        phase = "forgotten" if vassal is None else vassal.phase
        reason = f" ({vassal.reason})" if vassal is not None and vassal.reason else ""
        return Verdict(phase, f"{name} is still {phase} after {patience:.3g} s{reason}")

    async def _until(self, name: str, goal: Goal) -> Verdict:
        while True:
            fleet, paused = self._daemon.fleet, self._daemon.paused
            now = self._daemon.now()
            known = verdict(fleet, name, goal, now)
            if known is not None:
                return known
            vassal = fleet.vassals[name]
            if paused is not None:
                phase = vassal.phase
                return Verdict(phase, f"{name} is {phase}, and goes no further: {paused}")
            changed = trio.Event()
            waiting = self._waiting.setdefault(name, set())
            waiting.add(changed)
            try:
                with trio.move_on_after(_unsettled(vassal, now) / 1e9 or math.inf):
                    await changed.wait()
            finally:
                waiting.discard(changed)
                if not waiting and self._waiting.get(name) is waiting:
                    del self._waiting[name]

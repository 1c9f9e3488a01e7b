"""Clients that wait until vassals have come to what an operator asked for, or to a state.

Whether they have is seen from the fleet as it stands, not from what happened meanwhile. So a client
may ask again, of another daemon too: the one before was killed, or replaced.

The goals ``start``, ``stop``, ``restart``, ``reload``, ``retry`` and ``rollback`` are those of a
request that is recorded. ``up``, ``accepting``, ``gone`` and ``held`` are states that a client
waits for without a request. A vassal that is not known yet may still come to those.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Literal, NamedTuple, Protocol

import trio

from ..core.actions import Action
from ..core.fleet import Fleet, Hold, Vassal
from ..core.reloads import tells
from ..core.replacement import NOT_REPLACED
from ..core.troubles import reload_hangs
from .pauses import paused_advice

Goal = Literal[
    "start", "stop", "restart", "reload", "retry", "rollback", "up", "accepting", "gone", "held"
]
STATES: Final = ("up", "accepting", "gone", "held")
MOST: Final = 200_000  # vassals that all clients together may wait for
_UP: Final = ("ready", "accepting", "listening")
_REPLACING: Final = ("reload", "retry", "rollback")  # goals that a replacement may be the way to
_NOT_BACK: Final = "its rollback was cancelled meanwhile, or its source changed it"
# A program cannot say that it is up. It counts as started when it has run for so long, as it does
# for supervisord (startsecs): one that is misconfigured has ended by then.
_SETTLED: Final = 1_000_000_000  # nanoseconds


class Verdict(NamedTuple):
    """The answer to a client. ``failure`` is None where the vassal has come to the goal.

    ``overtaken`` says that another request keeps it from the goal, so its log does not say why.
    """

    phase: str
    failure: str | None = None
    overtaken: bool = False


VerdictSink = Callable[[list[tuple[str, Verdict]]], Awaitable[None]]


class Daemon(Protocol):
    """The daemon as far as clients wait for it."""

    @property
    def fleet(self) -> Fleet: ...

    @property
    def paused(self) -> str | None: ...

    def now(self) -> int: ...

    def is_cheap(self, vassal: Vassal) -> bool: ...


def verdict(
    fleet: Fleet, name: str, goal: Goal, now: int, is_cheap: Callable[[Vassal], bool]
) -> Verdict | None:
    """Whether a vassal has come to what was asked; None while it is on its way."""
    vassal = fleet.vassals.get(name)
    if vassal is None:
        return _unknown(name, goal)
    if goal == "stop":
        return _stopped(vassal)
    if goal in ("gone", "held"):
        return Verdict("held") if goal == vassal.phase else None
    if goal in STATES:
        return _state(fleet, vassal, goal, now, is_cheap)
    phase, reason = vassal.phase, vassal.reason
    if goal == "rollback" and not _goes_back(vassal):
        return _is(vassal, _NOT_BACK, overtaken=True)
    if vassal.check is not None:
        return _ended(fleet, vassal)  # its preflight runs
    if vassal.candidate is not None and vassal.candidate.is_tried and goal in _REPLACING:
        return _ended(fleet, vassal)
    if goal == "retry" and vassal.refused is not None:
        what = "rolled back" if vassal.refused.rolled_back else "refused"
        return Verdict(phase, f"{name} is {phase}, its change was {what}: {vassal.refused.reason}")
    if phase in _UP and not vassal.due:
        if vassal.opening is not None or _unsettled(vassal, now):
            return None
        # The fold gives a reason to one that it takes for ready because its patience is over.
        unsure = phase == "ready" and reason is not None
        unsure |= vassal.unopened is not None and goal in ("restart", "reload")
        unsure |= goal in _REPLACING and (reason or "").startswith(NOT_REPLACED)
        return Verdict(phase, f"{name}: {reason}" if unsure else None)
    if phase == "throttled" and not vassal.deaths:
        return None  # it only keeps a distance from its last start
    if phase in ("barred", "throttled"):
        return _is(vassal, reason)
    return _ended(fleet, vassal)


def _goes_back(vassal: Vassal) -> bool:
    """Whether a former config is its target. One that failed beside the old instance was tried."""
    if vassal.refused is not None and vassal.refused.rolled_back:
        return True
    return (vassal.reason or "").startswith(NOT_REPLACED)


def _unknown(name: str, goal: Goal) -> Verdict | None:
    if goal in ("stop", "gone"):
        return Verdict("forgotten")
    if goal in STATES:
        return None  # its source may be about to name it
    return Verdict("forgotten", f"{name} is forgotten: its source has it no longer")


def _state(
    fleet: Fleet, vassal: Vassal, goal: Goal, now: int, is_cheap: Callable[[Vassal], bool]
) -> Verdict | None:
    """Whether it is up, or accepts. A throttled one will try again, so it is waited for.

    So is one whose reload hangs, as one whose start does.
    """
    phase = vassal.phase
    if reload_hangs(vassal, is_cheap):
        return _ended(fleet, vassal)
    if phase == "accepting" or (phase == "ready" and goal == "up"):
        return None if _unsettled(vassal, now) else Verdict(phase)
    if phase == "ready" and not tells(vassal):
        return Verdict(phase, f"{vassal.name} is ready, and cannot say that it accepts")
    if phase == "barred":
        return _is(vassal, vassal.reason)
    return _ended(fleet, vassal)


def _is(vassal: Vassal, reason: str | None, overtaken: bool = False) -> Verdict:
    text = f"{vassal.name} is {vassal.phase}"
    return Verdict(vassal.phase, f"{text}: {reason}" if reason else text, overtaken)


def _ended(fleet: Fleet, vassal: Vassal) -> Verdict | None:
    """Whether a vassal that has a process, or waits for one, will not come up."""
    if vassal.held:
        return _is(vassal, _stopped_by(vassal.hold), overtaken=True)
    return _is(vassal, "the daemon stops", overtaken=True) if fleet.leaving else None


def _stopped_by(hold: Hold | None) -> str:
    """The request that holds a vassal; journals of 0.1.0 do not tell it."""
    by = "an operator stopped it"
    if hold is not None:
        user = hold.uid if hold.loginuid is None else hold.loginuid
        by = f"{'an operator' if user is None else f'uid {user}'} stopped it (event {hold.seq})"
    return f"{by}; 'emperor-ctl start' starts it"


def _unsettled(vassal: Vassal, now: int) -> int:
    """Nanoseconds until a program has run long enough."""
    if vassal.speaks or vassal.phase != "ready" or vassal.launched is None:
        return 0
    return max(0, vassal.launched + _SETTLED - now)


def _stopped(vassal: Vassal) -> Verdict | None:
    if vassal.phase == "held":
        if vassal.opening is not None:
            return None  # its addresses are opened, as it is to listen on
        failure = None if vassal.unopened is None else f"{vassal.name} is held: {vassal.unopened}"
        return Verdict("held", failure)
    return None if vassal.held else _is(vassal, "an operator started it meanwhile", True)


class _Watch:
    """The vassals that one client waits for, and those of them to look at."""

    def __init__(self, names: Iterable[str]) -> None:
        self.left = dict.fromkeys(names)
        self.changed = dict(self.left)
        self.settling: dict[str, float] = {}  # when to look again, by trio's time
        self.news = trio.Event()

    def note(self, name: str) -> None:
        self.changed[name] = None
        self.news.set()

    def take(self) -> list[str]:
        """The vassals to look at now."""
        now = trio.current_time()
        self.changed.update((name, None) for name, at in self.settling.items() if at <= now)
        changed, self.changed, self.news = self.changed, {}, trio.Event()
        return [name for name in changed if name in self.left]


class Waiting:
    """Clients by the vassals that they wait for. They cost nothing while other vassals change."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._waiting: dict[str, dict[_Watch, None]] = {}
        self._watched = 0

    def look(self, vassal: str | None, actions: Iterable[Action] = ()) -> None:
        """Something about these vassals is recorded: the event's own, those of its orders."""
        if not self._waiting:
            return
        names = list(self._waiting) if vassal is None else [vassal]
        for name in (*names, *(action.vassal for action in actions)):
            for watch in self._waiting.get(name, ()):
                watch.note(name)

    def has_room(self, count: int) -> bool:
        """Whether clients may wait for so many more vassals."""
        return self._watched + count <= MOST

    async def until(self, name: str, goal: Goal, patience: float) -> Verdict:
        """The outcome of a request, after so many seconds at the most."""
        found: list[tuple[str, Verdict]] = []

        async def tell(told: list[tuple[str, Verdict]]) -> None:
            found.extend(told)

        await self.each([name], goal, patience, tell)
        return found[0][1]

    async def each(
        self, names: Sequence[str], goal: Goal, patience: float, tell: VerdictSink
    ) -> None:
        """Tell the outcome for each vassal when it is known; all within so many seconds."""
        watch = _Watch(names)
        until = trio.current_time() + patience
        self._watched += len(watch.left)
        for name in watch.left:
            self._waiting.setdefault(name, {})[watch] = None
        try:
            while watch.left:
                if told := self._known(watch, goal):
                    await tell(told)
                elif trio.current_time() >= until:
                    await tell([(name, self._late(name, patience)) for name in watch.left])
                    return
                else:
                    with trio.move_on_at(min((until, *watch.settling.values()))):
                        await watch.news.wait()
        finally:
            self._watched -= len(watch.left)
            for name in watch.left:
                self._forget(name, watch)

    def _known(self, watch: _Watch, goal: Goal) -> list[tuple[str, Verdict]]:
        """The outcomes that are known."""
        told = []
        fleet, paused, now = self._daemon.fleet, self._daemon.paused, self._daemon.now()
        advice = "" if paused is None else paused_advice(paused)
        for name in watch.take():
            watch.settling.pop(name, None)
            known = verdict(fleet, name, goal, now, self._daemon.is_cheap)
            vassal = fleet.vassals.get(name)
            if known is None and paused is not None:
                phase = "forgotten" if vassal is None else vassal.phase
                known = Verdict(phase, f"{name} is {phase}, and goes no further: {paused}{advice}")
            if known is not None:
                told.append((name, known))
                del watch.left[name]
                self._watched -= 1
                self._forget(name, watch)
            elif vassal is not None and (unsettled := _unsettled(vassal, now)):
                watch.settling[name] = trio.current_time() + unsettled / 1e9
        return told

    def _forget(self, name: str, watch: _Watch) -> None:
        waiting = self._waiting[name]
        del waiting[watch]
        if not waiting:
            del self._waiting[name]

    def _late(self, name: str, patience: float) -> Verdict:
        vassal = self._daemon.fleet.vassals.get(name)
        if vassal is None:
            return Verdict("forgotten", f"there is no vassal {name}, after {patience:.3g} s")
        reason = f" ({vassal.reason})" if vassal.reason else ""
        text = f"{name} is still {vassal.phase} after {patience:.3g} s{reason}"
        if vassal.phase == "listening":
            text += "; its first connection starts it"
        return Verdict(vassal.phase, text)

"""Checks the health of vassals that are up, and reports when it is lost and when it is back.

One task looks which checks are due, at most four times a second, and starts each in a task of its
own. It sleeps until the next one is due, or a process is added or gets another config. The first
check of a process comes at a random moment within its interval, so that thousands of checks
are spread over it. A check that takes longer than its interval delays the next one of that vassal,
and no other. A user has a number of checks at once. Those that are above it wait, and count as
nothing meanwhile.

A process is checked from the moment when it is up. While it reloads it may not answer, so it is not
checked until it accepts again. The fold decides what follows.
"""

import contextlib
import math
import random
from collections.abc import Callable
from typing import Final

import trio

from ...journal.events import Body
from ...journal.service_events import HealthLost, HealthRegained
from ...monitors import health
from ...monitors.health import Plan
from ..core.draft import Draft
from .accounts import NotAnswered
from .context import HostContext
from .process import Process
from .readiness import answers

_TICK: Final = 0.25  # seconds between looks, at least
_SHARE: Final = 32  # checks of one user at once
_ALL: Final = 256  # checks at once where vassals have no users of their own


_SOON: Final = 1.0  # seconds at most from one check of a candidate to the next


class _Checked:
    """The checks of one process, as far as they came."""

    def __init__(self, due: float, *, lost: bool) -> None:
        self.due = due  # trio's time of its next check
        self.runs = False  # a check is under way
        self.failures = 0  # in a row, since it was told of last
        self.lost = lost  # it was told
        self.told = -math.inf  # trio's time of that


class Health:
    """Checks vassals -> ``health_lost``, ``health_regained``.

    ``is_over`` tells whether a vassal is above its budget of records. Its health is then recorded
    once in ``--max-throttle`` at most, where nothing but the record follows from it. ``is_tried``
    tells whether an attempt is a candidate, of which one check that fails is enough.
    """

    def __init__(
        self,
        context: HostContext,
        is_over: Callable[[str], bool],
        is_tried: Callable[[str, int], bool] = lambda *_: False,
    ) -> None:
        self._is_over, self._is_tried = is_over, is_tried
        self._policy = context.policy
        self._processes = context.processes
        self._tasks = context.tasks
        self._outbox = context.outbox
        self._commands = context.exec_checks
        self._lookups = context.lookups
        self._known: dict[Process, _Checked] = {}
        self._shares: dict[int | None, trio.Semaphore] = {}

    async def run(self) -> None:
        """Check what is due, until cancelled."""
        while True:
            self._look(trio.current_time())
            await trio.sleep(_TICK)
            with trio.move_on_at(self._next()):
                await self._processes.wait_change()

    def _next(self) -> float:
        """Trio's time of the next check."""
        return min((checked.due for checked in self._known.values()), default=math.inf)

    def _look(self, now: float) -> None:
        """Start what is due. A process without a check costs one look, when it is new."""
        changed = self._processes.take_changed()
        known: dict[Process, _Checked] = {}
        for process in filter(self._processes.holds, changed.union(self._known)):
            with self._tasks.confined(process.name, "health"):
                plan = health.plan(process.spec.settings)
                if plan is not None:
                    known[process] = self._look_at(process, plan, now)
        self._known = known

    def _look_at(self, process: Process, plan: Plan, now: float) -> _Checked:
        """Check a process if it is time."""
        checked = self._known.get(process)
        interval = plan.interval
        if self._is_tried(process.name, process.attempt):
            interval = min(interval, _SOON)
        if checked is None:
            first = now + random.random() * interval
            checked = _Checked(first, lost=process.was_sick)
        checked.due = min(checked.due, now + interval)  # a reload may have shortened it
        if now >= checked.due and not checked.runs:
            checked.due = max(checked.due + interval, now)
            if _is_up(process) and not self._has_candidate(process):
                checked.runs = True
                self._tasks.nursery.start_soon(self._check, process, checked, plan)
            else:
                checked.failures = 0
        return checked

    def _has_candidate(self, process: Process) -> bool:
        """Whether a candidate may answer in its place, as both accept from the same sockets."""
        others = self._processes.others(process)
        return any(self._is_tried(each.name, each.attempt) for each in others)

    async def _check(self, process: Process, checked: _Checked, plan: Plan) -> None:
        with self._tasks.confined(process.name, "health"):
            try:
                reloads = process.reloads
                async with self._share(process.uid):
                    passed = await self._passes(process, plan)
                if passed is None:
                    return
                if (
                    _is_up(process)
                    and process.reloads == reloads
                    and self._processes.holds(process)
                    and not self._has_candidate(process)
                ):
                    self._note(process, checked, plan, passed=passed)
            finally:
                checked.runs = False

    def _share(self, uid: int | None) -> trio.Semaphore:
        if uid not in self._shares:
            self._shares[uid] = trio.Semaphore(_ALL if uid is None else _SHARE)
        return self._shares[uid]

    async def _passes(self, process: Process, plan: Plan) -> bool | None:
        """Whether it passes; None where the user database does not tell as whom to check."""
        if plan.condition.command:
            with contextlib.suppress(NotAnswered):
                return await self._commands.passes(process, plan.condition.command, plan.timeout)
            return None
        limiter = self._lookups.of(process.uid)
        return await answers(plan.condition, self._policy, limiter, plan.timeout)

    def _note(self, process: Process, checked: _Checked, plan: Plan, *, passed: bool) -> None:
        most = 1 if self._is_tried(process.name, process.attempt) else plan.failures
        checked.failures = 0 if passed else checked.failures + 1
        if checked.lost and passed:
            body: Body = HealthRegained(attempt=process.attempt)
            self._tell("health_regained", process, checked, body)
        elif not checked.lost and checked.failures >= most:
            body = HealthLost(attempt=process.attempt, failures=checked.failures)
            self._tell("health_lost", process, checked, body)

    def _tell(self, kind: str, process: Process, checked: _Checked, body: Body) -> None:
        """Report that it is another one, unless that has to wait for the check that follows."""
        now = trio.current_time()
        pause = self._policy().max_throttle / 1000
        if now < checked.told + pause and _is_record(process) and self._is_over(process.name):
            return
        checked.lost, checked.told = not checked.lost, now
        self._outbox.report(Draft(kind, body, None, process.name))


def _is_record(process: Process) -> bool:
    """Whether nothing but the record follows from its health."""
    settings = process.spec.settings
    return settings.get("health-action") == "record" or settings.get("restart") == "no"


def _is_up(process: Process) -> bool:
    """Whether it is to answer now."""
    if process.end_ordered or process.reload_pending:
        return False
    by_itself = process.speaks or process.spec.settings.get("ready", "spawn") != "spawn"
    return process.is_up or not by_itself

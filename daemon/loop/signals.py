"""Signals: each one that the daemon takes, its effect, and its line in the log."""

import logging
import signal
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Final, Protocol

import trio

from ...journal.events import DaemonStopping, DeadlinePassed, OperatorRequested, Request
from ..control.requests import Replaceable, check_upgrade
from ..control.server import Refused
from ..core.draft import Draft
from ..core.fleet import Fleet
from . import ports
from .systemd import Notifier
from .turn import Tell

log = logging.getLogger("emperor")

HANDLED: Final = (
    signal.SIGTERM, signal.SIGINT, signal.SIGQUIT,
    signal.SIGHUP, signal.SIGUSR1, signal.SIGURG, signal.SIGUSR2,
)  # fmt: skip
# A signal that is recorded as a request about all vassals: the request, and what the log says.
_REQUESTS: Final[dict[int, tuple[Request, str]]] = {
    signal.SIGHUP: ("reload", "reloading all vassals"),
    signal.SIGURG: ("retry", "trying throttled and barred vassals again now"),
}
_ONE_REQUEST: Final = 1.0  # seconds: timeout(1) asks a process, and then its group


class Abandoned(Exception):
    """The daemon was told twice to leave and cannot record it; the text is for its user."""


class Daemon(Replaceable, Protocol):
    """The daemon as far as signals depend on it."""

    @property
    def paused(self) -> str | None: ...

    def reopen_logs(self, asked_by: str) -> None: ...


class Signals:
    """Carries out signals. ``leaving``: one of them told the daemon to stop all vassals.

    ``unrecorded`` are the numbers of those that have no durable effect yet.
    """

    def __init__(
        self,
        daemon: Daemon,
        receive: ports.Signals,
        notifier: Notifier,
        tell: Tell,
        renew: Callable[[], Awaitable[None]],
    ) -> None:
        self._daemon = daemon
        self._receive = receive
        self._notifier = notifier
        self._tell = tell
        self._renew = renew
        self.leaving = False
        self.unrecorded: list[int] = []
        self._asked = 0.0  # trio's time of that

    async def run(
        self, nursery: trio.Nursery, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Take signals until cancelled. Their orders run in the nursery. Raises Abandoned."""
        with self._receive(*HANDLED) as received:
            task_status.started()
            async for number in received:
                # The orders run beside this loop, because the next signal may say to give up.
                for task in self._taken(number):
                    nursery.start_soon(task)

    def _taken(self, number: int) -> Iterable[Callable[[], Awaitable[None]]]:
        name = signal.Signals(number).name
        if number == signal.SIGUSR1:
            self._daemon.reopen_logs(name)
        elif number == signal.SIGUSR2:
            yield self._upgrade
        elif number in _REQUESTS:
            request, what = _REQUESTS[number]
            log.info("%s: %s", name, what)
            if self._daemon.paused is not None:
                log.warning("that cannot be recorded while paused, so it waits")
            body = OperatorRequested(request=request, via=name)
            yield partial(self._record, number, lambda _: [Draft("operator_requested", body)])
        else:
            yield partial(self._record, number, self._stop(name))

    async def _record(self, number: int, effect: Callable[[Fleet], Iterable[Draft]]) -> None:
        """Have the effect of a signal recorded."""
        self.unrecorded.append(number)
        await self._tell(effect)
        self.unrecorded.remove(number)

    async def _upgrade(self) -> None:
        """Be replaced in place, if there is a keeper that holds the vassals meanwhile."""
        log.info("SIGUSR2: replacing the daemon in place; vassals run on")
        try:
            await check_upgrade(self._daemon)
        except Refused as refused:
            log.error("SIGUSR2: not replaced: %s", refused)
            return
        body = OperatorRequested(request="upgrade", via="SIGUSR2")
        await self._tell(lambda _: [Draft("operator_requested", body)])
        await self._renew()

    def _stop(self, name: str) -> Callable[[Fleet], Iterable[Draft]]:
        """Stop all; asked a second time, wait for no vassal. Raises Abandoned."""
        paused = self._daemon.paused
        if self.leaving and trio.current_time() < self._asked + _ONE_REQUEST:
            log.info("%s: the same request", name)
            return lambda _: []
        if self.leaving and paused is not None:
            raise Abandoned(
                f"{name} again, left at once: {paused}; no vassal was told to stop: uWSGI ends"
                " by itself without an emperor, other programs run on; start emperor again on this"
                " journal to take them over"
            )
        if self.leaving:
            log.warning("%s again: killing what has not stopped yet", name)
            return _impatience
        log.info("%s: stopping all vassals", name)
        if paused is not None:
            log.warning("that cannot be recorded while paused, so it waits; asked again, leaves")
        self.leaving, self._asked = True, trio.current_time()
        self._notifier.tell("STOPPING=1")
        body = DaemonStopping(reason=name)
        return lambda _: [Draft("daemon_stopping", body)]


def _impatience(fleet: Fleet) -> Iterable[Draft]:
    for vassal in list(fleet.vassals.values()):
        if vassal.phase == "stopping" and vassal.deadline is not None:
            body = DeadlinePassed(deadline=vassal.deadline)
            yield Draft("deadline_passed", body, None, vassal.name)
        second = vassal.candidate
        if second is not None and not second.is_tried and second.deadline is not None:
            body = DeadlinePassed(deadline=second.deadline, attempt=second.attempt)
            yield Draft("deadline_passed", body, None, vassal.name)

"""Writes the head to the witness: at the start, now and then, and at a clean stop.

A witness may be slow, hang or be gone. So each line is written in a thread, one at a time, and the
loop waits for none of them. After a failure or a hang the next line has the head of then, because a
later head proves what an earlier one does. The daemon says once in its log that the witness has
trouble, and ``emperor-ctl status`` says it as long as that lasts.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

import msgspec
import trio

from ...journal.signatures import Sign
from ...journal.store import Head, Journal
from ...journal.witness import Why, line_of
from ..host.threads import refused
from .targets import Target

log = logging.getLogger("emperor")

_LOOK: Final = 1.0  # seconds between looks at the number of events
_SLOW: Final = 15.0  # seconds after which a line that is being written is a trouble
_RETRY: Final = 30.0  # seconds after a failure, or sooner where lines are due sooner
_FAREWELL: Final = 1.0  # seconds that a stop waits for its line


class Interval(msgspec.Struct, frozen=True):
    """When a line is due: after so many seconds, or so many events. None: not by that."""

    seconds: float | None = None
    events: int | None = None


class Writer:
    """Writes lines to a target: the heads of the journal that it follows."""

    def __init__(
        self,
        name: str,
        target: Target,
        interval: Interval,
        version: str,
        sign: Sign | None = None,
    ) -> None:
        self.name = name
        self.trouble: str | None = None
        self.since: int | None = None  # when the trouble began, UTC nanoseconds
        self._target = target
        self._interval = interval
        self._version = version
        self._sign = sign
        self._first: Why = "start"
        self._head: Head | None = None
        self._written = 0  # event of the last line
        self._began: float | None = None  # when the line that is being written was begun
        self._limiter = trio.CapacityLimiter(1)

    def follow(self, journal: Journal, *, adopted: bool) -> None:
        """Write the heads of this journal. ``adopted``: it is not the one from before."""
        self._first = "adopted" if adopted else "start"
        told = journal.when_durable

        def durable(head: Head) -> None:
            told(head)
            self._head = head

        journal.when_durable = durable

    async def run(self) -> None:
        """Write until cancelled."""
        why = self._first
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            while True:
                done = await self._write(why)
                why = "every" if done else why
                await self._wait(done)

    async def end(self) -> None:
        """Write the head of a clean stop, if that can be done at once."""
        done = False
        with trio.move_on_after(_FAREWELL):
            done = await self._write("stop")
        if not done:
            log.error("the witness %s did not get the last event: %s", self.name, self._reason())
            self._target.abandon()

    async def _wait(self, done: bool) -> None:
        """Return when the next line is due."""
        seconds = self._interval.seconds
        if not done:
            await trio.sleep(_RETRY if seconds is None else min(_RETRY, seconds))
        elif seconds is not None:
            await trio.sleep(seconds)
        # A line that failed is due, however few events came since.
        events = (self._interval.events or 1) if done else 1
        while True:
            if self._head is not None and self._head.seq - self._written >= events:
                return
            await trio.sleep(_LOOK)

    async def _watch(self) -> None:
        """Say when a line takes too long."""
        while True:
            await trio.sleep(_LOOK)
            if self._began is not None and trio.current_time() - self._began > _SLOW:
                self._complain(f"it takes no line for more than {_SLOW:g} s")

    async def _write(self, why: Why) -> bool:
        """Write the head of now; whether that is done."""
        head = self._head
        if head is None:
            return False
        job = _job(self._target, head, self._version, why, self._sign)
        self._began = self._began or trio.current_time()
        try:
            # One at a time: a thread that is abandoned keeps the limiter as long as it hangs.
            failure = await trio.to_thread.run_sync(
                job, limiter=self._limiter, abandon_on_cancel=True
            )
        except RuntimeError as error:
            if not refused(error):
                raise
            failure = "there can be no more threads"
        self._began = None
        if failure is not None:
            self._complain(failure)
            return False
        self._written = head.seq
        if self.trouble is not None:
            log.warning("the witness %s takes lines again", self.name)
            self.trouble = self.since = None
        return True

    def _complain(self, reason: str) -> None:
        if self.trouble is None:
            log.error("the witness %s does not take the journal's head: %s", self.name, reason)
            self.since = time.time_ns()
        self.trouble = reason

    def _reason(self) -> str:
        return self.trouble or f"it took more than {_FAREWELL:g} s"


def _job(
    target: Target, head: Head, version: str, why: Why, sign: Sign | None
) -> Callable[[], str | None]:
    def write() -> str | None:
        """Write one line; the reason where that failed."""
        line = line_of(head.identity, head.seq, head.hash, head.at, version, why, sign)
        try:
            target.write(line.encode())
        except OSError as error:
            return error.strerror or str(error)
        return None

    return write

"""Jumps of the wall clock: each is recorded, with what the kernel knows of the clock.

The wall clock is compared with the journal's every three seconds: each look wakes an idle machine.
A jump while the daemon runs changes no stamp, but the next daemon would take it. A wall clock that
is not taken (``Clock.held``) is confirmed in two cases. The kernel says that NTP or PTP disciplines
it (adjtimex(2)), or it is back within the largest step. It is taken in a moment in which no start,
reload or stop may time out, and no replacement or rollout is under way. Otherwise the deadlines of
all these would pass at once. Pauses before a start are not waited for: the vassal is tried again
sooner, once.

A wall clock that is behind the journal's is not taken, as no time goes back. As long as one of the
two is not believed, an operator is told (``JumpWatch.trouble``).
"""

import ctypes
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Final

import trio

from ...journal.events import ClockJumped, KernelClock
from ...journal.times import rfc3339
from ..core.draft import Draft
from ..core.fleet import Fleet
from ..core.fold import has_limit
from .clock import SLACK, Clock

_PERIOD: Final = 3.0  # seconds between looks
_UNSYNCHRONIZED: Final = 0x0040  # STA_UNSYNC, <sys/timex.h>
_AHEAD: Final = 60 * 10**9  # nanoseconds that times may be ahead of the clock

Tell = Callable[[Callable[[Fleet], Iterable[Draft]]], Awaitable[None]]


class _Timex(ctypes.Structure):
    """The beginning of struct timex, and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


def kernel_clock() -> KernelClock | None:
    """The state of the kernel's clock; None where the kernel does not tell."""
    timex = _Timex()  # no modes: nothing is set
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    return KernelClock(
        synchronized=not timex.status & _UNSYNCHRONIZED,
        status=timex.status,
        max_error=timex.maxerror,
    )


class JumpWatch:
    """Compares the wall clock with the journal's, and tells of jumps."""

    def __init__(
        self,
        clock: Clock,
        tell: Tell,
        wall: Callable[[], int] | None = None,
        kernel: Callable[[], KernelClock | None] = kernel_clock,
    ) -> None:
        self._clock = clock
        self._tell = tell
        self._wall = clock.wall if wall is None else wall
        self._kernel = kernel
        self._known = self._difference()
        self._since: int | None = None  # when the trouble was first seen

    def _difference(self) -> int:
        return self._wall() - self._clock.now()

    async def run(self, present: Callable[[], Fleet]) -> None:
        """Tell of the jump since the last daemon, if there was one; then look now and then."""
        if self._clock.jumped:
            await self._say(self._clock.jumped, taken=not self._clock.held)
        while True:
            self.trouble()
            await trio.sleep(_PERIOD)
            difference = self._difference()
            if self._clock.held and self._confirmed(difference) and _is_quiet(present()):
                self._clock.take(self._wall())
                self._known = self._difference()
                await self._say(difference, taken=True)
            elif abs(difference - self._known) > SLACK:
                by, self._known = difference - self._known, difference
                await self._say(by, taken=False)

    def trouble(self) -> tuple[int, str] | None:
        """Since when times and the wall clock are apart, and how; None where they are not."""
        reason = self._apart(self._difference())
        if reason is None:
            self._since = None
            return None
        if self._since is None:
            self._since = self._clock.now()
        return self._since, reason

    def _apart(self, difference: int) -> str | None:
        by = timedelta(seconds=abs(difference) // 10**9)
        if difference < -_AHEAD:
            return (
                f"times in the journal are {by} ahead of the clock, and never go back; a daemon"
                f" takes the clock's that starts when it is past {rfc3339(self._clock.now())}"
            )
        if self._clock.most is None or not (self._clock.held or difference > self._clock.most):
            return None
        if not self._confirmed(difference):
            return (
                f"the clock is {by} ahead of the journal and not confirmed (--max-clock-step);"
                " times do not follow it until it is synchronized or set back"
            )
        if self._clock.held:
            return (
                "the clock is confirmed, and taken when no vassal is starting, stopping or"
                " replaced, and no rollout is under way"
            )
        return None

    def _confirmed(self, difference: int) -> bool:
        assert self._clock.most is not None
        known = self._kernel()
        return difference <= self._clock.most or (known is not None and known.synchronized)

    async def _say(self, by: int, *, taken: bool) -> None:
        """``taken``: the clock was to be. It was not where the journal's time is ahead of it."""
        ahead = self._difference() < -SLACK
        taken = taken and not ahead
        body = ClockJumped(
            by=by,
            taken=taken,
            booted=self._clock.booted if taken else 0,
            on_from=self._clock.now() if ahead else 0,
            clock=self._kernel(),
        )
        await self._tell(lambda _: [Draft("clock_jumped", body)])


def _is_quiet(fleet: Fleet) -> bool:
    if any(each.is_under_way for each in fleet.rollouts.values()):
        return False
    return not any(map(has_limit, fleet.vassals.values()))

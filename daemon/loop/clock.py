"""The clock of the journal: UTC nanoseconds that only ever grow.

It reads the wall clock once, when the daemon starts, and counts CLOCK_BOOTTIME from there on. So a
wall clock that is set back while the daemon runs does not rewind the record, and time spent
suspended counts. Where the wall clock is behind the last event, time goes on from that event.

A wall clock that runs ahead is worse: later events cannot go back any more. Within one boot the
daemon before has recorded what CLOCK_BOOTTIME counts from, so each step of the wall clock since
then is known. After a boot only the last event is known, and the machine may have been off. With
``--max-clock-step`` the daemon does not take a wall clock that is further ahead until it is
confirmed (see ``jumps.py``). Until then it counts on from the last event.

A wall clock that is behind the last event is never taken. Time counts on from that event, so it
stays ahead until a daemon starts when the wall clock is past the last event.
"""

import time
from collections.abc import Callable
from typing import Final

SLACK: Final = 2 * 10**9  # nanoseconds that are no jump: a leap second, and the time of two reads
_LONG_OFF: Final = 365 * 24 * 3600 * 10**9  # a machine is not off for longer


def boot_time() -> int:
    """Nanoseconds since boot, suspended time included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Clock:
    """Gives each event its ``at``. ``elapsed`` counts nanoseconds from any fixed point.

    ``last_at`` is of the last event, 0 where there is none. ``booted`` is what the daemon before
    counted ``elapsed`` from, 0 where that is not known. ``most`` is the largest step that is taken.
    A ``wall`` clock that is given never jumps.
    """

    def __init__(
        self,
        last_at: int,
        wall: int | None = None,
        elapsed: Callable[[], int] = boot_time,
        *,
        booted: int = 0,
        most: int | None = None,
    ) -> None:
        self._elapsed = elapsed
        self._wall = None if wall is None else wall - elapsed()  # one that never jumps
        wall = self.wall()
        self._last = last_at
        expected = booted + elapsed() if booted else last_at
        ahead = wall - expected if last_at else 0
        self.most = most
        self.held = most is not None and ahead > most
        """Whether the wall clock is too far ahead to be taken, and was not confirmed."""
        jumped = abs(ahead) > SLACK if booted else not -SLACK <= ahead <= _LONG_OFF
        self.jumped = ahead if jumped or self.held else 0
        """How far the wall clock has jumped since the last daemon, in nanoseconds."""
        self._offset = max(expected if self.held else wall, last_at + 1) - elapsed()

    @property
    def booted(self) -> int:
        """The time from which ``elapsed`` counts: of the machine's boot."""
        return self._offset

    def wall(self) -> int:
        """The wall clock."""
        return time.time_ns() if self._wall is None else self._wall + self._elapsed()

    def take(self, wall: int) -> None:
        """Go on with a wall clock that was confirmed. No time goes back."""
        self._offset = max(self._offset, wall - self._elapsed())  # it may be behind
        self.held = False

    def now(self) -> int:
        """UTC nanoseconds, without claiming them for an event."""
        return max(self._elapsed() + self._offset, self._last)

    def stamp(self) -> int:
        """The ``at`` of the next event: strictly greater than any before."""
        self._last = max(self._elapsed() + self._offset, self._last + 1)
        return self._last

    def seconds_until(self, at: int) -> float:
        """How long to sleep before looking at the clock again: until then, or a little less."""
        # A few seconds at most: trio's clock stops while the machine is suspended.
        return min(max(at - self.now(), 0) / 1e9, 5.0)

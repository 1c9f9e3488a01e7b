"""The clock of the journal: UTC nanoseconds that only ever grow.

It reads the wall clock once, when the daemon starts, and counts CLOCK_BOOTTIME from there on:
a clock that is set back while the daemon runs does not rewind the record, and time spent
suspended counts. Where the wall clock is behind the last event, time goes on from that event.
"""

import time
from collections.abc import Callable


def boot_time() -> int:
    """Nanoseconds since boot, suspended time included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Clock:
    """Gives each event its ``at``. ``elapsed`` counts nanoseconds from any fixed point."""

    def __init__(
        self, last_at: int, wall: int | None = None, elapsed: Callable[[], int] = boot_time
    ) -> None:
        wall = time.time_ns() if wall is None else wall
        self._elapsed = elapsed
        self._last = last_at
        self._offset = max(wall, last_at + 1) - elapsed()

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

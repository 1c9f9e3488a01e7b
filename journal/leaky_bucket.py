"""A leaky bucket: a burst at once, and a rate for ever. Pure: the caller gives the time.

It lives in the lowest room because both sources and the daemon limit by it. Times are in seconds,
of a clock that never goes back.
"""

import math


class Bucket:
    """Holds up to ``burst``, and leaks ``rate`` a second. It may be filled beyond ``burst``."""

    __slots__ = ("_at", "_burst", "_level", "_rate")

    def __init__(self, burst: float, rate: float) -> None:
        self._burst = burst
        self._rate = rate
        self._level = 0.0
        self._at = 0.0

    def room(self, now: float) -> float:
        """How much may come now; negative if the bucket is filled beyond its size."""
        leaked = max(0.0, now - self._at) * self._rate
        self._level, self._at = max(0.0, self._level - leaked), now
        return self._burst - self._level

    def fill(self, amount: float, now: float) -> None:
        """Add an amount, whether there is room or not."""
        self.room(now)
        self._level += amount

    def wait(self, amount: float, now: float) -> float:
        """Seconds until so much may come. Without a leak, that is never."""
        lacking = amount - self.room(now)
        if lacking <= 0:
            return 0.0
        return lacking / self._rate if self._rate else math.inf

    def is_empty(self, now: float) -> bool:
        """Whether all has leaked: such a bucket is like a new one."""
        self.room(now)
        return self._level == 0

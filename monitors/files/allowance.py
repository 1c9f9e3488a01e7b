"""How much one file may change, so that nobody fills the disk of all with versions of one config.

Each version of a config is journaled, for good. Who may write to one file could otherwise have
megabytes a second written to a disk that is not theirs, until it is full and the daemon pauses
for everybody. So changes of a file fill a bucket that leaks: ``BURST`` at once, ``RATE`` for
ever. While it is full, the file's vassal stays as it is known; what the file says then is taken
when there is room again. Nobody who deploys gets there.
"""

import math
from typing import Final

BURST: Final = 8 << 20  # bytes
RATE: Final = 16 << 10  # bytes a second
EVENT: Final = 4 << 10  # bytes that a change takes besides the config's text

SPENT: Final = (
    f"it changes faster than it is worth recording, by more than {BURST >> 20} MiB; what it says"
    " is taken later"
)


class Allowance:
    """A leaky bucket for each name. Times are in seconds, of any clock that does not jump."""

    def __init__(self, burst: float = BURST, rate: float = RATE) -> None:
        self._burst = burst
        self._rate = rate
        self._levels: dict[str, tuple[float, float]] = {}  # name -> bytes, and when it was so

    def charge(self, name: str, size: int, now: float) -> None:
        """A change of this name is told, with a config of so many bytes."""
        self._levels[name] = (self._level(name, now) + EVENT + size, now)

    def is_spent(self, name: str, now: float) -> bool:
        """Whether its next change has to wait."""
        return self._level(name, now) > self._burst

    def room_at(self, name: str, now: float) -> float:
        """When its next change may be told."""
        over = self._level(name, now) - self._burst
        return now if over <= 0 else now + over / self._rate if self._rate else math.inf

    def spent(self, now: float) -> list[str]:
        """All for which that is so. Those whose bucket is empty are forgotten."""
        for name in [name for name in self._levels if not self._level(name, now)]:
            del self._levels[name]
        return [name for name in self._levels if self.is_spent(name, now)]

    def _level(self, name: str, now: float) -> float:
        level, since = self._levels.get(name, (0.0, now))
        return max(0.0, level - (now - since) * self._rate)

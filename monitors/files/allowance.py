"""How much one file may change, so that no tenant fills the disk with versions of one config.

The journal keeps each version of a config for good. Without a limit, a tenant with one writable
file could have megabytes a second written to a disk that belongs to others. When that disk is
full, the daemon pauses for all. So the changes of each file fill a leaky bucket: ``BURST`` at once,
``RATE`` for ever. While it is full, the vassal stays as it is known, and the file's new state is
taken when there is room again. Ordinary deployments stay far below.
"""

from typing import Final

from ...journal.leaky_bucket import Bucket

BURST: Final = 8 << 20  # bytes
RATE: Final = 16 << 10  # bytes a second
EVENT: Final = 4 << 10  # bytes that a change takes besides the config's text

SPENT: Final = (
    f"it changes faster than it is worth recording, by more than {BURST >> 20} MiB; what it says"
    " is taken later"
)


class Allowance:
    """A leaky bucket for each name. Times are in seconds, of a clock that never goes back."""

    def __init__(self, burst: float = BURST, rate: float = RATE) -> None:
        self._burst = burst
        self._rate = rate
        self._buckets: dict[str, Bucket] = {}

    def charge(self, name: str, size: int, now: float) -> None:
        """Count a change of this name that is told, with a config of ``size`` bytes."""
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(self._burst, self._rate)
        bucket.fill(EVENT + size, now)

    def is_spent(self, name: str, now: float) -> bool:
        """Whether its next change has to wait."""
        return self.room_at(name, now) > now

    def room_at(self, name: str, now: float) -> float:
        """The time from which its next change may be told."""
        bucket = self._buckets.get(name)
        return now if bucket is None else now + bucket.wait(0, now)

    def spent(self, now: float) -> list[str]:
        """All names whose next change has to wait. Empty buckets are forgotten."""
        for name in [name for name, bucket in self._buckets.items() if bucket.is_empty(now)]:
            del self._buckets[name]
        return [name for name in self._buckets if self.is_spent(name, now)]

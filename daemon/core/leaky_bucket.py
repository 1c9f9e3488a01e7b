"""A leaky bucket: so much at once, and so much a second for ever. Times are in seconds."""


class Bucket:
    """Holds up to ``burst``, and leaks ``rate`` a second."""

    def __init__(self, burst: float, rate: float) -> None:
        self._burst = burst
        self._rate = rate
        self._level = 0.0
        self._at = 0.0

    def room(self, now: float) -> float:
        """How much may come now."""
        leaked = max(0.0, now - self._at) * self._rate
        self._level, self._at = max(0.0, self._level - leaked), now
        return self._burst - self._level

    def fill(self, amount: float, now: float) -> None:
        """So much has come."""
        self.room(now)
        self._level += amount

    def wait(self, amount: float, now: float) -> float:
        """Seconds until so much may come."""
        return max(0.0, (amount - self.room(now)) / self._rate)

"""A limit for the bytes that the daemon reads of one vassal.

A vassal that speaks the emperor protocol sends a few bytes at its start, and one for each
heartbeat. One that flooded its socket took a third of a core. So each vassal has a leaky bucket of
``BURST`` bytes, which drains by ``RATE`` a second. When it is full, the daemon stops reading until
half of it is free. Meanwhile bytes wait in the socket, and then the vassal's write blocks. Nothing
is lost, and other vassals are not slowed down.

A request for the config (byte 2) has the daemon send up to 64 KiB. It counts for ``REQUEST`` bytes,
and ``OWED`` of them wait at most: more are counted and not answered.
"""

from typing import Final

from ...journal.leaky_bucket import Bucket

BURST: Final = 4096  # bytes
RATE: Final = 1024  # bytes a second
REQUEST: Final = 64
OWED: Final = 64  # config frames that wait to be sent


class ReadLimit:
    """The recent input of one process. Times are in seconds."""

    __slots__ = ("_bucket", "pauses", "unanswered")

    def __init__(self) -> None:
        self._bucket = Bucket(BURST, RATE)
        self.pauses = 0  # how often it was not read
        self.unanswered = 0  # requests for the config

    def room(self, now: float) -> int:
        """How many bytes may be read now."""
        return max(0, int(self._bucket.room(now)))

    def fill(self, count: int, now: float) -> None:
        """So many were read."""
        self._bucket.fill(count, now)

    def pause(self, now: float) -> float:
        """It is not read for so many seconds."""
        self.pauses += 1
        return self._bucket.wait(BURST / 2, now)

    def is_answered(self, owed: int, now: float) -> bool:
        """Whether a request for the config is answered while so many frames wait."""
        if owed >= OWED:
            self.unanswered += 1
            return False
        self._bucket.fill(REQUEST, now)
        return True

    def warning(self) -> str | None:
        """A text for the operator; None while the process keeps within its limit."""
        if not self.pauses and not self.unanswered:
            return None
        text = f"it sends more than {RATE} bytes a second to its emperor, and waits"
        if self.pauses:
            text += f"; reading was paused {_times(self.pauses)}"
        if self.unanswered:
            text += f"; requests for its config that are not answered: {self.unanswered}"
        return text


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"

"""Pauses between tries of something that fails, such as a connection."""

from typing import Final

LONGEST: Final = 30.0  # seconds between tries to connect to a source


class Backoff:
    """The first pause, then twice as long each time, up to the longest. Times are in seconds."""

    def __init__(self, first: float, longest: float = LONGEST) -> None:
        self._first = first
        self._longest = longest
        self._pause = 0.0

    def reset(self) -> None:
        """Begin anew, because a try succeeded."""
        self._pause = 0.0

    def ran(self, seconds: float) -> None:
        """Begin anew if the last try went on for longer than the longest pause."""
        if seconds > self._longest:
            self.reset()

    def pause(self) -> float:
        """The next pause."""
        self._pause = min(max(self._pause * 2, self._first), self._longest)
        return self._pause

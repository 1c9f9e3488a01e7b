"""Values that are dropped some seconds after they were put in.

Their keys may never be asked for again, as the names of vassals that are removed. So each use of
the table drops all entries whose time is over.
"""

from typing import Generic, TypeVar

import trio

K = TypeVar("K")
V = TypeVar("V")


class Expiring(Generic[K, V]):
    """Values by key, each for some ``seconds``. A value is taken out once."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # Each with its end, as ``trio.current_time()``; those that end first are first.
        self._entries: dict[K, tuple[float, V]] = {}

    def __len__(self) -> int:
        self._drop()
        return len(self._entries)

    def put(self, key: K, value: V) -> None:
        """Keep a value, in place of a former one of this key."""
        self._drop()
        self._entries.pop(key, None)
        self._entries[key] = trio.current_time() + self._seconds, value

    def take(self, key: K) -> V | None:
        """Take the value of a key out; None if there is none any more."""
        self._drop()
        _, value = self._entries.pop(key, (0.0, None))
        return value

    def _drop(self) -> None:
        """Drop those whose time is over."""
        now = trio.current_time()
        while self._entries:
            key, (end, _) = next(iter(self._entries.items()))
            if end > now:
                return
            del self._entries[key]

"""How much of a web server's answer is read, and how fast.

httpcore2 parses the result of one read in one turn of the event loop, and every other source waits
meanwhile. 512 bytes can be 85 chunks or 30 interim responses, some milliseconds of work. So a read
returns little, one answer at a time is parsed, and all parsers rest after each read.
"""

import time
from typing import Any, Final

import httpcore2
import trio

_READ: Final = 512  # bytes at a time
MOST_HEAD: Final = 32 << 10  # bytes, interim responses included
MOST: Final = 128 << 10  # bytes of one answer, with its head and framing
SHARE: Final = 4  # the parsers of all answers use at most 1 / SHARE of the loop's time
_AT_ONCE: Final = 0.005  # seconds that are owed before a parser waits; the kernel's timer has 0.001
_READING: Final = 0.0001  # seconds of processor time that a read takes itself, TLS included


class Pace:
    """Divides the loop's time between the parsers of answers, one after the other, and the rest."""

    def __init__(self) -> None:
        self._order = trio.Lock()
        self._paid = 0.0  # the time, by trio's clock, from which on nothing is owed

    async def turn(self) -> None:
        """Wait until the caller may parse. It tells ``spent`` before it waits for anything else."""
        async with self._order:
            await trio.sleep_until(self._paid - _AT_ONCE)

    def spent(self, seconds: float) -> None:
        """The caller used so much of the processor's time; the next turns come later for it."""
        self._paid = max(self._paid, trio.current_time()) + SHARE * seconds


class Answer:
    """The limits of one answer."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._left = MOST
        self._left_of_head: float = MOST_HEAD

    def limit(self, stream: Any) -> None:
        """Have httpcore2 read from this network stream within the limits."""
        read = stream.read
        returned: float | None = None

        async def limited(max_bytes: int, *rest: Any, **named: Any) -> bytes:
            nonlocal returned
            if returned is not None:  # httpcore2 waits for nothing else between two reads
                self._pace.spent(time.thread_time() - returned + _READING)
            data: bytes = await read(min(max_bytes, _READ), *rest, **named)
            self._count(len(data))
            await self._pace.turn()
            returned = time.thread_time()
            return data

        stream.read = limited

    def head_has_ended(self) -> None:
        """The bytes of later reads count as body."""
        self._left_of_head = float("inf")

    def _count(self, size: int) -> None:
        self._left -= size
        self._left_of_head -= size
        if self._left_of_head < 0:
            raise httpcore2.ReadError(f"it sends more than {MOST_HEAD >> 10} KiB before a config")
        if self._left < 0:
            raise httpcore2.ReadError(f"it sends more than {MOST >> 10} KiB")

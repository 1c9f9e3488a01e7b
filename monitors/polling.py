"""How sources that are asked go on: poll every ``freq`` seconds, sooner when they wake us.

A source is connected once and kept. If it refuses, hangs or answers nonsense, that is told as
``Failed``. The connection is given up, and the source is tried again with backoff. Connecting and
reading have a time limit each, so a server that accepts and stays silent holds up no other source.
A source whose readings may take long says that it has none, and watches by itself that each answer
comes in time.
"""

import os
import re
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

import trio

from .backoff import Backoff
from .contract import Failed, Listing, Tell, Touched

T = TypeVar("T")

LIMIT: Final = 10.0  # seconds for connecting, and for each reading
LONGEST: Final = 600.0  # seconds for a reading that has a limit for each answer
_PAUSE: Final = 0.005  # seconds; a burst of wakes is answered by one reading

_ERRNO: Final = re.compile(r"\[Errno (-?\d+)\] (Connect call failed \([^)]*\))?")


class SourceFailed(Exception):
    """The source cannot be read now; the text says why and holds no secrets."""


def in_words(text: str) -> str:
    """A library's message, with the system's text for an error number in it."""
    return _ERRNO.sub(lambda found: os.strerror(int(found[1])) if found[2] else "", text)


class Connection(Protocol):
    """A connection to a source that can be asked for all it has."""

    async def read(self) -> Listing | Failed | tuple[Touched, ...]:
        """All that the source has; Failed if it has nothing to read, but the connection is good.

        It is a part of what is new in the source, where all of that is too much to hold. The
        rest is read when the part was told. Raises SourceFailed.
        """
        ...

    async def wait(self) -> None:
        """Return when something may have changed; never, if the source cannot tell.

        Raises SourceFailed when the connection is lost. It runs only between readings.
        """
        ...

    async def close(self) -> None:
        """Let go of it; called once, and must not hang."""
        ...


async def poll(
    connect: Callable[[], Awaitable[Connection]],
    tell: Tell,
    freq: float,
    *,
    limit: float = LIMIT,
) -> None:
    """Watch a source until cancelled."""
    backoff = Backoff(min(freq, 1.0))
    while True:
        try:
            connection = await within(limit, connect(), "connecting to it")
            try:
                while True:
                    began = trio.current_time()
                    found = await within(limit, connection.read(), "reading it")
                    took = trio.current_time() - began
                    backoff.reset()
                    if isinstance(found, tuple):
                        await tell(*found)
                        continue
                    await tell(found)
                    with trio.move_on_after(freq):
                        await connection.wait()
                        # Pause as long as the last read took, so that constant notifications use at
                        # most half of our time.
                        await trio.sleep(max(_PAUSE, took))
            finally:
                with trio.move_on_after(limit) as scope:
                    scope.shield = True
                    await connection.close()
        except SourceFailed as failure:
            await tell(Failed(str(failure)))
        await trio.sleep(backoff.pause())


async def within(limit: float, awaitable: Awaitable[T], what: str) -> T:
    """The awaited result, if it is there within ``limit`` seconds. Raises SourceFailed."""
    with trio.move_on_after(limit):
        return await awaitable
    raise SourceFailed(f"{what} took longer than {limit:g} s")

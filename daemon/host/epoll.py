"""An epoll set that tries again where the kernel refuses to add a descriptor for now.

epoll_ctl(2) refuses for lack of memory, or of watches (/proc/sys/fs/epoll/max_user_watches). No
vassal is to blame for that, so none is barred for it. Events that came meanwhile are reported when
the descriptor is in the set.
"""

import logging
import select
from typing import Final

import trio

from ..keeper.refusals import PASSING

log = logging.getLogger("emperor.host")

_AGAIN: Final = 1.0  # seconds between tries
# Descriptors that are reported at once. A death has two: the pidfd, and the socket that it closed.
# With Python's 1,023, the deaths of a thousand that are stopped together took two commits.
_MOST: Final = 4096


class Epoll:
    """Descriptors that are waited for together."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._refused: dict[int, int] = {}  # descriptor -> what it is waited for
        self._any_refused = trio.Event()

    def register(self, fd: int, mask: int) -> None:
        try:
            self._epoll.register(fd, mask)
        except OSError as error:
            self._wait(fd, mask, error)

    def modify(self, fd: int, mask: int) -> None:
        if fd in self._refused:
            self._refused[fd] = mask
            return
        try:
            self._epoll.modify(fd, mask)
        except OSError as error:
            self.put_off(fd, mask, error)

    def unregister(self, fd: int) -> None:
        if self._refused.pop(fd, None) is None:
            self._epoll.unregister(fd)

    def poll(self) -> list[tuple[int, int]]:
        """The descriptors that are ready now, and for what."""
        return self._epoll.poll(0, _MOST)

    async def wait(self) -> None:
        """Return when something may be."""
        await trio.lowlevel.wait_readable(self._epoll.fileno())

    def close(self) -> None:
        self._epoll.close()

    async def retry(self) -> None:
        """Try those again that were refused, until cancelled."""
        while True:
            self._any_refused = trio.Event()
            if not self._refused:
                await self._any_refused.wait()
            await trio.sleep(_AGAIN)
            for fd in list(self._refused):
                # One after the other: an error about one loses no other.
                self.register(fd, self._refused.pop(fd))

    def put_off(self, fd: int, mask: int, error: OSError) -> None:
        """Wait for a descriptor no more for a while. Raises the error if it does not pass."""
        self._wait(fd, mask, error)
        self._epoll.unregister(fd)

    def _wait(self, fd: int, mask: int, error: OSError) -> None:
        if error.errno not in PASSING:
            raise error
        if not self._refused:
            log.error("not all vassals can be heard now: %s; trying again", error.strerror)
        self._refused[fd] = mask
        self._any_refused.set()

"""Tells when files of a directory were changed since it was asked, by one watch of inotify.

The kernel removes the watch with the first event (IN_ONESHOT). So a directory in which thousands of
files are written to costs one event for each look, and one in which none is costs nothing. Where
the watch cannot be had, a directory counts as changed.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Final, Self

import trio
from inotify_simple import flags  # type: ignore[import-untyped]

from ...monitors.held_inotify import HeldInotify
from . import threads

_MASK: Final = int(
    flags.MODIFY | flags.ATTRIB | flags.MOVED_FROM | flags.MOVED_TO | flags.CREATE | flags.DELETE
    | flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR | flags.ONESHOT
)  # fmt: skip


class DirectoryChanges:
    """The watch of one directory, which is set again for each wait."""

    def __init__(self, path: str) -> None:
        self._path = os.fsencode(path)
        self._held = HeldInotify()

    def arm(self) -> bool:
        """Watch for the next change; False where that cannot be done. It may run ldconfig."""
        with self._held as held:
            return not held.is_closed and self._armed()

    def _armed(self) -> bool:
        try:
            inotify = self._held.inotify or self._held.open()
            inotify.read(timeout=0)  # the events of watches before
            inotify.add_watch(self._path, _MASK)
        except (OSError, AttributeError):  # the C library may lack it
            return False
        return True

    async def wait(self) -> None:
        """Return when something has changed since ``arm``, which returned True."""
        assert self._held.inotify is not None
        await trio.lowlevel.wait_readable(self._held.inotify)

    async def serve(self, watch: Callable[[Self], Awaitable[None]], told: trio.CancelScope) -> None:
        """Run ``watch`` until cancelled; anew when ``told`` is cancelled, as ``arm`` fails then.

        So a daemon that leaves ends the watch while its vassals end, and looks without it.
        """
        try:
            with told:
                await watch(self)
            await self.close()
            await watch(self)
        finally:
            await self.close()

    async def close(self) -> None:
        """Watch no longer; also where the caller is cancelled.

        The kernel takes 8 to 16 ms to close the descriptor, and does nothing: it waits until no
        processor uses the watch. The waits of several descriptors overlap, each in its thread.
        """
        with trio.CancelScope(shield=True):
            await threads.run_sync(self._held.close, limiter=trio.CapacityLimiter(1))

"""Tells when files of a directory were changed since it was asked, by one watch of inotify.

The kernel removes the watch with the first event (IN_ONESHOT). So a directory in which thousands of
files are written to costs one event for each look, and one in which none is costs nothing. Where
the watch cannot be had, a directory counts as changed.
"""

import os
import threading
from typing import Final

import trio
from inotify_simple import INotify, flags  # type: ignore[import-untyped]

from . import threads

_MASK: Final = int(
    flags.MODIFY | flags.ATTRIB | flags.MOVED_FROM | flags.MOVED_TO | flags.CREATE | flags.DELETE
    | flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR | flags.ONESHOT
)  # fmt: skip


class DirectoryChanges:
    """The watch of one directory, which is set again for each wait."""

    def __init__(self, path: str) -> None:
        self._path = os.fsencode(path)
        self._inotify: INotify | None = None
        # A thread that hangs in ``arm`` may come back after the end. The descriptor is its own till
        # then: if it were closed, another file could get its number.
        self._lock = threading.Lock()
        self._closed = False

    def arm(self) -> bool:
        """Watch for the next change; False where that cannot be done. It may run ldconfig."""
        with self._lock:
            armed = not self._closed and self._armed()
        if self._closed:
            self._close()
        return armed

    def _armed(self) -> bool:
        try:
            if self._inotify is None:
                self._inotify = INotify(nonblocking=True)
            self._inotify.read(timeout=0)  # the events of watches before
            self._inotify.add_watch(self._path, _MASK)
        except (OSError, AttributeError):  # the C library may lack it
            return False
        return True

    async def wait(self) -> None:
        """Return when something has changed since ``arm``, which returned True."""
        assert self._inotify is not None
        await trio.lowlevel.wait_readable(self._inotify)

    async def close(self) -> None:
        """Watch no longer; also where the caller is cancelled.

        The kernel takes 8 to 16 ms to close the descriptor, and does nothing: it waits until no
        processor uses the watch. The waits of several descriptors overlap, each in its thread.
        """
        self._closed = True
        if self._inotify is not None:
            with trio.CancelScope(shield=True):
                await threads.run_sync(self._close, limiter=trio.CapacityLimiter(1))

    def _close(self) -> None:
        """Close the descriptor, at once or when the thread that uses it comes back."""
        if self._lock.acquire(blocking=False):
            try:
                if self._inotify is not None:
                    self._inotify.close()
            finally:
                self._lock.release()

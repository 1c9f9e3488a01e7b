"""Tells when files of a directory were changed since it was asked, by one watch of inotify.

The kernel removes the watch with the first event (IN_ONESHOT). So a directory in which thousands of
files are written to costs one event for each look, and one in which none is costs nothing. Where
the watch cannot be had, a directory counts as changed.
"""

import ctypes
import os
import threading
from typing import Final

import trio

_MODIFY, _ATTRIB = 0x2, 0x4  # <sys/inotify.h>
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF = 0x400, 0x800
_ONLYDIR, _ONESHOT = 0x0100_0000, 0x8000_0000
_MASK: Final = (
    _MODIFY | _ATTRIB | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
    | _DELETE_SELF | _MOVE_SELF | _ONLYDIR | _ONESHOT
)  # fmt: skip
_MOST: Final = 1 << 16  # bytes of events that are read at once


class DirectoryChanges:
    """The watch of one directory, which is set again for each wait."""

    def __init__(self, path: str) -> None:
        """``path`` leads to the directory. It is followed at each look."""
        self._path = os.fsencode(path)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = -1
        # A thread may hang in arm() when the wait is over. A descriptor that is closed meanwhile
        # could be another file's when the thread goes on.
        self._lock = threading.Lock()
        self._closed = False

    def arm(self) -> bool:
        """Watch for the next change; False where that cannot be done. Blocks."""
        with self._lock:
            armed = not self._closed and self._armed()
            if not armed or self._closed:
                self._close()
            return armed

    def _armed(self) -> bool:
        try:
            if self._descriptor < 0:
                self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            if self._descriptor < 0:
                return False
            self._drain()
            mask = ctypes.c_uint32(_MASK)
            return bool(self._libc.inotify_add_watch(self._descriptor, self._path, mask) >= 0)
        except (OSError, AttributeError):
            return False

    def _drain(self) -> None:
        """Read the events of watches before."""
        try:
            while os.read(self._descriptor, _MOST):
                pass
        except BlockingIOError:
            pass

    async def wait(self) -> None:
        """Return when something has changed since ``arm``."""
        await trio.lowlevel.wait_readable(self._descriptor)

    def close(self) -> None:
        """Watch no longer."""
        self._closed = True
        if self._lock.acquire(blocking=False):
            try:
                self._close()
            finally:
                self._lock.release()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

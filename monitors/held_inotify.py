"""A descriptor of inotify that a thread may still use when its task is over.

If it were closed then, another file could get its number, and the thread would use that. So it is
closed by the thread when that comes back.
"""

import threading
from typing import Self

from inotify_simple import INotify  # type: ignore[import-untyped]


class HeldInotify:
    """The descriptor, once it is opened. A thread that uses it enters it as a context."""

    def __init__(self) -> None:
        self.inotify: INotify | None = None
        self.is_closed = False
        self._lock = threading.Lock()

    def open(self) -> INotify:
        """Open it. It may run ldconfig. Raises OSError, and AttributeError without inotify."""
        self.inotify = INotify(nonblocking=True)
        return self.inotify

    def close(self) -> None:
        """Close it, at once or when the thread that uses it comes back."""
        self.is_closed = True
        if self._lock.acquire(blocking=False):
            try:
                if self.inotify is not None:
                    self.inotify.close()
            finally:
                self._lock.release()

    def __enter__(self) -> Self:
        """Hold the descriptor open for this thread."""
        self._lock.acquire()
        return self

    def __exit__(self, *exception: object) -> None:
        self._lock.release()
        if self.is_closed:
            self.close()

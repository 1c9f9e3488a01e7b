"""A daemon that has ended but for a thread that the kernel holds, as a disk does not answer."""

import time

_PATIENCE = 3.0  # seconds from the end of its first thread to that of the others
_LOOK = 0.5  # seconds between looks at it


class HeldBack:
    """Finds out whether a daemon that was told twice to leave cannot end."""

    def __init__(self) -> None:
        self._told = 0
        self._since: float | None = None  # when it was first seen so

    def tell(self) -> None:
        """The daemon is told to leave."""
        self._told += 1

    def look_again(self) -> float | None:
        """The seconds after which it is to be looked at; None if it need not be."""
        return _LOOK if self._told > 1 else None

    def is_so(self, daemon: int) -> bool:
        """Whether it stays a zombie (proc(5)) that cannot be reaped. Not even SIGKILL ends it."""
        now = time.monotonic()
        if self._told < 2 or not daemon or not _is_zombie(daemon):
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since > _PATIENCE


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:  # nothing there, or not for now
        return False

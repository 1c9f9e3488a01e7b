"""The pipe by which signals wake the keeper."""

import os
import signal


class SignalPipe:
    """Numbers of signals, as they come. Raises OSError where there is no descriptor or memory."""

    def __init__(self) -> None:
        self._end, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        except OSError:
            os.close(self._end)
            os.close(wake)
            raise

    def fileno(self) -> int:
        """For poll(2)."""
        return self._end

    def read(self) -> bytes:
        """The numbers that have come."""
        try:
            return os.read(self._end, 4096)
        except OSError:  # nothing there, or not for now
            return b""

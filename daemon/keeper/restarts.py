"""When the keeper starts the next daemon, and how long it tries after it was told to stop all."""

import time

_LONGEST_DELAY = 30.0  # seconds between starts of a daemon that keeps dying
_SHORT_DELAY = 0.5  # seconds, where the last daemon was killed from outside
_STABLE = 30.0  # seconds after which a death counts as the first again
_STOP_DELAYS = (0.5, 2.0)  # seconds, first and longest, after the keeper was told to stop all
_STOP_PATIENCE = 20.0  # seconds of tries to start a daemon that stops all
_STOP_FAILURES = 2  # daemons that may fail while they stop all
_ONE_REQUEST = 1.0  # seconds in which a repeated signal to stop is the same request


class Restarts:
    """Delays between starts, and the limit of tries to stop all.

    ``stopping`` is the signal that told the keeper to stop all vassals, None before.
    """

    def __init__(self) -> None:
        self.stopping: int | None = None
        self.due = 0.0  # when the next daemon is to be started
        self._started = 0.0
        self._delay = 0.0
        self._told = 0.0  # when the signal came
        self._until = 0.0  # the tries to start a daemon that stops all end then
        self._tried = False  # a daemon for that did not start
        self._failures = 0  # daemons that worked, and failed while they stopped all
        self.unfinished = False  # one of them did, so the record lacks the end

    @property
    def left(self) -> float:
        """Seconds until the next start."""
        return max(0.0, self.due - time.monotonic())

    def begin(self) -> None:
        """A daemon is started now."""
        self._started = time.monotonic()

    def at_once(self) -> None:
        """The next daemon is no retry."""
        self.due = self._delay = 0.0

    def stop(self, number: int) -> None:
        """A signal tells the keeper to stop all. A second one ends tries that fail."""
        now = time.monotonic()
        self.due = 0.0
        if self.stopping is None:
            self.stopping, self._delay = number, 0.0
            self._told, self._until = now, now + _STOP_PATIENCE
        elif self._tried and now - self._told > _ONE_REQUEST:
            self._until = now

    def put_off(self, killed: bool = False) -> None:
        """Delay the next start, unless the last daemon had lived for a while.

        A daemon that was ``killed`` has not failed by itself, so the next start need not wait long.
        """
        now = time.monotonic()
        first, longest = 1.0, _LONGEST_DELAY
        if self.stopping is not None:
            first, longest = _STOP_DELAYS
        if now - self._started > _STABLE:
            self._delay = 0.0
        if killed:
            self._delay = min(self._delay, _SHORT_DELAY)
        self.due = now + self._delay
        self._delay = min(max(self._delay * 2, first), longest)

    def gives_up(self, worked: bool, killed: bool) -> bool:
        """Whether to try no longer: a daemon has failed to stop all, or to start for that.

        ``worked``: it took signals. ``killed``: by SIGKILL, so it has not failed by itself.
        """
        now = time.monotonic()
        if worked:
            self._until = now + _STOP_PATIENCE
            self._failures += not killed
            self.unfinished = True
            return self._failures > _STOP_FAILURES
        self._tried = True
        return now >= self._until

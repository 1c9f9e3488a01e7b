"""sd_notify(3): telling systemd how the daemon is. Without systemd it does nothing."""

import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from typing import Final

import trio

from ...monitors.names import shown

_OFTEN: Final = 1.0  # seconds between two looks at the status, at least


class Notifier:
    """Sends states to the socket that systemd names in the environment."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        self._told: dict[str, str] = {}
        self._stale = trio.Event()  # the status may be another one
        watched = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = environ.get("WATCHDOG_USEC", "") if watched else ""
        self._interval = int(microseconds) / 2e6 if microseconds.isdigit() else 0.0

    def tell(self, *states: str) -> None:
        """Send states such as ``READY=1``. A notification that cannot be sent is dropped."""
        if not self._address:
            return
        self._told.update(state.partition("=")[::2] for state in states)
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, kind) as sender:
            # A path in a reason may have a line end, which would begin another state.
            sender.sendto("\n".join(map(shown, states)).encode(), self._address)

    async def keep_alive(self) -> None:
        """Feed the watchdog while the event loop turns; returns at once where there is none."""
        while self._interval:
            self.tell("WATCHDOG=1")
            await trio.sleep(self._interval)

    def note_change(self) -> None:
        """The status of the daemon may have changed."""
        self._stale.set()

    async def keep_status(self, status: Callable[[], str]) -> None:
        """Tell the status when it has changed; returns at once without systemd."""
        while self._address:
            self._stale = trio.Event()
            if (now := status()) != self._told.get("STATUS"):
                self.tell(f"STATUS={now}")
            await trio.sleep(_OFTEN)
            await self._stale.wait()

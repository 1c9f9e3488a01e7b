"""sd_notify(3): telling systemd how the daemon is. Without systemd it does nothing."""

import contextlib
import os
import socket
from collections.abc import Mapping

import trio


class Notifier:
    """Sends states to the socket that systemd names in the environment."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        watched = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = environ.get("WATCHDOG_USEC", "") if watched else ""
        self._interval = int(microseconds) / 2e6 if microseconds.isdigit() else 0.0

    def tell(self, *states: str) -> None:
        """Send states such as ``READY=1``. A notification that cannot be sent is nobody's loss."""
        if not self._address:
            return
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, kind) as sender:
            sender.sendto("\n".join(states).encode(), self._address)

    async def keep_alive(self) -> None:
        """Feed the watchdog while the event loop turns; returns at once where there is none."""
        while self._interval:
            self.tell("WATCHDOG=1")
            await trio.sleep(self._interval)

"""sd_notify(3): telling systemd how the daemon is. Without systemd it does nothing.

The main process of the unit is the keeper, and systemd hears that one alone (NotifyAccess=main).
Otherwise a tenant's process could stop the whole unit, by WATCHDOG=trigger. So a daemon that is
root speaks for its keeper, as sd_pid_notify(3) does. The kernel lets only CAP_SYS_ADMIN do that.
A daemon of another user speaks for itself, and its unit needs NotifyAccess=all.
"""

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Final

import trio

from ...monitors.names import shown

_OFTEN: Final = 1.0  # seconds between two looks at the status, at least
_PASSING: Final = (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM)


class Notifier:
    """Sends states to the socket that systemd names in the environment, for the process ``main``.

    A ``main`` of 0 is the daemon itself.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ, main: int = 0) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        # struct ucred
        self._sender = struct.pack("3i", main or os.getpid(), os.geteuid(), os.getegid())
        self._told: dict[str, str] = {}
        self._owed: list[tuple[str, ...]] = []  # that systemd had no room for
        self._stale = trio.Event()  # the status may be another one
        watched = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = environ.get("WATCHDOG_USEC", "") if watched else ""
        self._interval = int(microseconds) / 2e6 if microseconds.isdigit() else 0.0

    def tell(self, *states: str) -> None:
        """Send states such as ``READY=1``.

        Those that systemd has no room for now go with later ones. Others that cannot be sent are
        dropped.
        """
        if not self._address:
            return
        new = _named(states)
        self._owed = [each for each in self._owed if not _named(each).keys() <= new.keys()]
        self._owed.append(states)
        self._send_owed()

    def _send_owed(self) -> None:
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, kind) as sender:
            while self._owed:
                try:
                    self._send(sender, self._owed[0])
                except OSError as error:
                    if error.errno in _PASSING:
                        return
                self._told.update(_named(self._owed.pop(0)))

    def _send(self, sender: socket.socket, states: tuple[str, ...]) -> None:
        # A path in a reason may have a line end, which would begin another state.
        text = "\n".join(map(shown, states)).encode()
        credentials = socket.SOL_SOCKET, socket.SCM_CREDENTIALS, self._sender
        try:
            sender.sendmsg([text], [credentials], 0, self._address)
        except PermissionError:
            sender.sendto(text, self._address)

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
            if (now := status()) != self._told.get("STATUS") or self._owed:
                self.tell(f"STATUS={now}")
            await trio.sleep(_OFTEN)
            if not self._owed:
                await self._stale.wait()


def _named(states: tuple[str, ...]) -> dict[str, str]:
    """The values of states by their names."""
    return dict(state.partition("=")[::2] for state in states)

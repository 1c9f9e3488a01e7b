"""How far a vassal has read the orders that were sent over its control socket.

uWSGI's master reads an order at once, unless it is loading: at its start, and from the order to
reload until it accepts. Without a master no process ever reads. So a vassal is *deaf* if it leaves
an order unread for long while it does not load.

The kernel reports how much is unread (unix(7), SIOCOUTQ), in its own units. The number of unread
orders is therefore unknown, but a smaller amount than before means that one of them was read.
"""

import array
import fcntl
import socket
import termios


class Orders:
    """The orders to one process since it last sent that it accepts."""

    __slots__ = ("_level", "_loads", "_sent", "unsure")

    def __init__(self) -> None:
        self.unsure = False  # it may be loading, by an order of a former daemon
        self._sent = False
        self._level = 0  # unread right after the last one was sent
        self._loads = False  # it has read one

    def send(self, control: socket.socket, order: bytes) -> None:
        """Send one. Raises OSError."""
        if self._sent and not unread(control):
            self._loads = True
        control.send(order)
        self._sent, self._level = True, unread(control)

    def accepted(self) -> None:
        """It says that it accepts, so it does not load."""
        self.unsure = self._sent = self._loads = False

    def ignored(self, control: socket.socket) -> bool:
        """Whether all that was sent is unread, and not because it loads."""
        left = unread(control)
        return left > 0 and left >= self._level and not self._loads


def unread(control: socket.socket) -> int:
    """How much of what was sent is unread, in the kernel's own units."""
    waiting = array.array("i", [0])
    try:
        fcntl.ioctl(control, termios.TIOCOUTQ, waiting)
    except OSError:
        return 0  # it is closed, and nothing is read from a closed socket
    return waiting[0]

"""Packets of the daemon to its keeper: sent in order, kept while the keeper takes none."""

import logging
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from . import protocol

log = logging.getLogger("emperor.keeper")

_quickly: Final = msgspec.json.Encoder().encode


class Outbox:
    """Packets that wait, and the ``channel`` to send them over: None where there is no keeper.

    Its methods may be called in threads, and do not block. ``on_wait`` is called, in such a thread
    too, when a packet has to wait.
    """

    def __init__(self, channel: socket.socket | None) -> None:
        self.channel = channel
        self.on_wait: Callable[[], object] = lambda: None
        self._unsent: deque[tuple[dict[str, Any], list[int]]] = deque()
        self._lock = threading.Lock()
        if channel is not None:
            channel.setblocking(False)

    @property
    def waits(self) -> bool:
        """Whether a packet waits."""
        return bool(self._unsent)

    def lose(self) -> None:
        """The keeper has died, or the daemon leaves."""
        with self._lock:
            channel, self.channel = self.channel, None
        if channel is not None:
            channel.close()

    def send(self, packet: dict[str, Any], descriptors: list[int] | None = None) -> bool:
        """Send it, after the packets that wait; False if it has to wait."""
        with self._lock:
            if self.channel is not None:
                self._unsent.append((packet, descriptors or []))
        return self.flush()

    def forget(self, name: str) -> None:
        """Packets about this name need not be sent any more."""
        with self._lock:
            unsent = [each for each in self._unsent if each[0].get("name") != name]
            self._unsent = deque(unsent)

    def merge(self, name: str, about: dict[str, Any]) -> bool:
        """Put what changed about a name into a packet about it that still waits, if one does.

        A keeper that was stopped takes nothing. It then costs a packet a name, not one a commit.
        """
        with self._lock:
            for packet, _ in reversed(self._unsent):
                if packet["do"] in ("keep", "about") and packet["name"] == name:
                    packet["about"] = {**packet["about"], **about}
                    return True
        return False

    def flush(self) -> bool:
        """Send the packets that wait; False if one has to wait on."""
        sent = self._flush()
        if not sent:
            self.on_wait()
        return sent

    def _flush(self) -> bool:
        with self._lock:
            while self._unsent and self.channel is not None:
                packet, descriptors = self._unsent[0]
                try:
                    if descriptors:
                        socket.send_fds(self.channel, [_encoded(packet)], descriptors)
                    else:
                        self.channel.send(_encoded(packet))
                except BlockingIOError:
                    return False  # its queue is full: it was stopped, or the machine is busy
                except OSError as error:
                    if error.errno in protocol.CONGESTED:
                        return False
                    # The daemon notices a dead keeper where it listens to it.
                    log.debug("%s was not said to the keeper: %s", packet["do"], error)
                self._unsent.popleft()
        return True


def _encoded(packet: dict[str, Any]) -> bytes:
    """The bytes of a packet. The daemon has a quicker encoder than the keeper, which is small."""
    try:
        return _quickly(packet)
    except UnicodeEncodeError:  # the name of a file that is no UTF-8
        return protocol.encode(packet)

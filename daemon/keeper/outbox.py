"""Packets of the daemon to its keeper: sent in order, kept while the keeper takes none."""

import errno
import itertools
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
_TOGETHER: Final = 1 << 15  # bytes of packets that are sent as one
_Waiting = tuple[dict[str, Any], list[int]]  # a packet, and the descriptors beside it


class Outbox:
    """Packets that wait, and the ``channel`` to send them over: None where there is no keeper.

    Its methods may be called in threads, and do not block. ``on_wait`` is called, in such a thread
    too, when the keeper did not take a packet.

    Thousands of vassals may end at once. A packet for each fact would cost as much as the rest of
    an end. So a packet that is sent ``soon`` waits for others until ``plan_flush`` has all of them
    sent in a moment. Where they go ``together``, the keeper takes several as one. Descriptors go by
    themselves, because the keeper may have no room for them.
    """

    def __init__(self, channel: socket.socket | None) -> None:
        self.channel = channel
        self.on_wait: Callable[[], object] = lambda: None
        self.plan_flush: Callable[[], object] | None = None  # None: each is sent at once
        self.together = False
        self._unsent: deque[_Waiting] = deque()
        self._about: dict[str, dict[str, Any]] = {}  # by name, the last that tells of it and waits
        self._planned = False
        self._refused = False  # the keeper did not take the first one
        self._lock = threading.Lock()
        if channel is not None:
            channel.setblocking(False)

    @property
    def waits(self) -> bool:
        """Whether a packet waits that the keeper did not take."""
        return self._refused and bool(self._unsent)

    def lose(self) -> None:
        """The keeper has died, or the daemon leaves."""
        with self._lock:
            channel, self.channel = self.channel, None
        if channel is not None:
            channel.close()

    def send(
        self, packet: dict[str, Any], descriptors: list[int] | None = None, *, soon: bool = False
    ) -> bool:
        """Send it, after the packets that wait; False if the keeper does not take it.

        ``soon``: it may wait a moment for others.
        """
        with self._lock:
            if self.channel is not None:
                self._unsent.append((packet, descriptors or []))
                if "about" in packet:
                    self._about[packet["name"]] = packet
        plan = self.plan_flush
        if not soon or plan is None:
            return self.flush()
        if not self._planned:
            self._planned = True
            plan()
        return True

    def forget(self, name: str) -> None:
        """Packets that tell of this name need not be sent any more."""
        with self._lock:
            if self._about.pop(name, None) is not None:
                unsent = (each for each in self._unsent if each[0].get("name") != name)
                self._unsent = deque(unsent)

    def merge(self, name: str, about: dict[str, Any]) -> bool:
        """Put what changed about a name into a packet about it that still waits, if one does.

        A keeper that was stopped takes nothing. It then costs a packet a name, not one a commit.
        """
        with self._lock:
            packet = self._about.get(name)
            if packet is None:
                return False
            packet["about"] = {**packet["about"], **about}
            return True

    def flush(self) -> bool:
        """Send the packets that wait; False if one has to wait on."""
        self._planned = False
        if not self._unsent:
            return True
        sent = self._flush()
        if not sent:
            self.on_wait()
        return sent

    def _flush(self) -> bool:
        with self._lock:
            self._refused = False
            while self._unsent and self.channel is not None:
                data, descriptors, count = self._next()
                try:
                    if descriptors:
                        socket.send_fds(self.channel, [data], descriptors)
                    else:
                        self.channel.send(data)
                except OSError as error:
                    # Its queue is full: it was stopped, or the machine is busy.
                    if isinstance(error, BlockingIOError) or error.errno in protocol.CONGESTED:
                        self._refused = True
                        return False
                    if error.errno == errno.EMSGSIZE and count > 1:
                        self.together = False  # the machine's buffers are small
                        continue
                    # The daemon notices a dead keeper where it listens to it.
                    log.debug("%r was not said to the keeper: %s", data[:80], error)
                for _ in range(count):
                    packet, _ = self._unsent.popleft()
                    if "about" in packet and self._about.get(packet["name"]) is packet:
                        del self._about[packet["name"]]
        return True

    def _next(self) -> tuple[bytes, list[int], int]:
        """The bytes to send next, the descriptors beside them, and how many packets they are."""
        first, descriptors = self._unsent[0]
        parts = [_encoded(first)]
        if descriptors or not self.together:
            return parts[0], descriptors, 1
        size = len(parts[0])
        for packet, beside in itertools.islice(self._unsent, 1, None):
            part = _encoded(packet)
            size += len(part)
            if beside or size > _TOGETHER:
                break
            parts.append(part)
        if len(parts) == 1:
            return parts[0], [], 1
        return b'{"do":"several","packets":[' + b",".join(parts) + b"]}", [], len(parts)


def _encoded(packet: dict[str, Any]) -> bytes:
    """The bytes of a packet. The daemon has a quicker encoder than the keeper, which is small."""
    try:
        return _quickly(packet)
    except UnicodeEncodeError:  # the name of a file that is no UTF-8
        return protocol.encode(packet)

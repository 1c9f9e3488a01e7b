"""The keeper's end of the channel to its daemon (``link.py`` is the daemon's end)."""

import functools
import os
import select
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from . import protocol, stdio

# As numbers: an operation with a flag of the enum is Python code, once for each packet.
_CUT: Final = int(socket.MSG_TRUNC | socket.MSG_CTRUNC)
_SENSELESS: Final = "a packet of the daemon's makes no sense: "
log = functools.partial(stdio.log, "emperor.keeper")


class Channel:
    """Packets to and from one daemon after the other.

    The keeper keeps in ``memory`` all that a daemon entrusts. It calls ``handle`` with each packet.
    """

    def __init__(self, memory: protocol.Memory, handle: Callable[[dict[str, Any]], None]) -> None:
        self._memory = memory
        self._handle = handle
        self._socket: socket.socket | None = None
        self._unsent: deque[tuple[dict[str, Any], list[int]]] = deque()
        self.congested = False  # the kernel took or gave no packet; it is asked again soon

    def open(self, end: socket.socket) -> None:
        """Greet a new daemon, which has the other end."""
        end.setblocking(False)
        self._socket, self._unsent = end, deque(self._memory.greeting())

    def close(self) -> None:
        """The daemon has ended. All that it has sent is read before."""
        self.receive()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._unsent.clear()

    def register(self, poll: select.poll) -> None:
        """Have a poll(2) wake when a packet can be read, or one that waits can be sent."""
        if self._socket is not None:
            wants = select.POLLOUT if self._unsent and not self.congested else 0
            poll.register(self._socket, select.POLLIN | wants)

    def say(self, packet: dict[str, Any]) -> None:
        """Send a packet to the daemon, if there is one, at the next ``flush``."""
        if self._socket is not None:
            self._unsent.append((packet, []))

    def receive(self) -> None:
        """Read all packets that have come."""
        while self._socket is not None:
            try:
                data, descriptors, flags, _ = socket.recv_fds(
                    self._socket, protocol.LONGEST, protocol.MOST_DESCRIPTORS
                )
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue  # the daemon left packets unread: told once, before its last packets
            except OSError as error:
                if error.errno in protocol.CONGESTED:
                    self.congested = True
                    return
                data, descriptors, flags = b"", [], 0
            if not data:
                self._socket.close()
                self._socket = None
                return
            # recv_fds drops the flag by which they would come closed on exec, and a daemon that is
            # executed later would have them all.
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
            self._take(data, descriptors, cut=bool(flags & _CUT))

    def _take(self, data: bytes, descriptors: list[int], *, cut: bool) -> None:
        """Remember and handle the packets that came. One that makes no sense spoils no other."""
        try:
            packets = self._memory.heard(data, descriptors, cut)
        except protocol.BadPacket as error:
            log(_SENSELESS + str(error))
            return
        for packet in packets:
            try:
                self._memory.told(packet, descriptors)
                self._handle(packet)
            except protocol.BadPacket as error:
                log(_SENSELESS + str(error))

    def flush(self) -> None:
        """Send the packets that wait, as far as the daemon takes them."""
        while self._unsent and self._socket is not None:
            packet, descriptors = self._unsent[0]
            try:
                socket.send_fds(self._socket, [protocol.encode(packet)], descriptors)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in protocol.CONGESTED:
                    self.congested = True
                else:
                    self._unsent.clear()  # the keeper is about to find the daemon dead
                return
            self._unsent.popleft()

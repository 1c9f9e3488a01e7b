"""The daemon's end of the channel to its keeper.

Descriptors are entrusted before anything depends on them: a vassal's sockets before the vassal
is started, so there is no moment at which the daemon's death would close the last of them.
Without a keeper (it died, or there never was one) everything works, only that it does not
outlive the daemon.
"""

import contextlib
import logging
import os
import select
import socket
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import trio

from . import keeping

log = logging.getLogger("emperor.keeper")

_PATIENCE: Final = 5.0  # seconds for the keeper to say all; it has nothing else to do


class Kept(msgspec.Struct):
    """Descriptors that a former daemon entrusted."""

    about: dict[str, Any]
    descriptors: list[int]


class Death(msgspec.Struct, frozen=True):
    """How a process ended that fell to the keeper."""

    code: int | None
    signal: int | None


class KeeperLink:
    """A channel to the keeper; ``channel`` None is one to nobody."""

    def __init__(self, channel: socket.socket | None) -> None:
        self._channel = channel
        self.kept: dict[str, Kept] = {}
        self.deaths: dict[int, Death] = {}
        self._died = trio.Event()
        if channel is not None:
            channel.setblocking(False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "KeeperLink":
        """The channel that the keeper named, if this daemon has one."""
        number = environ.get(keeping.CHANNEL, "")
        if not number.isdigit():
            return cls(None)
        os.set_inheritable(int(number), False)
        return cls(socket.socket(fileno=int(number)))

    @property
    def alive(self) -> bool:
        """Whether there is a keeper."""
        return self._channel is not None

    def receive_all(self) -> None:
        """Take over what a former daemon left: ``kept`` and ``deaths``. Blocks for a moment."""
        while self._channel is not None:
            ready, _, _ = select.select([self._channel], [], [], _PATIENCE)
            if not ready:
                log.error("the keeper says nothing; going on without what it keeps")
                return
            if self._receive():
                return

    async def run(self) -> None:
        """Hear of deaths until cancelled, or until the keeper dies."""
        while self._channel is not None:
            await trio.lowlevel.wait_readable(self._channel)
            self._receive()
        log.error(
            "the keeper died: vassals would not outlive this daemon now; start another emperor on"
            " this journal, it takes over from this one"
        )

    async def death_of(self, pid: int, patience: float = 2.0) -> Death | None:
        """How a process that is no child of ours ended, if the keeper gets to know."""
        with trio.move_on_after(patience):
            while self._channel is not None and pid not in self.deaths:
                await self._died.wait()
        return self.deaths.get(pid)

    # What the daemon says

    def keep(self, name: str, descriptors: list[int], about: dict[str, Any] | None = None) -> None:
        """Entrust duplicates of descriptors. May be called in a worker thread."""
        self._send({"do": "keep", "name": name, "about": about or {}}, descriptors)

    def drop(self, name: str) -> None:
        """They are needed no longer."""
        self._send({"do": "drop", "name": name})

    def acknowledge(self, pid: int) -> None:
        """A death is recorded, or is nobody's that matters."""
        if self.deaths.pop(pid, None) is not None:
            self._send({"do": "ack", "pid": pid})

    def acknowledge_all(self) -> None:
        """All deaths known so far are recorded or do not matter."""
        for pid in list(self.deaths):
            self.acknowledge(pid)

    def hear(self) -> None:
        """Signals may be handed on from now."""
        self._send({"do": "hear"})

    def _send(self, packet: dict[str, Any], descriptors: list[int] | None = None) -> None:
        channel = self._channel
        if channel is None:
            return
        data = keeping.encode(packet)
        with contextlib.suppress(OSError):  # a dead keeper is noticed where it is listened to
            try:
                socket.send_fds(channel, [data], descriptors or [])
            except BlockingIOError:
                # Its queue is full for an instant; a stopped keeper must not stop us for long.
                select.select([], [channel], [], 1.0)
                socket.send_fds(channel, [data], descriptors or [])

    # What the keeper says

    def _receive(self) -> bool:
        """Take in one packet; True when that was all that is kept."""
        assert self._channel is not None
        try:
            data, descriptors, _, _ = socket.recv_fds(
                self._channel, keeping.LONGEST, keeping.MOST_DESCRIPTORS
            )
        except BlockingIOError:
            return False
        except OSError:
            data, descriptors = b"", []
        if not data:
            self._channel.close()
            self._channel = None
            self._tell_of_death()
            return True
        packet = keeping.decode(data)
        if packet["say"] == "kept":
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
            self.kept[packet["name"]] = Kept(packet["about"], descriptors)
        elif packet["say"] == "died":
            self.deaths[packet["pid"]] = Death(packet["code"], packet["signal"])
            self._tell_of_death()
        return bool(packet["say"] == "all")

    def _tell_of_death(self) -> None:
        self._died.set()
        self._died = trio.Event()

"""The mailbox: bytes of vassals, which stay in their sockets until they are durable.

A vassal sends most bytes once. A daemon that consumed one and was killed before the commit would
lose it for ever. So the daemon peeks (MSG_PEEK), hands the byte over, and consumes it when the
event is durable. A daemon that is killed in between leaves the byte to the next one, because the
keeper holds the socket.

    peeked -> queued for the loop -> waiting for the commit -> consumed

There are exceptions. A request for the config (byte 2) is consumed at once: a frame too many is
worse than a byte that is lost. A repeated heartbeat is no event. A vassal that fills its socket
(more than ``_MOST_UNREAD`` bytes) has them consumed early, because its write must never block.
"""

import logging
import socket
from collections.abc import Iterable
from functools import partial
from typing import Final

import trio

from ..core.inputs import VassalByte
from ..keeper.refusals import PASSING
from . import emperor_protocol
from .config_sender import ConfigSender
from .context import HostContext
from .process import Process

log = logging.getLogger("emperor.host")

_MOST_UNREAD: Final = 64  # bytes that may stay in a socket: far fewer than fit
_CHUNK: Final = 4096  # bytes that are peeked at once
# Bytes that are sent once, and that a daemon which has lost its journal could not know.
_LASTING: Final = (emperor_protocol.ACCEPTING, emperor_protocol.LOYAL, emperor_protocol.HEARTBEAT)


class Mailbox:
    """Reads what processes send, and hands it over."""

    def __init__(self, context: HostContext, configs: ConfigSender) -> None:
        self._processes = context.processes
        self._watch = context.watch
        self._tasks = context.tasks
        self._outbox = context.outbox
        self._configs = configs
        self._keeper = context.keeper
        # Bytes peeked but not yet consumed, per process: queued for the loop, or waiting for the
        # commit. The value is the number of bytes that had been peeked by then.
        self._queued: dict[Process, int] = {}
        self._uncommitted: dict[Process, int] = {}
        self._heartbeats: dict[Process, float] = {}  # trio time of the last one

    async def deliver(self) -> None:
        """Hand over news, until cancelled. While the journal is paused, this task alone waits."""
        while True:
            news = await self._outbox.take()
            self._uncommitted, self._queued = self._queued, {}
            await self._outbox.tell(news)
            committed, self._uncommitted = self._uncommitted, {}
            for process, count in committed.items():
                if self._processes.holds(process):
                    # Bytes that came later and are no news are consumed with them.
                    count = count if process in self._queued else process.peeked
                    after = partial(self._watch.remove_control, process)
                    with self._tasks.confined(process.name, "hear", after):
                        self._consume(process, count)

    def hear(self, process: Process) -> None:
        """Read what a process has sent."""
        assert process.control is not None
        now = trio.current_time()
        try:
            most = min(_CHUNK, process.peeked + process.read_limit.room(now))
            peeked = process.control.recv(max(most, 1), socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in PASSING:
                self._watch.put_off(process, error)
                return
            peeked = b""
        if not peeked:
            # A closed socket is not a death: only a reaped process is.
            self._watch.remove_control(process)
            return
        process.read_limit.fill(len(peeked) - process.peeked, now)
        # All bytes are taken in, whichever of them are answered.
        answered = [self._take_in(process, byte, now) for byte in peeked[process.peeked :]]
        process.peeked = len(peeked)
        if process in self._queued:
            self._queued[process] = process.peeked
        waits = process in self._queued or process in self._uncommitted
        if any(answered) or not waits or process.peeked > _MOST_UNREAD:
            self._keeper.flush()  # it knows what is taken out of the socket
            self._consume(process, process.peeked)
        if not process.read_limit.room(now):
            self._pause(process, process.read_limit.pause(now))
        elif len(peeked) == _CHUNK:
            self._watch.read_again(process)

    def _take_in(self, process: Process, byte: int, now: float) -> bool:
        """Queue a byte, or answer it; True if it was answered, and so must be consumed."""
        if byte == emperor_protocol.WANTS_CONFIG:
            process.frames_owed += process.read_limit.is_answered(process.frames_owed, now)
            self._configs.send(process)
            return True
        if byte == emperor_protocol.HEARTBEAT:
            known = process in self._heartbeats
            self._heartbeats[process] = trio.current_time()
            if known:
                return False
        elif byte == emperor_protocol.ACCEPTING:
            process.orders.accepted()
            self._heartbeats.pop(process, None)  # the next one is a first one again
            process.accepted_at = trio.current_time()
            process.is_up = True
        self._remember(process, byte)
        self._outbox.put(VassalByte(process.name, process.attempt, byte, process.reloads))
        self._queued[process] = 0
        return False

    def _pause(self, process: Process, seconds: float) -> None:
        """Read nothing of a process that sends too much, for a while."""
        if process.read_limit.pauses == 1:
            log.warning("%s: %s", process.name, process.read_limit.warning())
        self._watch.remove_control(process)

        async def resume(process: Process) -> None:
            await trio.sleep(seconds)
            if self._processes.holds(process) and process.control is not None:
                self._watch.add_control(process)

        self._tasks.start("hear", process, resume)

    def _remember(self, process: Process, byte: int) -> None:
        """Let the keeper know of a byte, for a daemon that has lost its journal."""
        if byte in _LASTING and byte not in process.received:
            process.received.append(byte)
            process.tell_keeper(self._keeper, soon=True, said=process.received)

    def repeat(self, process: Process, said: Iterable[int]) -> None:
        """Queue bytes that a former daemon read. The loop drops those that the journal has."""
        for byte in said:
            self._outbox.put(VassalByte(process.name, process.attempt, byte))

    def _consume(self, process: Process, count: int) -> None:
        """Remove so many of the peeked bytes from the socket of a process."""
        assert process.control is not None
        if count:
            process.consume(count)
        process.peeked -= count
        for waiting in (self._queued, self._uncommitted):
            if process in waiting:
                waiting[process] = max(0, waiting[process] - count)

    def beat(self, process: Process) -> None:
        """A heartbeat of a process came another way."""
        self._heartbeats[process] = trio.current_time()

    def is_stale(self, said: VassalByte) -> bool:
        """Whether the program that a reload replaces sent it; that reload may be under way."""
        process = self._processes.get(said.vassal, said.attempt)
        if process is None:
            return False
        replaced = process.reload_pending or said.reloads != process.reloads
        return said.byte == emperor_protocol.ACCEPTING and replaced

    def silent_for(self, process: Process) -> float:
        """Seconds since the last heartbeat of a process; counts from now when none was heard."""
        now = trio.current_time()
        return now - self._heartbeats.setdefault(process, now)

    def forget(self, process: Process) -> None:
        """A process has ended: its heartbeats are over."""
        self._heartbeats.pop(process, None)

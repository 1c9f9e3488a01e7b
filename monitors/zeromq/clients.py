"""The clients of zmq://: each has a connection to us, and behind it a socket of libzmq's.

libzmq has no limit for the parts that a client sends of one message. It does not tell how much that
is until the message is whole. So the daemon accepts connections itself, and carries the bytes of
each client to a PULL socket that is for this client alone. It knows how many frames went in and how
many came out as messages; the difference is what libzmq holds.

- A client whose difference is at its limit is read no further until messages of it are received.
- Where libzmq has none for us all the while, that difference is one message: the client is hung
  up on.
- A new client takes the place of the client that has been silent longest when there are too many.

libzmq connects to us, not we to it, so no other process can reach the socket. It connects to an
address that listens for one connection, and only one from our own process is taken.
"""

import contextlib
import os
import resource
import secrets
import socket as sockets
import struct
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import trio
import zmq

from .. import names
from ..contract import Refused
from ..polling import SourceFailed
from .endpoint import Report, Socket, check_descriptors, receivable
from .frames import BadFrames, Frames

MOST_CLIENTS: Final = 256  # each takes some 4 descriptors
MOST: Final = 1 << 20  # bytes of one client's that libzmq holds
LEAST: Final = 128 << 10  # of these, where there are many; a largest message fits
MOST_OF_ALL: Final = 32 << 20
PATIENCE: Final = 5.0  # seconds for libzmq to come up with a message
_CHUNK: Final = 16 << 10  # bytes
QUIET: Final = 10.0  # seconds without a byte, after which a client may have to go
_PAUSE: Final = 0.1  # seconds until descriptors may be there again

Deliver = Callable[[str, list[bytes]], Awaitable[None]]
Give = Callable[[list[bytes]], Awaitable[None]]


class Clients:
    """All who are connected. ``make`` gives a PULL socket for the client of this label.

    ``deliver`` is given each message with its client's label, ``report`` is told of clients that
    were disconnected.
    """

    def __init__(
        self, make: Callable[[str], Socket], deliver: Deliver, report: Report, *, curve: bool
    ) -> None:
        self._make = make
        self._deliver = deliver
        self._report = report
        self._curve = curve
        self._clients: set[Client] = set()
        self._accepting = trio.CancelScope()
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = max(1, min(MOST_CLIENTS, descriptors // 16))

    def share(self) -> int:
        """Bytes of one client's that libzmq may hold now."""
        return min(MOST, max(LEAST, MOST_OF_ALL // max(1, len(self._clients))))

    async def accept(self, listener: sockets.socket, nursery: trio.Nursery) -> None:
        """Have the nursery serve who comes, until cancelled or called for another listener."""
        with trio.socket.from_stdlib_socket(listener) as accepting, trio.CancelScope() as scope:
            self._accepting.cancel()
            self._accepting = scope
            while True:
                try:
                    far, address = await accepting.accept()
                except OSError:  # too few descriptors, or it has hung up already
                    await trio.sleep(_PAUSE)
                    continue
                if self._make_room():
                    nursery.start_soon(self._serve, far, _label(far, address))
                else:
                    far.close()

    def _make_room(self) -> bool:
        if len(self._clients) < self._most:
            return True
        silent = min(self._clients, key=lambda client: client.heard)
        if trio.current_time() - silent.heard < QUIET:
            return False
        self._clients.discard(silent)
        silent.hang_up()
        return True

    async def _serve(self, far: trio.socket.SocketType, label: str) -> None:
        frames, answers = Frames(curve=self._curve), Frames(curve=self._curve)
        client = Client(far, frames, answers, self.share)
        self._clients.add(client)
        try:
            with far, contextlib.suppress(OSError, SourceFailed, zmq.ZMQError):
                if far.family != sockets.AF_UNIX:
                    far.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
                    far.setsockopt(sockets.SOL_SOCKET, sockets.SO_KEEPALIVE, 1)
                check_descriptors()
                with self._make(label) as pull:
                    if (near := await _connected(pull)) is not None:
                        with near:
                            await client.serve(pull, near, partial(self._deliver, label))
            if client.flaw:
                await self._report(Refused(label, client.flaw))
        finally:
            self._clients.discard(client)


class Client:
    """One of them; ``far`` is the connection. ``heard`` is when something came over it."""

    def __init__(
        self,
        far: trio.socket.SocketType,
        frames: Frames,
        answers: Frames,
        share: Callable[[], int],
    ) -> None:
        self.heard = trio.current_time()
        self.flaw = ""  # why it was disconnected
        self._far = far
        self._frames = frames
        self._answers = answers
        self._share = share
        self._accounted = trio.Event()
        self._waits_since = self.heard  # for a message
        self._waiting = trio.CancelScope()
        self._ended = False  # libzmq has let go of the connection

    def hang_up(self) -> None:
        """Have both sides see the end of it."""
        with contextlib.suppress(OSError):
            self._far.shutdown(sockets.SHUT_RDWR)

    async def serve(self, pull: Socket, near: trio.socket.SocketType, deliver: Give) -> None:
        """Carry bytes and deliver messages, until there are no more."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._carry_in, near)
            nursery.start_soon(self._carry_out, near)
            await self._receive(pull, deliver)
            nursery.cancel_scope.cancel()

    async def _receive(self, pull: Socket, deliver: Give) -> None:
        while True:
            self._waits_since = trio.current_time()
            # To be cancelled elsewhere would lose a message.
            with trio.CancelScope() as self._waiting:
                if self._ended:
                    self._waiting.cancel()
                await receivable(pull)
            self._waits_since = float("inf")
            try:
                message = pull.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._frames.account(len(message), sum(map(len, message)))
            self._tell_accounted()
            await deliver(message)

    def _tell_accounted(self) -> None:
        self._accounted.set()
        self._accounted = trio.Event()

    async def _carry_in(self, near: trio.socket.SocketType) -> None:
        try:
            with contextlib.suppress(OSError):
                while data := memoryview(await self._far.recv(_CHUNK)):
                    self.heard = trio.current_time()
                    while data:
                        await self._room()
                        count = self._frames.measure(data, self._share())
                        await _send_all(near, data[:count])
                        data = data[count:]
        except BadFrames as flaw:
            self.flaw = str(flaw)
            self.hang_up()
        with contextlib.suppress(OSError):
            near.shutdown(sockets.SHUT_WR)  # libzmq delivers what is whole, then it lets go

    async def _room(self) -> None:
        """Return when more may be sent to libzmq. Raises BadFrames."""
        while self._frames.over(self._share()):
            with trio.move_on_after(PATIENCE):
                await self._accounted.wait()
                continue
            if trio.current_time() - self._waits_since >= PATIENCE:
                frames, size = self._frames.count, self._share() >> 10
                most = (
                    f"{size} KiB" if self._frames.size > self._share() else f"{frames - 1} frames"
                )
                raise BadFrames(f"it sends a message of more than {most}")

    async def _carry_out(self, near: trio.socket.SocketType) -> None:
        with contextlib.suppress(OSError, BadFrames):
            while data := await near.recv(_CHUNK):
                self._measure_answers(memoryview(data))
                with contextlib.suppress(OSError):  # libzmq sees the end in its own time
                    await _send_all(self._far, memoryview(data))
        self._ended = True
        self._waiting.cancel()

    def _measure_answers(self, data: memoryview) -> None:
        while data:
            data = data[self._answers.measure(data, _CHUNK) :]
            self._frames.answered(self._answers)
        self._tell_accounted()


async def _send_all(to: trio.socket.SocketType, data: memoryview) -> None:
    while data:
        data = data[await to.send(data) :]


async def _connected(pull: Socket) -> trio.socket.SocketType | None:
    """Our end of a connection to ``pull``; None if it does not come."""
    with trio.socket.socket(sockets.AF_UNIX) as listener:
        place = f"emperord-{secrets.token_hex(16)}"
        await listener.bind("\0" + place)
        listener.listen()
        pull.connect(f"ipc://@{place}")
        with trio.move_on_after(PATIENCE):
            while True:
                near, _ = await listener.accept()
                if _credentials(near)[0] == os.getpid():
                    return near
                near.close()
    return None


def _credentials(peer: trio.socket.SocketType) -> tuple[int, int]:
    """The process at the other end, and its user."""
    found = peer.getsockopt(sockets.SOL_SOCKET, sockets.SO_PEERCRED, 12)
    pid, uid, _ = struct.unpack("iII", found)
    return pid, uid


def _label(far: trio.socket.SocketType, address: object) -> str:
    """How to name a client; the same for all that cannot be told apart."""
    if far.family == sockets.AF_UNIX:
        return f"client of user {_credentials(far)[1]}"
    assert isinstance(address, tuple)
    return f"client {names.shown(str(address[0]).removeprefix('::ffff:')[:100])}"

"""A server of a test's own that treats its clients as it is told, one thread a connection."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from typing import Final, Self

TLS_HALF: Final = bytes.fromhex("160303007a020000760303") + b"\x5a" * 20  # of a ServerHello
FLOOD: Final = 1 << 16  # bytes that a flood sends at a time
_DRIP: Final = 1.0  # seconds between two bytes


class Gone(Exception):
    """The client has hung up, or the test is over."""


class Peer:
    """One client's connection, as the server sees it."""

    def __init__(self, connection: socket.socket, over: threading.Event) -> None:
        self._connection = connection
        self._over = over

    def send(self, data: bytes) -> None:
        """Send all of it. Raises Gone."""
        self._check()
        try:
            self._connection.sendall(data)
        except OSError:
            raise Gone from None

    def take(self, count: int) -> bytes:
        """So many bytes of what the client sends. Raises Gone."""
        taken = b""
        while len(taken) < count:
            self._check()
            try:
                more = self._connection.recv(count - len(taken))
            except OSError:
                raise Gone from None
            if not more:
                raise Gone
            taken += more
        return taken

    def wait(self, seconds: float | None = None) -> None:
        """Say nothing for so long. Raises Gone when the test is over."""
        if self._over.wait(seconds):
            raise Gone

    def _check(self) -> None:
        if self._over.is_set():
            raise Gone


Behaviour = Callable[[Peer], None]


class HostileServer:
    """Listens on a loopback port as long as the block runs. ``behave`` may be replaced."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.clients = 0  # that have come
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        for each in (self._listener, *self._connections):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def replace(self, behave: Behaviour) -> None:
        """Another server takes the place of this one."""
        self.behave = behave
        for each in self._connections:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def wait(self, seconds: float) -> None:
        """Go on as now for so long."""
        self._over.wait(seconds)

    def _accept(self) -> None:
        with self._listener, contextlib.suppress(OSError):
            while not self._over.is_set():
                connection, _ = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.clients += 1
                self._connections.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(Gone):
            self.behave(Peer(connection, self._over))


# Attacks on any client


def silence(peer: Peer) -> None:
    """Take the connection, and nothing else."""
    peer.wait()


def garbage(peer: Peer) -> None:
    """Send what means nothing, and hang up."""
    peer.send(os.urandom(1 << 12))


def flood(peer: Peer) -> None:
    """Send what means nothing, without end."""
    noise = os.urandom(FLOOD)
    while True:
        peer.send(noise)


def drip(greeting: bytes) -> Behaviour:
    """Send how a sane server begins, a byte a second."""

    def behave(peer: Peer) -> None:
        for at in range(len(greeting)):
            peer.send(greeting[at : at + 1])
            peer.wait(_DRIP)
        peer.wait()

    return behave


def half_of_tls(peer: Peer) -> None:
    """Begin to shake hands for TLS, and stop."""
    peer.take(5)
    peer.send(TLS_HALF)
    peer.wait()


def endless(beginning: bytes) -> Behaviour:
    """Send something that has a beginning and zeros without end."""

    def behave(peer: Peer) -> None:
        peer.send(beginning)
        zeros = bytes(FLOOD)
        while True:
            peer.send(zeros)

    return behave

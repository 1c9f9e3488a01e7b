"""The bytes between libpq and PostgreSQL, counted on their way.

libpq takes any length that a server claims, up to 1 GiB. It keeps each setting that a server tells
of, and reads without a pause while a server sends. It has no limits for that. So libpq gets one end
of a socket pair in place of its socket, under the same number. That is done as soon as it waits for
the server's first byte. A task carries the bytes between the other end and the server. It stops
when the server has sent more than ``limit`` bytes that brought neither a row nor a notification.

Only bytes are counted, not messages: most of them are encrypted by libpq's TLS.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Generator
from typing import Any, Final, TypeVar

import psycopg
from psycopg.waiting import Wait

CHUNK: Final = 1 << 16  # bytes that libpq is given at a time
_FAREWELL: Final = 0.5  # seconds for the last bytes to go out

T = TypeVar("T")


class Relay:
    """Carries the bytes of one connection of libpq's. Runs in asyncio.

    ``limit`` is how many unaccounted bytes may come.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.why_cut = ""
        self._received = self._accounted = 0
        self._near: socket.socket | None = None
        self._ours = 0  # the inode of libpq's end
        self._tasks: list[asyncio.Task[None]] = []

    def account(self, count: int) -> None:
        """So many bytes of those that came were of use."""
        self._accounted = min(self._accounted + count, self._received)

    def through(self, connecting: Generator[tuple[int, Wait], Any, T]) -> Generator[Any, Any, T]:
        """As psycopg's generator, with the relay in place as soon as there are answers."""
        try:
            descriptor, wish = next(connecting)
            while True:
                if wish & Wait.R:
                    self._step_between(descriptor)
                ready = yield descriptor, wish
                descriptor, wish = connecting.send(ready)
        except StopIteration as end:
            connected: T = end.value
            return connected
        except psycopg.Error:
            if self.why_cut:
                raise psycopg.OperationalError(self.why_cut) from None
            raise
        finally:
            connecting.close()

    def _step_between(self, descriptor: int) -> None:
        if os.fstat(descriptor).st_ino == self._ours:
            return  # libpq has made no other socket since
        server = socket.socket(fileno=os.dup(descriptor))
        near, far = socket.socketpair()
        with far:
            for end in (server, near, far):
                end.setblocking(False)
            # As much as lies here can keep libpq busy at one go.
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CHUNK)
            os.dup2(far.fileno(), descriptor, inheritable=False)
        self._ours = os.fstat(descriptor).st_ino
        self._tasks = [each for each in self._tasks if not each.done()]
        self._tasks.append(asyncio.create_task(self._carry(near, server)))

    async def close(self) -> None:
        """Have the last bytes go out, if that takes only a moment. libpq has hung up before."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_FAREWELL)
        self.give_up()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def give_up(self) -> None:
        """Break off."""
        for task in self._tasks:
            task.cancel()

    async def _carry(self, near: socket.socket, server: socket.socket) -> None:
        with near, server:
            carrying_in = asyncio.create_task(self._carry_in(near, server))
            try:
                await self._carry_out(near, server)
            finally:
                carrying_in.cancel()
                await asyncio.wait([carrying_in])

    @staticmethod
    async def _carry_out(near: socket.socket, server: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await loop.sock_recv(near, CHUNK):
                await loop.sock_sendall(server, data)

    async def _carry_in(self, near: socket.socket, server: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await loop.sock_recv(server, CHUNK):
                self._received += len(data)
                if self._received - self._accounted > self.limit:
                    size = self.limit >> 10
                    shown = f"{size} KiB" if size < 1024 else f"{size >> 10} MiB"
                    self.why_cut = f"the server sent more than {shown} that were no row"
                    break
                await loop.sock_sendall(near, data)
        with contextlib.suppress(OSError):
            near.shutdown(socket.SHUT_WR)

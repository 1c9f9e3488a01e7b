"""Lookups of the names of hosts that configs name, in threads: each user has a few of them.

A tenant decides which name server is asked, and so how long an answer takes. A lookup cannot be
interrupted: its thread is left behind, and keeps its place until the answer comes. So no lookup
takes one of the threads that all share.
"""

import socket
from typing import Any, Final

import trio

_OF_ONE: Final = 4  # lookups of one user at once
_ALL: Final = 32  # of all where vassals have no users of their own


class Lookups:
    """The places for lookups, by user."""

    def __init__(self) -> None:
        self._limiters: dict[int | None, trio.CapacityLimiter] = {}

    def of(self, uid: int | None) -> trio.CapacityLimiter:
        """Those of a user; None: of all, where vassals have no users of their own."""
        if uid not in self._limiters:
            self._limiters[uid] = trio.CapacityLimiter(_ALL if uid is None else _OF_ONE)
        return self._limiters[uid]


async def look_up(host: str, port: int, limiter: trio.CapacityLimiter) -> list[Any]:
    """The addresses of a host, as getaddrinfo(3) gives them. Raises OSError."""
    name = host.encode()  # as bytes: the codec for international names rejects some
    try:  # does not block
        return socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass
    try:
        return await trio.to_thread.run_sync(
            lambda: socket.getaddrinfo(name, port, type=socket.SOCK_STREAM),
            limiter=limiter,
            abandon_on_cancel=True,
        )
    except RuntimeError as error:
        raise OSError(f"{host} cannot be looked up: {error}") from None

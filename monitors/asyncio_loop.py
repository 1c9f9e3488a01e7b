"""A loop of asyncio within trio's, for client libraries that want one."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import trio
import trio_asyncio  # type: ignore[import-untyped]


@contextlib.asynccontextmanager
async def asyncio_loop() -> AsyncIterator[Any]:
    """The loop, as long as the block runs; what goes wrong there gets out as it is."""
    try:
        async with trio_asyncio.open_loop() as loop:
            loop.set_default_executor(_Threads())
            loop.sock_connect = _closing(loop, loop.sock_connect)
            yield loop
    except BaseExceptionGroup as group:
        raise _only(group) from None


def _closing(
    loop: Any, connect: Callable[[socket.socket, Any], Awaitable[None]]
) -> Callable[[socket.socket, Any], Awaitable[None]]:
    """pymongo forgets the socket whose connecting is cancelled; it would be closed by chance."""

    async def sock_connect(sock: socket.socket, address: Any) -> None:
        try:
            await connect(sock, address)
        except asyncio.CancelledError:
            loop.call_soon(sock.close)  # the loop lets go of its descriptor first
            raise

    return sock_connect


def _only(group: BaseException) -> BaseException:
    """The error itself, where a group holds nothing else."""
    while isinstance(group, BaseExceptionGroup) and len(group.exceptions) == 1:
        group = group.exceptions[0]
    return group


class _Threads(trio_asyncio.TrioExecutor):  # type: ignore[misc]
    """Looks up host names, shakes hands for TLS, reads files. Who is cancelled waits for none."""

    async def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run it in a thread, and leave the thread behind when cancelled."""
        return await trio.to_thread.run_sync(function, *arguments, abandon_on_cancel=True)

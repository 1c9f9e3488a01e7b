"""asyncio within trio, as clients of databases and queues get it."""

import asyncio
import socket

import trio
import trio.testing
import trio_asyncio  # type: ignore[import-untyped]
from emperord.monitors.asyncio_loop import asyncio_loop


async def test_a_socket_whose_connecting_is_cancelled_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.setblocking(False)

        async def give_up() -> None:
            loop = asyncio.get_running_loop()
            connecting = asyncio.ensure_future(loop.sock_connect(client, server.getsockname()))
            await asyncio.sleep(0)  # it has begun
            connecting.cancel()
            await asyncio.wait([connecting])
            assert connecting.cancelled()

        async with asyncio_loop():
            await trio_asyncio.aio_as_trio(give_up)()
            await trio.testing.wait_all_tasks_blocked()
            assert client.fileno() == -1


async def test_one_that_is_connected_is_left_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.setblocking(False)

        async def connect() -> None:
            await asyncio.get_running_loop().sock_connect(client, server.getsockname())

        async with asyncio_loop():
            await trio_asyncio.aio_as_trio(connect)()
        assert client.getpeername() == server.getsockname()

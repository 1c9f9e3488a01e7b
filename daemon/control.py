"""The control socket: what ``emperor-ctl`` and scripts talk to.

A UNIX stream socket, mode 0600. A client sends one line of JSON, gets one line of JSON, and may
go on:

    {"do": "status"}                        {"ok": true, "status": {...}}
    {"do": "list"}                          {"ok": true, "vassals": [...]}
    {"do": "show", "name": N}               {"ok": true, "vassal": {...}}
    {"do": "start"|"stop"|"reload"|"retry", "name": N}   {"ok": true, "phase": P}
    {"do": "upgrade"}                       {"ok": true}
    anything that is refused                {"ok": false, "error": "..."}

Every change is journaled with the uid of who asked (SO_PEERCRED), and answered when it is durable.
"""

import errno
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
import trio

from .addresses import reachable

LONGEST: Final = 65_536  # bytes of a request
_IDLE: Final = 300.0  # seconds that a client may say nothing
_MOST_CLIENTS: Final = 64

# From a request and the caller's uid to the answer; raises Refused.
Answer = Callable[[Mapping[str, Any], int], Awaitable[dict[str, Any]]]


class Refused(Exception):
    """What was asked cannot be done; the text says why."""


class ControlInUse(OSError):
    """Somebody else listens there, or it is no socket."""


def bind(path: str) -> socket.socket:
    """Listen on a path; a socket that nobody listens on any more is replaced, nothing else.

    Raises ControlInUse, OSError.
    """
    _make_room(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Only the owner, from the first moment: the mode of the socket is what umask leaves.
        former = os.umask(0o177)
        try:
            with reachable(path) as short:
                listener.bind(short)
        finally:
            os.umask(former)
        listener.listen(_MOST_CLIENTS)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"{error.strerror}; give another --control", path) from None
    return listener


def _make_room(path: str) -> None:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise ControlInUse(errno.EEXIST, "there is a file that is no socket", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            with reachable(path) as short:
                probe.connect(short)
        except ConnectionRefusedError:
            os.unlink(path)
        except OSError as error:
            raise ControlInUse(error.errno, str(error.strerror), path) from None
        else:
            raise ControlInUse(errno.EADDRINUSE, "another process listens there", path)


async def serve(
    listener: socket.socket,
    answer: Answer,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer clients until cancelled."""
    room = trio.CapacityLimiter(_MOST_CLIENTS)
    server = trio.SocketListener(trio.socket.from_stdlib_socket(_listening(listener)))

    async def client(stream: trio.SocketStream) -> None:
        async with stream:
            with trio.move_on_after(_IDLE) as patience:
                try:
                    await _converse(stream, answer, patience)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return  # it has gone; so be it

    async with trio.open_nursery() as nursery:
        task_status.started()
        while True:
            await room.acquire_on_behalf_of(token := object())
            try:
                stream = await server.accept()
            except OSError as error:
                room.release_on_behalf_of(token)
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
                    raise
                await trio.sleep(0.5)
                continue
            nursery.start_soon(_then, client, stream, room, token)


async def _then(
    client: Callable[[trio.SocketStream], Awaitable[None]],
    stream: trio.SocketStream,
    room: trio.CapacityLimiter,
    token: object,
) -> None:
    try:
        await client(stream)
    finally:
        room.release_on_behalf_of(token)


def _listening(listener: socket.socket) -> socket.socket:
    listener.setblocking(False)
    return listener


async def _converse(stream: trio.SocketStream, answer: Answer, patience: trio.CancelScope) -> None:
    uid = _caller(stream)
    pending = b""
    while True:
        line, found, pending = pending.partition(b"\n")
        if found:
            patience.deadline = trio.current_time() + _IDLE
            await stream.send_all(msgspec.json.encode(await _reply(line, uid, answer)) + b"\n")
            continue
        if len(line) > LONGEST:
            refusal = {"ok": False, "error": f"a request has {LONGEST} bytes at most"}
            await stream.send_all(msgspec.json.encode(refusal) + b"\n")
            return
        received = await stream.receive_some()
        if not received:
            return
        pending = line + received


async def _reply(line: bytes, uid: int, answer: Answer) -> dict[str, Any]:
    try:
        request = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return {"ok": False, "error": "the request is not a line of JSON"}
    if not isinstance(request, dict):
        return {"ok": False, "error": "the request is not a JSON object"}
    try:
        return {"ok": True, **await answer(request, uid)}
    except Refused as refused:
        return {"ok": False, "error": str(refused)}


def _caller(stream: trio.SocketStream) -> int:
    """The uid of the process at the other end."""
    size = struct.calcsize("3i")
    credentials = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, uid, _ = struct.unpack("3i", credentials)
    return int(uid)

"""The control socket: what ``emperor-ctl`` and scripts talk to.

A UNIX stream socket, mode 0600. A client sends one line of JSON, gets one line of JSON, and may
go on:

    {"do": "status"}                        {"ok": true, "status": {...}}
    {"do": "list"}                          {"ok": true, "vassals": [...]}
    {"do": "show", "name": N}               {"ok": true, "vassal": {...}}
    {"do": "start"|"stop"|"reload"|"retry", "name": N}   {"ok": true, "phase": P}
    {"do": "upgrade"}                       {"ok": true}
    {"do": "take_over"}                     {"ok": true} and a descriptor, see succession.py
    anything that is refused                {"ok": false, "error": "..."}

Every change is journaled with the uid of who asked (SO_PEERCRED), and answered when it is durable.
"""

import array
import errno
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
import trio

from . import addresses
from .keeper_link import KeeperLink

LONGEST: Final = 65_536  # bytes of a request
_IDLE: Final = 300.0  # seconds that a client may say nothing
_MOST_CLIENTS: Final = 64
_KEPT: Final = "control"  # under which name the keeper keeps it

# From a request and the caller's uid to the answer, which may come with a socket to pass on and
# close; raises Refused.
Answer = Callable[
    [Mapping[str, Any], int], Awaitable[dict[str, Any] | tuple[dict[str, Any], socket.socket]]
]


class Refused(Exception):
    """What was asked cannot be done; the text says why."""


class ControlInUse(OSError):
    """Somebody else listens there, or it is no socket."""


def bind(path: str) -> socket.socket:
    """Listen on a path; a socket that nobody listens on any more is replaced, nothing else.

    Raises ControlInUse, OSError.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _make_room(path)
        former = os.umask(0o177)  # for its owner only, from the first moment
        try:
            addresses.bind(listener, path, 0o600)
        finally:
            os.umask(former)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise type(error)(error.errno, f"{reason}; give another --control", path) from None
    return listener


def inherit(path: str, keeper: KeeperLink) -> socket.socket:
    """The control socket of the daemon before, whose clients are still waiting, or a new one.

    Raises ControlInUse, OSError.
    """
    kept = keeper.take(_KEPT)
    if kept is not None:
        if kept.about == _about(path):
            return socket.socket(fileno=kept.descriptors[0])
        keeper.drop(_KEPT)
        os.close(kept.descriptors[0])
    listener = bind(path)
    keeper.keep(_KEPT, [listener.fileno()], _about(path))
    return listener


def _about(path: str) -> dict[str, Any]:
    """Which file that is: another may be there by now."""
    try:
        status = os.lstat(path)
    except OSError:
        return {}
    return {"path": path, "device": status.st_dev, "inode": status.st_ino}


def _make_room(path: str) -> None:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise ControlInUse(errno.EEXIST, "there is a file that is no socket", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            addresses.connect(probe, path)
        except ConnectionRefusedError:
            return  # nobody listens any more; it is replaced
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
            await _send(stream, *await _reply(line, uid, answer))
            continue
        if len(line) > LONGEST:
            refusal = {"ok": False, "error": f"a request has {LONGEST} bytes at most"}
            await _send(stream, refusal)
            return
        received = await stream.receive_some()
        if not received:
            return
        pending = line + received


async def _send(
    stream: trio.SocketStream, answer: dict[str, Any], passed: socket.socket | None = None
) -> None:
    line = msgspec.json.encode(answer) + b"\n"
    if passed is None:
        await stream.send_all(line)
        return
    with passed:
        rights = array.array("i", [passed.fileno()])
        await stream.socket.sendmsg([line], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


async def _reply(
    line: bytes, uid: int, answer: Answer
) -> tuple[dict[str, Any], socket.socket | None]:
    try:
        request = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {"ok": False, "error": "the request is not a line of JSON"}, None
    if not isinstance(request, dict):
        return {"ok": False, "error": "the request is not a JSON object"}, None
    try:
        answered = await answer(request, uid)
    except Refused as refused:
        return {"ok": False, "error": str(refused)}, None
    said, passed = answered if isinstance(answered, tuple) else (answered, None)
    return {"ok": True, **said}, passed


def _caller(stream: trio.SocketStream) -> int:
    """The uid of the process at the other end."""
    size = struct.calcsize("3i")
    credentials = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, uid, _ = struct.unpack("3i", credentials)
    return int(uid)

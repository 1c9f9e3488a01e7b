"""The control socket: what ``emperor-ctl`` and scripts talk to.

A UNIX stream socket, mode 0600. A client sends one line of JSON, gets one line of JSON, and may
go on:

    {"do": "status"}                        {"ok": true, "status": {...}}
    {"do": "list"}                          {"ok": true, "vassals": [...]}
    {"do": "show", "name": N}               {"ok": true, "vassal": {...}}
    {"do": "log", "name": N}                {"ok": true, "log": PATH, "there": BOOL}
    {"do": "start"|"stop"|"restart"|"reload"|"retry", "name": N}   {"ok": true, "phase": P}
    {"do": "wait", "name": N, "for": "start"|...}        {"ok": true, "phase": P}
    {"do": "rollback", "names": [N, ...], "to": SEQ or DIGEST}   see rollbacks.py
    the same with "names": [N, ...] or "all": true       a line for each, see orders.py
    {"do": "reopen"}                        {"ok": true, "renamed_logs": {...}}
    {"do": "archive", "before": T}, {"do": "backup", "file": F}   see archives.py
    {"do": "upgrade"}                       {"ok": true}
    {"do": "adopt"}, {"do": "restore", "file": F}   of an estranged daemon, see estranged.py
    {"do": "take_over"}                     {"ok": true} and a descriptor, see takeover.py
    anything that is refused                {"ok": false, "error": "..."}

Every change is journaled with the uid of the client (SO_PEERCRED), its process (``caller.py``), and
its ``"reason": TEXT``, and is answered when it is durable. A refused one is journaled, too.
"""

import array
import contextlib
import errno
import logging
import math
import os
import select
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec
import trio

from ...monitors import stale_socket
from ..cli import escapes
from ..host import failures
from ..keeper.link import KeeperLink
from ..keeper.protocol import CONTROL
from . import unix_sockets
from .caller import Caller, caller, user_of
from .connection_limits import ClientLimits

PROTOCOL: Final = 2  # the version of requests and answers; 1 knew no requests about many vassals
LONGEST: Final = 524_288  # bytes of a request: 2,000 names of 254 bytes
_IDLE: Final = 300.0  # seconds that a client may say nothing
_MOST_WAITING: Final = 1024  # clients that wait for a vassal, beside those
_AT_ONCE: Final = 100  # lines that are made in one step of the event loop
_LOOK: Final = 2.0  # seconds between looks whether a client is there that waits
T = TypeVar("T")
log = logging.getLogger("emperor")


class Refused(Exception):
    """A request cannot be done. The text says why; ``more`` are further fields of the answer."""

    def __init__(self, reason: str, **more: Any) -> None:
        super().__init__(reason)
        self.more = more


class Failed(Refused):
    """A request was recorded, or needs no record, and vassals have not come to what was asked."""


class ControlInUse(OSError):
    """Another process listens there, or the file is no socket."""


class Client:
    """A client that has one of the places. ``uid`` is its user's."""

    def __init__(self, stream: trio.SocketStream, places: ClientLimits) -> None:
        self.stream = stream
        self.uid, self._pid = user_of(stream.socket)
        self.idle_since: float | None = None
        self.patience = trio.CancelScope()  # until it is disconnected
        self._places = places
        self._placed = False

    def caller(self) -> Caller:
        """The client, as far as it can be known now. Reads a few small files of procfs."""
        return caller(self.uid, self._pid)

    async def enter(self) -> bool:
        """Take a place, unless it has one. False if too many of its user's clients wait for one."""
        if not self._placed:
            self._placed = await self._places.take(self)
        return self._placed

    async def tell(self, *answers: dict[str, Any]) -> None:
        """Send lines before the answer. Raises trio.BrokenResourceError for a client that left.

        Other tasks have their turns between some lines and the next: to escape them takes time.
        """
        for first in range(0, len(answers), _AT_ONCE):
            some = answers[first : first + _AT_ONCE]
            await self.send(b"".join(escapes.encode(each) + b"\n" for each in some))
        self.is_idle(False)

    async def send(self, lines: bytes) -> None:
        """Send lines that the client has to read. Raises trio.BrokenResourceError.

        A client that has made room for more of them is as fresh as one that has just come. The time
        for all of them is limited, and a new one begins after them.
        """
        self.is_idle(True)
        rest = memoryview(lines)
        while rest:
            with _until_it_leaves():
                rest = rest[await self.stream.socket.send(rest) :]
            self.idle_since = trio.current_time()
        self.patience.deadline = trio.current_time() + _IDLE

    def leave(self) -> None:
        """Leave the place to another client."""
        self._placed = False
        self._places.leave(self)

    def hang_up(self) -> None:
        """Another client gets the place."""
        self._placed = False
        self.patience.cancel()

    def is_idle(self, idle: bool) -> None:
        """Note whether it is the client that is waited for."""
        if not idle:
            self.idle_since, self.patience.deadline = None, math.inf
        elif self.idle_since is None:  # a part of a request does not count as one
            self.idle_since = trio.current_time()
            self.patience.deadline = self.idle_since + _IDLE
            self._places.changed()

    async def aside(self, wait: Callable[[], Awaitable[T]]) -> T:
        """Wait for a long time: others are served meanwhile. Ends when the client has gone.

        Raises Refused when too many wait already, trio.BrokenResourceError for a client that left.
        """
        if self._places.waiting >= _MOST_WAITING:
            raise Refused(f"{_MOST_WAITING} clients wait already; ask without waiting")
        self.leave()
        self._places.waiting += 1
        came: list[T] = []
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._end_with_client, nursery.cancel_scope)
                with contextlib.suppress(trio.BrokenResourceError):
                    came.append(await wait())
                nursery.cancel_scope.cancel()
        finally:
            self._places.waiting -= 1
        if not came:
            raise trio.BrokenResourceError("the client has gone")
        return came[0]

    async def _end_with_client(self, scope: trio.CancelScope) -> None:
        # A client that only closed its sending half still wants its answer: that is no POLLHUP.
        poll = select.poll()
        poll.register(self.stream.socket, 0)
        while True:
            if poll.poll(0):
                scope.cancel()
            await trio.sleep(_LOOK)


@contextlib.contextmanager
def _until_it_leaves() -> Iterator[None]:
    """An error of the socket means that the client has gone."""
    try:
        yield
    except OSError as error:
        raise trio.BrokenResourceError("the client has gone") from error


# An answer: its fields, which may come with a socket to pass on and close, or its whole line.
Answered = dict[str, Any] | tuple[dict[str, Any], socket.socket] | bytes
# From a request and its client to the answer; raises Refused.
Answer = Callable[[Mapping[str, Any], Client], Awaitable[Answered]]


def bind(path: str, group: int | None = None) -> socket.socket:
    """Listen on a path. A socket without a listener is replaced, nothing else.

    Members of ``group`` may connect. Raises ControlInUse, OSError.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _check(path)
        former = os.umask(0o177)  # for its owner only, from the first moment
        try:
            unix_sockets.bind(listener, path, 0o600)
            _admit(path, group)
        finally:
            os.umask(former)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise type(error)(error.errno, f"{reason}; give another --control", path) from None
    return listener


def _admit(path: str, group: int | None) -> None:
    """Let the members of a group connect. Without one, only the owner can."""
    if group is None:
        os.chmod(path, 0o600)
        return
    try:
        os.chown(path, -1, group)
    except PermissionError as error:
        reason = f"the daemon is neither root nor in group {group}, so it cannot give it the socket"
        raise PermissionError(error.errno, reason, path) from None
    os.chmod(path, 0o660)


def inherit(path: str, keeper: KeeperLink, group: int | None = None) -> socket.socket:
    """The control socket of the daemon before, whose clients are still waiting, or a new one.

    Raises ControlInUse, OSError.
    """
    kept = keeper.take(CONTROL)
    if kept is not None:
        # One whose directory was moved away is found again when that is back.
        if kept.about == _about(path):
            _admit(path, group)  # the daemon before may have had another option
            return socket.socket(fileno=kept.descriptors[0])
        if not os.path.isdir(os.path.dirname(path)):
            return socket.socket(fileno=kept.descriptors[0])
        keeper.drop(CONTROL)
        os.close(kept.descriptors[0])
    listener = bind(path, group)
    keeper.keep(CONTROL, [listener.fileno()], _about(path))
    return listener


def _about(path: str) -> dict[str, Any]:
    """Which file that is: another may be there by now."""
    try:
        status = os.lstat(path)
    except OSError:
        return {}
    return {"path": path, "device": status.st_dev, "inode": status.st_ino}


def _check(path: str) -> None:
    """Raise ControlInUse unless a socket can take this place."""
    try:
        stale_socket.check(path)
    except stale_socket.Served:
        raise ControlInUse(errno.EADDRINUSE, "another process listens there", path) from None
    except OSError as error:
        raise ControlInUse(error.errno, str(error.strerror), path) from None


async def serve(
    listener: socket.socket,
    answer: Answer,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer clients until cancelled."""
    places = ClientLimits()
    server = trio.SocketListener(trio.socket.from_stdlib_socket(_listening(listener)))
    async with trio.open_nursery() as nursery:
        task_status.started()
        while True:
            try:
                stream = await server.accept()
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
                    raise
                await trio.sleep(0.5)
                continue
            nursery.start_soon(_serve, stream, places, answer)


async def _serve(stream: trio.SocketStream, places: ClientLimits, answer: Answer) -> None:
    """Answer one client until it leaves. A bug of ours ends this one, and not the daemon."""
    try:
        async with stream:
            client = Client(stream, places)
            try:
                with client.patience:
                    await _converse(client, answer)
            finally:
                client.leave()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return  # it has gone, so nothing is left to answer
    except Exception as fault:
        error = failures.describe(failures.alone(fault))
        log.error("disconnecting a client of the control socket: %s", error)


def _listening(listener: socket.socket) -> socket.socket:
    listener.setblocking(False)
    return listener


async def _converse(client: Client, answer: Answer) -> None:
    stream = client.stream
    pending, looked_at = bytearray(), 0
    while True:
        if not await client.enter():
            await stream.send_all(_refusal(f"too many connections of uid {client.uid}"))
            return
        client.is_idle(True)
        end = pending.find(b"\n", looked_at)
        if end >= 0:
            line = bytes(pending[:end])
            del pending[: end + 1]
            looked_at = 0
            client.is_idle(False)  # a request has its own limits
            await _send(client, *await _reply(line, client, answer))
            continue
        looked_at = len(pending)
        if looked_at > LONGEST:
            await client.send(_refusal(f"a request has {LONGEST} bytes at most"))
            return
        received = await stream.receive_some()
        await trio.lowlevel.checkpoint_if_cancelled()  # another client got its place meanwhile
        if not received:
            return
        pending += received


async def _send(client: Client, line: bytes, passed: socket.socket | None = None) -> None:
    if passed is None:
        await client.send(line)
        return
    client.is_idle(True)
    with passed:
        rights = array.array("i", [passed.fileno()])
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
        with _until_it_leaves():
            await client.stream.socket.sendmsg([line], ancillary)


async def _reply(line: bytes, client: Client, answer: Answer) -> tuple[bytes, socket.socket | None]:
    """The line of the answer. Its fields are not kept: a slow reader would hold four times more."""
    try:
        request = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _refusal("the request is not a line of JSON"), None
    if not isinstance(request, dict):
        return _refusal("the request is not a JSON object"), None
    version = request.get("protocol", 1)
    if not isinstance(version, int) or version > PROTOCOL:
        known = f"the daemon knows version {PROTOCOL} of the protocol"
        return _refusal(f"{known}; 'emperor-ctl upgrade' replaces it"), None
    try:
        answered = await answer(request, client)
    except Refused as refused:
        return _refusal(str(refused), **refused.more), None
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        raise  # the client has gone
    except Exception as fault:  # a bug of ours is to end this answer, and not the daemon
        error = failures.alone(fault)
        log.error("no answer to a client of uid %s: %s", client.uid, failures.describe(error))
        reason = failures.reason_of(error)
        return _refusal(f"an error of the daemon, whose log says more: {reason}"), None
    if isinstance(answered, bytes):
        return answered, None
    said, passed = answered if isinstance(answered, tuple) else (answered, None)
    return accepted(said), passed


def accepted(said: Mapping[str, Any]) -> bytes:
    """The line of an answer with these fields."""
    return escapes.encode({"ok": True, **said}) + b"\n"


def _refusal(error: str, **more: Any) -> bytes:
    return escapes.encode({"ok": False, "error": error, **more}) + b"\n"

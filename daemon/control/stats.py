"""``--stats``: one JSON document for each connection, as uWSGI's Emperor writes it.

Scripts that read uWSGI's ``emperor-stats`` find the same names here. The values are those that the
daemon knows; docs/control.md has the differences. There is nothing of a config in it. A connection
has a deadline, and their number a limit, so a client that does not read holds nothing up.
"""

import contextlib
import errno
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import trio

from ...monitors import stale_socket
from ...version import VERSION
from ..core.ends import restarts
from ..core.fleet import Fleet, Vassal
from ..host.listen_address import ListenAddress, parse
from . import unix_sockets

log = logging.getLogger("emperor")

_MOST: Final = 32  # clients at a time; others wait in the backlog
_PATIENCE: Final = 5.0  # seconds for a client to take the document
_FAREWELL: Final = 1.0  # seconds for it to close the connection
_FRESH: Final = 0.2  # seconds that a document is given to further clients
_AGAIN: Final = 2.0  # seconds between tries to listen
_MODE: Final = 0o600
_SECOND: Final = 1_000_000_000  # nanoseconds
_MILLISECOND: Final = 1_000_000
# A vassal that uWSGI's Emperor would know by its blacklist, or not at all.
_THROTTLED: Final = ("throttled", "barred")
_ABSENT: Final = (*_THROTTLED, "held")


class StatsServer:
    """Serves the document at an address. ``make`` gives its fields.

    ``trouble``: why it does not listen.
    """

    def __init__(self, address: str, make: Callable[[], dict[str, Any]]) -> None:
        self.trouble: tuple[int | None, str] | None = None
        self._address = address
        self._make = make
        self._document = b""
        self._until = 0.0
        self._places = trio.CapacityLimiter(_MOST)

    async def run(self) -> None:
        """Serve until cancelled."""
        where = place(self._address)
        listener = await self._listen(where)
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    # A place first: a client without one stays in the kernel's queue.
                    whose = object()
                    await self._places.acquire_on_behalf_of(whose)
                    nursery.start_soon(self._answer, await _accepted(listener), whose)
        finally:
            _close(listener, where)

    async def _answer(self, client: trio.socket.SocketType, whose: object) -> None:
        try:
            with trio.move_on_after(_PATIENCE), contextlib.suppress(trio.BrokenResourceError):
                stream = trio.SocketStream(client)
                await stream.send_all(self.document())
                await stream.send_eof()
                # To close it with a request unread would take the document from the client.
                with trio.move_on_after(_FAREWELL):
                    while await stream.receive_some():
                        pass
        except Exception:  # a bug about one document ends no daemon
            log.exception("--stats: an answer failed")
        finally:
            client.close()
            self._places.release_on_behalf_of(whose)

    async def _listen(self, where: ListenAddress) -> trio.socket.SocketType:
        """A socket that listens. A former daemon may still have the address: it tries again."""
        while True:
            try:
                listener = _listening(where)
            except OSError as error:
                if self.trouble is None:
                    log.error("--stats %s: %s; tried again", self._address, error.strerror)
                self.trouble = None, f"it cannot listen: {error.strerror}; tried again"
            else:
                self.trouble = None
                return trio.socket.from_stdlib_socket(listener)
            await trio.sleep(_AGAIN)

    def document(self) -> bytes:
        """The document, at most 0.2 s old."""
        if time.monotonic() > self._until:
            self._document = msgspec.json.format(msgspec.json.encode(self._make()), indent=1)
            self._until = time.monotonic() + _FRESH
        return self._document


def place(address: str) -> ListenAddress:
    """Where an address is; without a host it is one of this machine only. Raises CannotListen."""
    return parse(f"127.0.0.1{address}" if address.startswith(":") else address)


def flaw(addresses: Sequence[str]) -> str | None:
    """Why one of the addresses cannot be had, None if all can."""
    for address in addresses:
        where = place(address)
        try:
            _bound(where).close()
            if where.path is not None:
                stale_socket.check(where.path)
        except OSError as error:
            return f"--stats {address}: {error.strerror}"
    return None


def _listening(where: ListenAddress) -> socket.socket:
    """A socket that listens. Raises OSError."""
    listener = _bound(where)
    try:
        if where.path is not None:
            stale_socket.check(where.path)
            unix_sockets.bind(listener, where.path, _MODE)
        else:
            listener.listen()
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _bound(where: ListenAddress) -> socket.socket:
    """A socket at its address; that of a file has none until it listens. Raises OSError."""
    listener = socket.socket(where.family, socket.SOCK_STREAM)
    try:
        if where.port is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if where.path is None:
            listener.bind(where.name)
    except BaseException:
        listener.close()
        raise
    return listener


async def _accepted(listener: trio.socket.SocketType) -> trio.socket.SocketType:
    while True:
        try:
            client, _ = await listener.accept()
            return client
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
                continue  # that client has left
        await trio.sleep(_AGAIN)


def _close(listener: trio.socket.SocketType, where: ListenAddress) -> None:
    """Stop to listen, and remove the socket's file if no other process serves it by now."""
    listener.close()
    if where.path is not None:
        with contextlib.suppress(OSError):
            stale_socket.remove(where.path)


def fields(
    fleet: Fleet, now: int, pid: int, heartbeat: Callable[[str], float | None]
) -> dict[str, Any]:
    """The document. ``pid`` takes signals; ``heartbeat`` gives the seconds since a vassal's."""
    vassals = [fleet.vassals[name] for name in sorted(fleet.vassals)]
    return {
        "version": VERSION,
        "pid": pid,
        "uid": os.getuid(),
        "gid": os.getgid(),
        "cwd": _directory(),
        "emperor": list(fleet.monitors),
        "emperor_tyrant": int(fleet.policy.tyrant),
        "throttle_level": fleet.policy.throttle,
        "vassals": [
            _vassal(each, now, heartbeat(each.name))
            for each in vassals
            if each.phase not in _ABSENT
        ],
        "blacklist": [_throttled(each) for each in vassals if each.phase in _THROTTLED],
    }


def _directory() -> str:
    """The working directory; empty where it was removed."""
    with contextlib.suppress(OSError):
        return os.getcwd()
    return ""


def _vassal(vassal: Vassal, now: int, silent: float | None) -> dict[str, Any]:
    spec, since, began = vassal.spec, vassal.since // _SECOND, (vassal.launched or 0) // _SECOND
    uid, gid = vassal.user or (spec.uid, spec.gid)
    ready = vassal.phase in ("ready", "accepting")
    accepting = vassal.phase == "accepting"
    return {
        "id": vassal.name,
        "pid": -1 if vassal.pid is None else vassal.pid,
        "born": began,
        "last_mod": spec.ts // _SECOND,
        "last_heartbeat": 0 if silent is None else now // _SECOND - int(silent),
        "loyal": int(vassal.loyal),
        "ready": int(ready),
        "accepting": int(accepting),
        "last_loyal": since if vassal.loyal else 0,
        "last_ready": since if ready else 0,
        "last_accepting": since if accepting else 0,
        "first_run": began,
        "last_run": began,
        "cursed": since if vassal.phase == "stopping" else 0,
        "zerg": 0,
        "on_demand": spec.socket or "",
        "suspended": 0,
        "adopted": 0,
        "uid": os.getuid() if uid is None else uid,
        "gid": os.getgid() if gid is None else gid,
        "monitor": vassal.monitor,
        "attrs": [],
        "respawns": restarts(vassal, now),
    }


def _throttled(vassal: Vassal) -> dict[str, Any]:
    until = vassal.since if vassal.deadline is None else vassal.deadline
    first = vassal.died[-vassal.deaths] if 0 < vassal.deaths <= len(vassal.died) else vassal.since
    return {
        "id": vassal.name,
        "throttle_level": (until - vassal.since) // _MILLISECOND,
        "attempt": vassal.deaths,
        "first_attempt": first // _SECOND,
        "last_attempt": vassal.since // _SECOND,
    }

"""The endpoint of zmq://: its address, its keys, and how to wait for messages.

A client that can send to the socket decides which programs the daemon runs. An ipc:// endpoint has
the permissions that the umask gives its file. A tcp:// endpoint is open to every client that
reaches it, unless it has a CURVE key (``curve_secretkey_file``). Then a client must know the public
key that belongs to it. Where ``curve_allowed_keys_file`` is given as well, the client's own public
key must be in there. The keys are read at each handshake (ZAP, ZeroMQ RFC 27), so a key can be
added or taken away while the daemon runs.

The daemon listens and accepts by itself, since libzmq has no limits for what a client sends
(``clients.py``).
"""

import errno
import functools
import os
import re
import socket as sockets
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import unquote

import msgspec
import trio
import zmq
from zmq.utils import z85

from ...journal import quantities
from ...journal.locked_files import NO_JOURNAL, LockedFiles
from .. import names, stale_socket
from ..contract import Refused
from ..os_errors import error_text
from ..polling import SourceFailed
from ..regular_file import NotRegular, opened
from ..urls import MonitorURLError, without_secrets
from .frames import LARGEST_FRAME, SEALED

QUEUE: Final = 8  # messages of one client that libzmq holds for us
_BACKLOG: Final = 100  # clients; as libzmq has it
_NEVER: Final = 2**31 - 1  # milliseconds
_LONGEST_PATH: Final = 107  # bytes of a UNIX socket's address
_KEY_LENGTH: Final = 40  # characters of a CURVE key in Z85
_KEY_FILE_LIMIT: Final = 1 << 20  # bytes
_NEEDS: Final = 20  # descriptors, and then some for the first clients
_TCP: Final = re.compile(r"tcp://(\*|\[[0-9A-Za-z:.%]+\]|[^:\[\]/;*]+):(\d+)")
_LOOPBACK: Final = re.compile(r"tcp://(127\.[0-9.]+|\[::1\]|lo):\d+")
_HELP: Final = "write zmq://tcp://127.0.0.1:5252 or zmq://ipc:///run/emperor.zmq"

Socket = zmq.Socket[bytes]


class Endpoint(msgspec.Struct, frozen=True):
    """Where to listen, and the files of keys, if any."""

    address: str
    secret_key_file: str | None = None
    allowed_keys_file: str | None = None
    locked: LockedFiles = NO_JOURNAL  # no file of keys is one of these

    @property
    def path(self) -> str | None:
        """The file of an ipc:// socket; None if it has none."""
        path = self.address.removeprefix("ipc://")
        return None if path == self.address or path.startswith("@") else path

    @property
    def open_to_all(self) -> bool:
        """Whether every client on the network can connect."""
        tcp = self.address.startswith("tcp://")
        return tcp and self.secret_key_file is None and not _LOOPBACK.fullmatch(self.address)


def parse(rest: str) -> Endpoint:
    """The endpoint that ``zmq://rest`` names. Raises MonitorURLError."""
    address, _, query = rest.partition("?")
    settings = dict(_settings(query))
    files = {key: os.path.abspath(value) for key, value in settings.items()}
    endpoint = Endpoint(
        _address(address),
        files.get("curve_secretkey_file"),
        files.get("curve_allowed_keys_file"),
    )
    if endpoint.allowed_keys_file is not None and endpoint.secret_key_file is None:
        raise MonitorURLError(
            "zmq:// has curve_allowed_keys_file without curve_secretkey_file: give both"
        )
    return endpoint


def _settings(query: str) -> list[tuple[str, str]]:
    found = []
    for setting in filter(None, query.split("&")):
        key, _, value = setting.partition("=")
        if key not in ("curve_secretkey_file", "curve_allowed_keys_file"):
            raise MonitorURLError(
                f"zmq:// has no setting {names.shown(key)}; there are curve_secretkey_file and"
                " curve_allowed_keys_file"
            )
        if not value:
            raise MonitorURLError(f"zmq:// has {key} without a path: write {key}=PATH")
        found.append((key, unquote(value)))
    return found


def _address(text: str) -> str:
    shown = names.shown(without_secrets(text))
    scheme, found, place = text.partition("://")
    if scheme == "ipc" and found and place:
        if place == "*":
            raise MonitorURLError(f"zmq://{shown}: no client could find it; {_HELP}")
        if not place.startswith("@"):
            place = os.path.abspath(place)
        if len(os.fsencode(place)) > _LONGEST_PATH:
            raise MonitorURLError(
                f"zmq://{shown}: too long, a socket's path has at most {_LONGEST_PATH} bytes"
            )
        return f"ipc://{place}"
    if scheme == "tcp" and found:
        match = _TCP.fullmatch(text)
        if match is None:
            raise MonitorURLError(
                f"zmq://{shown}: not an address and a port; {_HELP}, an IPv6 address in brackets"
            )
        if quantities.port(match[2]) is None:
            raise MonitorURLError(f"zmq://{shown}: the port must be from 1 to 65535")
        return text
    raise MonitorURLError(f"zmq://{shown}: not an endpoint to listen at; {_HELP}")


# Opening it


def check_descriptors() -> None:
    """Raise SourceFailed where a socket of libzmq would not get its descriptors."""
    held: list[int] = []
    try:
        while len(held) < _NEEDS:
            held.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
    except OSError:
        raise SourceFailed("there are too few descriptors") from None
    finally:
        for descriptor in held:
            os.close(descriptor)


def check_room() -> None:
    """Raise SourceFailed where libzmq would not get the descriptors and threads it starts with.

    It ends the whole process then, so it is better not asked.
    """
    held: list[int] = []
    begun: list[threading.Thread] = []
    over = threading.Event()
    try:
        while len(held) < _NEEDS:
            held.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
        for _ in range(3):
            thread = threading.Thread(target=over.wait, daemon=True)
            thread.start()
            begun.append(thread)
    except (OSError, RuntimeError):
        raise SourceFailed("cannot listen: there are too few descriptors or threads") from None
    finally:
        over.set()
        for thread in begun:
            thread.join()
        for descriptor in held:
            os.close(descriptor)


class Opened(msgspec.Struct, frozen=True):
    """A socket that listens, the key that clients have to know, if any, and its file, if any."""

    listener: sockets.socket
    key: bytes | None
    file: tuple[int, int] | None


async def open_endpoint(context: zmq.Context[Socket], endpoint: Endpoint) -> Opened:
    """Listen. Raises SourceFailed."""
    check_room()
    key = None
    if endpoint.secret_key_file is not None:
        key = await off_loop(read_secret_key, endpoint.secret_key_file, endpoint.locked)
    try:
        context.socket(zmq.PULL).close()  # starts the threads of libzmq while there is room
    except zmq.ZMQError as error:
        raise failure(error, endpoint) from None
    listener = listen(endpoint)
    # At once: a file that is lost or replaced from now on is noticed.
    file = None if endpoint.path is None else identity(endpoint.path)
    return Opened(listener, key, file)


def receiver(
    context: zmq.Context[Socket], endpoint: Endpoint, key: bytes | None, label: str
) -> Socket:
    """A PULL socket for one client. Raises zmq.ZMQError."""
    socket = context.socket(zmq.PULL)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.RCVHWM, QUEUE)
    socket.setsockopt(zmq.MAXMSGSIZE, LARGEST_FRAME + SEALED)
    # It connects once. To say "never again" would lose what it has not delivered yet.
    socket.setsockopt(zmq.RECONNECT_IVL, _NEVER)
    if key is not None:
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, key)
    if endpoint.allowed_keys_file is not None:
        # With a domain libzmq refuses every client while no handler answers its questions.
        socket.setsockopt(zmq.ZAP_DOMAIN, label.encode())
    return socket


def listen(endpoint: Endpoint) -> sockets.socket:
    """A socket that listens; may be done again when the file of an ipc:// one is lost.

    Raises SourceFailed.
    """
    try:
        if endpoint.path is not None:
            _make_way(endpoint.path)
            return _listener(sockets.AF_UNIX, endpoint.path)
        if endpoint.address.startswith("ipc://@"):
            return _listener(sockets.AF_UNIX, "\0" + endpoint.address.removeprefix("ipc://@"))
        host, port = numeric(endpoint)
        family = sockets.AF_INET6 if ":" in host else sockets.AF_INET
        return _listener(family, (host, port))
    except (zmq.ZMQError, OSError) as error:
        raise failure(error, endpoint) from None


def _listener(family: int, address: str | tuple[str, int]) -> sockets.socket:
    listener = sockets.socket(family, sockets.SOCK_STREAM)
    try:
        if family != sockets.AF_UNIX:
            listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
        if family == sockets.AF_INET6:
            listener.setsockopt(sockets.IPPROTO_IPV6, sockets.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def numeric(endpoint: Endpoint) -> tuple[str, int]:
    """The address of tcp:// as numbers. Raises OSError, SourceFailed, zmq.ZMQError.

    libzmq alone knows how it reads the name of an interface.
    """
    check_room()
    place, _, port = endpoint.address.rpartition(":")
    context: zmq.Context[Socket] = zmq.Context()
    try:
        with context.socket(zmq.PULL) as socket:
            # With IPv6 "*" is both families; the rest stays what it says.
            socket.setsockopt(zmq.IPV6, int("[" in place or "*" in place))
            socket.bind(f"{place}:*")  # a port that no client knows
            bound = socket.getsockopt(zmq.LAST_ENDPOINT)
    finally:
        context.destroy(linger=0)
    assert isinstance(bound, bytes)
    found = re.fullmatch(r"tcp://\[?([^\]]+?)\]?:\d+\0?", bound.decode())
    assert found is not None
    return found[1], int(port)


def failure(error: zmq.ZMQError | OSError, endpoint: Endpoint) -> SourceFailed:
    reason = os.strerror(error.errno) if error.errno else "it cannot be opened"
    if error.errno == errno.EADDRINUSE:
        reason = "another process listens there; stop that, or use another endpoint"
    elif error.errno in (errno.ENODEV, errno.EADDRNOTAVAIL):
        reason = (
            "this machine has no such address; give one of its IP addresses, the name of a"
            " network interface, or *"
        )
    elif error.errno == errno.ENOENT and endpoint.path is not None:
        reason = f"there is no directory {os.path.dirname(endpoint.path)}; make it"
    return SourceFailed(f"cannot listen at {endpoint.address}: {reason}")


def _make_way(path: str) -> None:
    """Remove the socket that a dead daemon left; nothing else. Raises SourceFailed."""
    try:
        stale_socket.remove(path)
    except stale_socket.NoSocket:
        raise SourceFailed(f"{path} is in the way and is no socket; remove it") from None
    except stale_socket.Served:
        raise SourceFailed(
            f"another process listens at {path}; stop that, or use another endpoint"
        ) from None
    except OSError as error:
        raise SourceFailed(f"cannot listen at {path}: {os.strerror(error.errno or 0)}") from None


def identity(path: str) -> tuple[int, int] | None:
    """Which file is at the path, None if there is none."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


# Waiting


async def receivable(socket: Socket) -> None:
    """Return when a message can be received.

    libzmq's descriptor tells once that there is *something new*: a message, or a client that came
    or left. Only EVENTS tells which it was. Asking for EVENTS makes the descriptor quiet again. So
    they are asked before each wait and after it, never the descriptor alone.
    """
    descriptor = socket.getsockopt(zmq.FD)
    assert isinstance(descriptor, int)
    while not int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
        await trio.lowlevel.wait_readable(descriptor)


async def off_loop(
    job: Callable[..., Any], *args: Any, limiter: trio.CapacityLimiter | None = None
) -> Any:
    """Run ``job`` in a thread that cancelling leaves to itself, and return its result.

    Where no thread can be had it is run right here: late is better than not at all.
    """
    try:
        return await trio.to_thread.run_sync(
            functools.partial(job, *args), limiter=limiter, abandon_on_cancel=True
        )
    except RuntimeError as error:
        if str(error) != "can't start new thread":
            raise
    return job(*args)


# Keys


def read_secret_key(path: str, locked: LockedFiles) -> bytes:
    """The secret key in a file that is ours alone. Raises SourceFailed, which never quotes it."""
    what = f"curve_secretkey_file {path}"
    try:
        with opened(path, locked=locked) as file:
            status = os.fstat(file)
            if status.st_mode & 0o077:
                raise SourceFailed(f"{what}: others can read or change it; chmod 600 {path}")
            if status.st_uid not in (0, os.geteuid()):
                raise SourceFailed(f"{what}: belongs to another user; chown it")
            text = os.read(file, _KEY_FILE_LIMIT)
    except NotRegular:
        raise SourceFailed(f"{what}: is no regular file") from None
    except OSError as error:
        raise SourceFailed(f"{what}: cannot be read: {error_text(error)}") from None
    keys = _keys(text, b"secret-key")
    if len(keys) != 1 or not _is_key(keys[0]):
        raise SourceFailed(
            f"{what}: holds no secret key; give a file that zmq.auth.create_certificates made"
            " (NAME.key_secret), or one with the 40 characters of the key"
        )
    return keys[0]


def allowed_keys(path: str, locked: LockedFiles) -> frozenset[bytes]:
    """The public keys in a file, or in the ``*.key`` files of a directory. Raises OSError."""
    paths = [path]
    if os.path.isdir(path):
        paths = [os.path.join(path, name) for name in os.listdir(path) if name.endswith(".key")]
    found: set[bytes] = set()
    for each in paths:
        descriptor = locked.open(each, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            found.update(_keys(file.read(_KEY_FILE_LIMIT), b"public-key"))
    return frozenset(key for key in found if _is_key(key))


def _keys(text: bytes, what: bytes) -> list[bytes]:
    """The keys in a certificate as pyzmq and czmq write it, or the first word of each line."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(b"#")]
    named = [line.partition(b"=") for line in lines if line.startswith(what)]
    if named:
        return [value.strip(b" \t'\"") for _, _, value in named]
    return [line.split()[0] for line in lines if len(line.split()[0]) == _KEY_LENGTH]


def _is_key(key: bytes) -> bool:
    try:
        return len(key) == _KEY_LENGTH and bool(zmq.curve_public(key))
    except (zmq.ZMQError, ValueError):
        return False


# Keys of clients


Report = Callable[[Refused], Awaitable[None]]


async def guard(asked: Socket, endpoint: Endpoint, report: Report) -> None:
    """Answer libzmq's questions whether a client may come in, until cancelled.

    ``asked`` is what ``open_guard`` gave; ``report`` is told of who was sent away.
    """
    path = str(endpoint.allowed_keys_file)
    limiter = trio.CapacityLimiter(1)
    while True:
        await receivable(asked)
        frames = asked.recv_multipart(zmq.NOBLOCK)
        reason = None
        if len(frames) < 7 or frames[5] != b"CURVE":
            reason = "it does not use CURVE"
        else:
            try:
                known = await off_loop(allowed_keys, path, endpoint.locked, limiter=limiter)
            except OSError as error:
                reason = f"{path} cannot be read: {error_text(error)}"
            else:
                if z85.encode(frames[6]) not in known:
                    reason = f"its public key is not in {path}"
        status, text = (b"200", b"OK") if reason is None else (b"400", b"not allowed")
        request = frames[1] if len(frames) > 1 else b""
        asked.send_multipart([b"1.0", request, status, text, b"", b""], zmq.NOBLOCK)
        if reason is not None:
            # The domain is the label of the client, since libzmq sees our address as its own.
            label = frames[2].decode(errors="replace") if len(frames) > 2 else "client"
            await report(Refused(label, reason))


async def open_guard(context: zmq.Context[Socket]) -> Socket:
    """The socket over which libzmq asks; it must be there before the endpoint is opened.

    Raises SourceFailed.
    """
    check_room()
    try:
        asked = context.socket(zmq.REP)
    except zmq.ZMQError as error:
        raise SourceFailed(f"cannot listen: {os.strerror(error.errno or 0)}") from None
    asked.setsockopt(zmq.LINGER, 0)
    asked.bind("inproc://zeromq.zap.01")
    return asked

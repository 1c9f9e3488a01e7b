"""Whether zmq:// could listen at its endpoint, found out without listening there.

Clients whose daemon is away connect again many times a second and send what they have to any PULL
socket that listens. A message that a mere check received would be lost. So the address is bound
and never listened at; of a socket's file only the place is looked at.
"""

import errno
import os
import socket as sockets
from typing import Final

import zmq

from .. import stale_socket
from ..os_errors import error_text
from ..polling import SourceFailed
from .endpoint import Endpoint, allowed_keys, failure, numeric, read_secret_key

_TIMEOUT: Final = 1.0  # seconds for what listens there to greet
_SIGNATURE: Final = 10  # bytes, FF to 7F: each side of ZMTP sends them first


def probe(endpoint: Endpoint) -> None:
    """Raise SourceFailed where the daemon could not listen. Blocks.

    A ZeroMQ socket that listens there already is taken for that of a running daemon.
    """
    if endpoint.secret_key_file is not None:
        read_secret_key(endpoint.secret_key_file, endpoint.locked)
    if endpoint.allowed_keys_file is not None:
        try:
            allowed_keys(endpoint.allowed_keys_file, endpoint.locked)
        except OSError as error:
            raise SourceFailed(
                f"curve_allowed_keys_file {endpoint.allowed_keys_file}: cannot be read:"
                f" {error_text(error)}"
            ) from None
    try:
        if endpoint.address.startswith("tcp://"):
            _probe_tcp(endpoint)
        elif endpoint.path is not None:
            _probe_file(endpoint.path)
        else:
            _probe_address(sockets.AF_UNIX, "\0" + endpoint.address.removeprefix("ipc://@"))
    except (OSError, zmq.ZMQError) as error:
        raise failure(error, endpoint) from None


def _probe_tcp(endpoint: Endpoint) -> None:
    host, port = numeric(endpoint)
    family = sockets.AF_INET6 if ":" in host else sockets.AF_INET
    _probe_address(family, (host, port))


def _probe_address(family: int, address: str | tuple[str, int]) -> None:
    """Bind the address. Raises OSError."""
    with sockets.socket(family, sockets.SOCK_STREAM) as probe:
        if family != sockets.AF_UNIX:
            probe.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
        if family == sockets.AF_INET6:
            probe.setsockopt(sockets.IPPROTO_IPV6, sockets.IPV6_V6ONLY, 0)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not _greets(family, address):
                raise


def _probe_file(path: str) -> None:
    """Look whether a socket could be made at the path. Raises OSError, SourceFailed."""
    folder = os.path.dirname(path)
    os.stat(folder)
    try:
        stale_socket.check(path)
    except stale_socket.NoSocket:
        raise SourceFailed(f"{path} is in the way and is no socket; remove it") from None
    except stale_socket.Served:
        if not _greets(sockets.AF_UNIX, path):
            raise
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))


def _greets(family: int, address: str | tuple[str, int]) -> bool:
    """Whether what listens there speaks ZeroMQ's protocol."""
    with sockets.socket(family, sockets.SOCK_STREAM) as client:
        client.settimeout(_TIMEOUT)
        greeting = b""
        try:
            client.connect(address)  # 0.0.0.0 and :: lead to this machine
            while len(greeting) < _SIGNATURE and (more := client.recv(_SIGNATURE - len(greeting))):
                greeting += more
        except OSError:
            return False
        return len(greeting) == _SIGNATURE and greeting[0] == 0xFF and greeting[-1] == 0x7F

"""Access to the control socket: clients that may do all, and members of a group that may look.

The daemon's own user and root may do all. Without ``--control-group``, the socket's mode keeps all
others out. With it, the mode lets the group's members connect. Then the kernel says of each client
which groups it had when it connected: SO_PEERCRED has its group, SO_PEERGROUPS the supplementary
ones. Each request is checked, because a connection may be handed on to another process.
"""

import ctypes
import errno
import os
import socket
import struct
from typing import Any, Final

import trio

from .server import Client, Refused

# Requests that change nothing. ``explain`` is not among them: it has environments and configs,
# which often hold passwords.
LOOKS: Final = ("status", "list", "show", "why", "log", "wait", "rollout")
_PEERGROUPS: Final = 59  # SO_PEERGROUPS of asm-generic/socket.h; socket has no name for it
_ROOM: Final = 1024  # bytes; socket.getsockopt has no more
_MOST_ROOM: Final = 65_536 * 4  # bytes, for NGROUPS_MAX of Linux


def check(client: Client, do: Any, group: int | None) -> None:
    """Raise Refused unless a client may ask for this."""
    if group is None or client.uid in (0, os.geteuid()):
        return
    if not _is_member(client.stream.socket, group):
        raise Refused("only the daemon's own user, root and members of its --control-group may ask")
    if do not in LOOKS:
        looks = ", ".join(LOOKS)
        raise Refused(
            f"members of the control group may only look ({looks}); ask as root or as the daemon's"
            " own user"
        )


def _is_member(connection: socket.socket | trio.socket.SocketType, group: int) -> bool:
    """Whether a client had a group when it connected."""
    size = struct.calcsize("iII")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    if struct.unpack("iII", credentials)[2] == group:
        return True
    try:
        found = connection.getsockopt(socket.SOL_SOCKET, _PEERGROUPS, _ROOM)
    except OSError as error:
        if error.errno == errno.ENOPROTOOPT:  # Linux before 4.13
            return False
        if error.errno != errno.ERANGE:
            raise
        found = _many_groups(connection.fileno())
    return group in struct.unpack(f"{len(found) // 4}I", found)


def _many_groups(descriptor: int) -> bytes:
    """The answer of the kernel about a client with more than 256 groups. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    found, size = ctypes.create_string_buffer(_MOST_ROOM), ctypes.c_uint32(_MOST_ROOM)
    asked = descriptor, socket.SOL_SOCKET, _PEERGROUPS, found, ctypes.byref(size)
    if libc.getsockopt(*asked) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return found.raw[: size.value]

"""The client behind a request: its user, its process, and the session that it came from.

SO_PEERCRED names the process that connected, and its user; the kernel vouches for both. The rest
is read from /proc when the request comes. It is a help for a reader, and no proof: a process may
write what it wants into its own command line. The login uid is the kernel's again: it is that of
the session, and stays when a user becomes root by sudo or su (pam_loginuid(8)).
"""

import contextlib
import os
import socket
import struct
from typing import Any, Final

import msgspec
import trio

from ...monitors.names import shown

_LONGEST: Final = 300  # characters of a command line
_MOST: Final = 4096  # bytes that are read of it
_UNSET: Final = 0xFFFFFFFF  # the login uid of what no session started


class Caller(msgspec.Struct, frozen=True):
    """A client. ``loginuid`` is None where no session started it, or the kernel does not tell."""

    uid: int
    pid: int | None = None
    loginuid: int | None = None
    command: str = ""

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of an event that a client asked for (``ByOperator``)."""
        return msgspec.structs.asdict(self)


def user_of(connection: socket.socket | trio.socket.SocketType) -> tuple[int, int]:
    """The uid and the pid of the process at the other end, by SO_PEERCRED."""
    size = struct.calcsize("3i")
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    pid, uid, _ = struct.unpack("iIi", found)
    return uid, pid


def caller(uid: int, pid: int) -> Caller:
    """The client as far as it is known. A pid of 0 is of another PID namespace."""
    if pid <= 0:
        return Caller(uid)
    return Caller(uid, pid, _loginuid(pid), _command(pid))


def _loginuid(pid: int) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        found = int(_read(f"/proc/{pid}/loginuid"))
        return None if found == _UNSET else found
    return None


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return command_line(_read(f"/proc/{pid}/cmdline"))
    return ""


def command_line(text: bytes) -> str:
    """A process's arguments as they would be typed, without its interpreter and its folders."""
    words = [word for word in text.decode(errors="replace").split("\0") if word]
    if len(words) > 1 and os.path.basename(words[0]).startswith("python"):
        words = words[2:] if words[1] == "-m" else words[1:]
    words = [os.path.basename(word) for word in words[:1]] + words[1:]
    return shown(" ".join(words))[:_LONGEST]


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _MOST)
    finally:
        os.close(descriptor)

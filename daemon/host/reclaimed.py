"""Kept sockets (``listen``) that only the vassal's process still has: keeper and daemon have died.

Without a copy of our own the socket would close with that process, and clients would be refused
until the next start. pidfd_getfd(2) copies it. It needs the rights of ptrace(2): root has them,
another user may lack them (``kernel.yama.ptrace_scope``). Then the address is bound anew when the
process has ended.
"""

import contextlib
import ctypes
import os
import socket
import stat
from collections.abc import Collection
from typing import Final

from ..core.listening import addresses
from .listen_address import CannotListen, ListenAddress, parse
from .opening import Listener
from .process import Process
from .socket_files import File

_PIDFD_GETFD: Final = 438  # the same on each architecture of Linux but alpha
_MOST: Final = 1024  # descriptors that are looked at: a process gets its sockets from 3 on


def find(process: Process, held: Collection[str], *, tyrant: bool) -> list[Listener]:
    """Copies of its process's listening sockets at addresses that are not held. Blocks."""
    wanted: dict[str, ListenAddress] = {}
    for address in addresses(process.spec):
        with contextlib.suppress(CannotListen):
            if address not in held:
                wanted[address] = parse(address)
    found = []
    user = process.spec.uid if tyrant else None
    for descriptor in _sockets_of(process.pid) if wanted else ():
        copy = _copied(process.pidfd, descriptor)
        if copy is None:
            continue
        at = [each for each, place in wanted.items() if _is_at(copy, place)]
        if not at:
            copy.close()
            continue
        file = socket_file(wanted.pop(at[0]).path)
        found.append(Listener(process.name, at[0], copy, file, None, user))
        if not wanted:
            break
    return found


def _sockets_of(pid: int) -> list[int]:
    """The descriptors of a process that are sockets, in their order."""
    try:
        names = sorted(os.listdir(f"/proc/{pid}/fd"), key=int)[:_MOST]
    except OSError:  # it has ended, or we may not look
        return []
    return [int(name) for name in names if _is_socket(f"/proc/{pid}/fd/{name}")]


def _is_socket(link: str) -> bool:
    with contextlib.suppress(OSError):  # closed meanwhile
        return os.readlink(link).startswith("socket:")
    return False


def _copied(pidfd: int, descriptor: int) -> socket.socket | None:
    """A copy of a listening socket of another process; None for anything else."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    number = libc.syscall(_PIDFD_GETFD, pidfd, descriptor, 0)
    if number < 0:
        return None
    try:
        copy = socket.socket(fileno=number)  # close-on-exec, by pidfd_getfd(2)
    except OSError:
        os.close(number)
        return None
    with contextlib.suppress(OSError):
        if copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return copy
    copy.close()
    return None


def _is_at(listening: socket.socket, place: ListenAddress) -> bool:
    if listening.family != place.family:
        return False
    name = listening.getsockname()
    if place.path is not None:
        return bool(name == place.path)
    return bool(name == place.name if isinstance(name, bytes) else name[:2] == place.name)


def socket_file(path: str | None) -> File | None:
    """The socket file that is there now, where no tenant can have put another one there.

    Root removes it later. One that is not known is left there, and a start makes the socket anew.
    """
    if path is None:
        return None
    with contextlib.suppress(OSError):
        status = os.lstat(path)
        if stat.S_ISSOCK(status.st_mode) and _is_ours(os.path.dirname(path)):
            return File(path, status.st_dev, status.st_ino)
    return File(path, 0, 0)


def _is_ours(directory: str) -> bool:
    """Whether no tenant can put another file in the place of one. Raises OSError."""
    if os.path.realpath(directory) != directory:
        return False
    while True:
        status = os.lstat(directory)
        others = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
        if status.st_uid not in (0, os.geteuid()) or others:
            return False
        if directory == "/":
            return True
        directory = os.path.dirname(directory)

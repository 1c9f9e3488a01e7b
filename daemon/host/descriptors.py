"""Descriptors that a vassal passes to the daemon (SCM_RIGHTS): none is wanted, and none may wait.

A descriptor that is in a socket is closed when its byte is read, or with the socket. If that is a
TCP connection with SO_LINGER whose other end does not read, close(2) waits for as long as the
sender has chosen. So one vassal could stop the daemon for hours.

Linux 6.16 refuses descriptors at the sender (SO_PASSRIGHTS). On an older kernel the daemon takes
them with their bytes. It ends the lingering of sockets, and closes the rest in a thread, because a
file of FUSE may wait as well.
"""

import array
import contextlib
import os
import queue
import socket
import threading
from typing import Final

SO_PASSRIGHTS: Final = 83  # of Linux; Python has no name for it
_MOST: Final = 253  # descriptors of one message: SCM_MAX_FD
# The sender's credentials may come before them. Descriptors without room are closed by the kernel.
_ROOM: Final = socket.CMSG_SPACE(_MOST * array.array("i").itemsize) + socket.CMSG_SPACE(12)
_NO_LINGER: Final = bytes(8)

_to_close: "queue.SimpleQueue[int]" = queue.SimpleQueue()
_closer: list[threading.Thread] = []


def refuse(end: socket.socket) -> bool:
    """Have the kernel refuse descriptors that are sent to this end; False if it cannot."""
    try:
        end.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, 0)
    except OSError:
        return False
    return True


def take(end: socket.socket, count: int) -> bytes:
    """Up to so many bytes from a socket. Descriptors that come with them are closed.

    Raises OSError.
    """
    said, more, _, _ = end.recvmsg(count, _ROOM)
    for level, kind, data in more:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found = array.array("i")
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
            for descriptor in found:
                _close(descriptor)
    return said


def drain(end: socket.socket) -> None:
    """Take out all that is in a socket that is to be closed."""
    with contextlib.suppress(OSError):
        while take(end, 1 << 16):
            pass


def empty(listener: socket.socket) -> None:
    """Take in no client any more, and let those go that wait, with what they have sent.

    The last one that closes a listener closes that, too: the daemon or the keeper.
    """
    if listener.family != socket.AF_UNIX:
        return
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
        listener.setblocking(False)
        while True:
            client, _ = listener.accept()
            with client:
                client.setblocking(False)
                drain(client)


def _close(descriptor: int) -> None:
    try:
        passed = socket.socket(fileno=descriptor)
    except OSError:  # it is no socket
        if not _closer:
            _closer.append(threading.Thread(target=_close_all, daemon=True))
            _closer[0].start()
        _to_close.put(descriptor)
        return
    with contextlib.suppress(OSError):
        passed.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    with contextlib.suppress(OSError):
        passed.close()


def _close_all() -> None:
    while True:
        with contextlib.suppress(OSError):
            os.close(_to_close.get())

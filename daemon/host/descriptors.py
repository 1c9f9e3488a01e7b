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
import math
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
_AT_ONCE: Final = _MOST  # descriptors of sockets that end which the event loop closes; about 3 ms

_to_close: "queue.SimpleQueue[int]" = queue.SimpleQueue()
_closer: list[threading.Thread] = []
_starting: Final = threading.Lock()  # held to start it


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
    return _receive(end, count)[0]


def drain(end: socket.socket) -> None:
    """Let no more come into a stream socket that is to be closed, and take out all that is in it.

    A peer that goes on sending would fill it as fast as the daemon reads. So it is shut first.
    """
    if _take_out(end, _AT_ONCE) > _AT_ONCE:
        try:
            _go_on([end.dup()])
        except OSError:  # out of descriptors
            _take_out(end)


def empty(listener: socket.socket) -> None:
    """Take in no client any more, and let those go that wait, with what they have sent.

    The last one that closes a listener closes that, too: the daemon or the keeper.
    """
    if listener.family != socket.AF_UNIX:
        return
    room, rest = _AT_ONCE, []
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
        listener.setblocking(False)
        while True:
            client, _ = listener.accept()
            client.setblocking(False)
            room -= _take_out(client, room)
            if room < 0:
                rest.append(client)
            else:
                client.close()
    if rest:
        _go_on(rest)


def _receive(end: socket.socket, count: int) -> tuple[bytes, int]:
    """The bytes, and how many descriptors came with them and were closed. Raises OSError."""
    said, more, _, _ = end.recvmsg(count, _ROOM)
    closed = 0
    for level, kind, data in more:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found = array.array("i")
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
            closed += len(found)
            for descriptor in found:
                _close(descriptor)
    return said, closed


def _take_out(end: socket.socket, most: float = math.inf) -> int:
    """Shut a socket, and take out what is in it; the number of descriptors that were closed.

    If that is more than ``most``, there may be others in it.
    """
    closed = 0
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)  # the kernel refuses its peer from now on
        while closed <= most:
            said, more = _receive(end, 1 << 16)
            if not said:
                break
            closed += more
    return closed


def _go_on(ends: list[socket.socket]) -> None:
    """Take out the rest of these sockets in a thread, and close them.

    The socket buffer of a sender has room for 100,000 descriptors, and closing these takes seconds.
    """

    def finish() -> None:
        for end in ends:
            _take_out(end)
            end.close()

    try:
        threading.Thread(target=finish, daemon=True).start()
    except RuntimeError:  # there are no more threads
        finish()


def _close(descriptor: int) -> None:
    try:
        passed = socket.socket(fileno=descriptor)
    except OSError:  # it is no socket
        _to_close.put(descriptor)
        _start_closer()
        return
    with contextlib.suppress(OSError):
        passed.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    with contextlib.suppress(OSError):
        passed.close()


def _start_closer() -> None:
    """Start the thread that closes files. Without one, the next file tries again."""
    with _starting:
        if not _closer:
            thread = threading.Thread(target=_close_all, daemon=True)
            with contextlib.suppress(RuntimeError):  # there are no more threads
                thread.start()
                _closer.append(thread)


def _close_all() -> None:
    while True:
        with contextlib.suppress(OSError):
            os.close(_to_close.get())

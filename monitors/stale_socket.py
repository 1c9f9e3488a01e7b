"""A socket file that a dead process left, which another socket may replace; no other file may be.

The probe is of another type (datagram) than the socket, so it does not become a client. A client
would wake the vassal of another emperor. The kernel refuses the connection if no process has the
socket, and else says that the type is wrong (unix(7)).
"""

import contextlib
import errno
import os
import socket
import stat


class NoSocket(OSError):
    """The file is no socket."""


class Served(OSError):
    """A process has the socket."""

    def __init__(self) -> None:
        super().__init__(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def check(path: str) -> None:
    """Return if there is no file at the path, or a socket that no process has.

    Raises NoSocket, Served, OSError.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise NoSocket(errno.EEXIST, "there is a file that is no socket")
    _probe(path)


def remove(path: str) -> None:
    """Remove a socket file, if no process has its socket. Raises as ``check``."""
    check(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _probe(path: str) -> None:
    """Raise Served if a process has the socket at the path, OSError if that cannot be told."""
    with contextlib.ExitStack() as stack:
        probe = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        probe.setblocking(False)
        try:
            # By the file itself, as an address has 107 bytes at most.
            file = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
            stack.callback(os.close, file)
            probe.connect(f"/proc/self/fd/{file}")
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except OSError as error:
            if error.errno != errno.EPROTOTYPE:
                raise
        raise Served

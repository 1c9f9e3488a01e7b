"""UNIX sockets at paths of any length, though an address has 107 bytes at most."""

import contextlib
import os
import socket
from collections.abc import Iterator

_BACKLOG = 1024  # clients that may wait; one more is refused (EAGAIN)
_BESIDE = ".{pid}.sock"  # the name under which a socket is made, before it gets its own


@contextlib.contextmanager
def _folder_of(path: str) -> Iterator[str]:
    folder = os.open(os.path.dirname(path) or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}"
    finally:
        os.close(folder)


def bind(listener: socket.socket, path: str, mode: int) -> None:
    """Bind to a path and listen; a file that is there is replaced at once. Raises OSError.

    The socket appears with its mode, and no client finds it before it listens.
    """
    with _folder_of(path) as folder:
        beside = os.path.join(folder, _BESIDE.format(pid=os.getpid()))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        listener.bind(beside)
        try:
            os.chmod(beside, mode)
            listener.listen(_BACKLOG)
            os.rename(beside, os.path.join(folder, os.path.basename(path)))
        except BaseException:
            os.unlink(beside)
            raise


def connect(connection: socket.socket, path: str) -> None:
    """Connect to the socket at a path. Raises OSError."""
    file = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{file}")
    finally:
        os.close(file)

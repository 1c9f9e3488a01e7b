"""Whether a program takes clients (``ready = listen``), without a word of the program.

A program that opens its own socket listens when a process of its tree has a socket in the state
LISTEN. The kernel tells that in /proc: the sockets of a process, and which of them listen.

A socket that the daemon keeps for it listens from the start, and the kernel takes connections on
the program's behalf. So the daemon connects, and looks whether its connection is taken out of the
backlog. The program gets one client that says nothing. A client of others that is taken out counts
as well.
"""

import contextlib
import errno
import os
import select
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Final

import trio

from . import procfs, threads
from .listen_address import parse
from .opening import Listener, thread_key
from .process import Process
from .socket_files import File
from .user_threads import NoAnswer, UserThreads

_PATIENCE: Final = 1.0  # seconds until a client is taken out of the backlog
_PAUSE: Final = 0.02  # seconds between two looks at it
_MOST_PROCESSES: Final = 256  # of a tree that are looked at
_MOST_SOCKETS: Final = 4096  # descriptors of them
_LONGEST: Final = 4 << 20  # bytes of a table of sockets that are read
_LISTEN: Final = "0A"  # TCP's state
_ACCEPTS: Final = 0x10000  # of a UNIX socket: __SO_ACCEPTCON
_QUEUED: Final = 24  # offset of tcpi_unacked in tcp_info: of a listening socket, those that wait


class ListeningState:
    """Looks at the sockets of programs. ``given`` are those that the daemon keeps for a vassal."""

    def __init__(self, given: Callable[[str], list[Listener]], user_threads: UserThreads) -> None:
        self._given = given
        self._user_threads = user_threads
        self._shares = threads.Shares()

    async def takes_clients(self, process: Process) -> bool:
        """Whether one of its sockets does."""
        given = self._given(process.name)
        if not given:
            return await self._shares.run_sync(process.uid, _tree_listens, process.pid)
        for listener in given:
            with contextlib.suppress(OSError):
                if await self._accepts(listener):
                    return True
        return False

    async def _accepts(self, listener: Listener) -> bool:
        """Whether a client of this socket is accepted within a moment. Raises OSError."""
        before = _waiting(listener.socket)
        with contextlib.ExitStack() as stack:
            if not before:
                client = await self._client(listener)
                if client is None:
                    return False
                stack.enter_context(client)
                before = 1
            with trio.move_on_after(_PATIENCE):
                while True:
                    left = _waiting(listener.socket)
                    if left < before:
                        return True
                    before = left
                    await trio.sleep(_PAUSE)
        return False

    async def _client(self, listener: Listener) -> socket.socket | None:
        """A connection to the socket. Raises OSError."""
        place = parse(listener.address)
        client = socket.socket(place.family, socket.SOCK_STREAM)
        client.setblocking(False)
        try:
            if place.path is not None:
                key = thread_key(place.path, listener.how)
                file = _file_of(place.path) if listener.passed else listener.file
                await self._user_threads.run(key, _connect, client, file)
            elif place.port is None:
                client.connect(place.name)
            else:
                host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(place.name[0], place.name[0])  # noqa: S104  # of the program
                with contextlib.suppress(BlockingIOError):
                    client.connect((host, place.port))
        except NoAnswer:
            client.close()
            return None
        except BaseException:
            client.close()
            raise
        return client


def _file_of(path: str) -> File:
    """The socket file that a service manager has made. Raises OSError."""
    status = os.lstat(path)
    return File(path, status.st_dev, status.st_ino)


def _connect(client: socket.socket, file: File | None) -> None:
    """Connect to a socket file, and to no other one that is at its path now. Raises OSError.

    A tenant could put a symlink there, and root may connect to each socket.
    """
    if file is None:
        raise FileNotFoundError(errno.ENOENT, "its file is not known")
    found = os.open(file.path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(found)
        if (status.st_dev, status.st_ino) != file[1:]:
            raise FileNotFoundError(errno.ENOENT, "another file is there", file.path)
        client.connect(f"/proc/self/fd/{found}")
    finally:
        os.close(found)


def _waiting(listening: socket.socket) -> int:
    """How many connections wait in the backlog; of a UNIX socket, 1 for any number."""
    if listening.family != socket.AF_UNIX:
        info = listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _QUEUED + 4)
        return int(struct.unpack_from("I", info, _QUEUED)[0])
    poll = select.poll()
    poll.register(listening, select.POLLIN)
    return len(poll.poll(0))


def _tree_listens(leader: int) -> bool:
    """Whether a process of the tree has a socket that listens. Blocks, for a worker thread."""
    try:
        listening = set(_listening(leader))
        return any(inode in listening for inode in _sockets(leader))
    except OSError:  # it has ended, or there are no descriptors left
        return False


def _listening(pid: int) -> Iterator[int]:
    """The inodes of all sockets in the state LISTEN in the network of a process."""
    for name in ("tcp", "tcp6"):
        for fields in _rows(f"/proc/{pid}/net/{name}"):
            if fields[3] != _LISTEN:
                break  # those that listen come first
            yield int(fields[9])
    for fields in _rows(f"/proc/{pid}/net/unix"):
        if int(fields[3], 16) & _ACCEPTS:
            yield int(fields[6])


def _rows(path: str) -> Iterator[list[str]]:
    """The fields of each line of a table; none where the kernel has no such table."""
    with contextlib.suppress(FileNotFoundError), open(path, errors="replace") as table:
        read = len(table.readline())
        for line in table:
            read += len(line)
            if read > _LONGEST:
                return
            yield line.split()


def _sockets(leader: int) -> Iterator[int]:
    """The inodes of the sockets that a process and its descendants have."""
    looked_at = 0
    tree = [leader]
    for number, pid in enumerate(tree):
        if number == _MOST_PROCESSES:
            return
        tree += procfs.children(pid)
        with contextlib.suppress(OSError):  # it has ended meanwhile
            for each in os.listdir(f"/proc/{pid}/fd"):
                looked_at += 1
                if looked_at > _MOST_SOCKETS:
                    return
                with contextlib.suppress(OSError):
                    target = os.readlink(f"/proc/{pid}/fd/{each}")
                    if target.startswith("socket:["):
                        yield int(target[8:-1])

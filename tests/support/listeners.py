"""The UNIX sockets that accept connections, by the file each is bound to.

``/proc/net/unix`` has the path that was given to ``bind``. Ours is below ``/proc/self/fd``, so it
is equal for the sockets of two tests that chose one name. ``sock_diag(7)`` knows the file itself.
"""

import os
import socket
import struct
from collections.abc import Iterator

_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_ERROR, _DONE = 2, 3  # NLMSG_ERROR, NLMSG_DONE
_LISTENING = 1 << 10  # TCP_LISTEN
_SHOW_FILE, _FILE = 2, 1  # UDIAG_SHOW_VFS, UNIX_DIAG_VFS
_ANY = 0xFFFFFFFF
_HEADER = struct.Struct("=IHHII")  # nlmsghdr
_REQUEST = struct.Struct("=BBHIIIII")  # unix_diag_req
_MESSAGE = struct.Struct("=BBBBI8x")  # unix_diag_msg
_ATTRIBUTE = struct.Struct("=HH")  # nlattr


def listener_at(path: str) -> int | None:
    """The number of the socket that listens at this file."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    # As the kernel writes a device: 20 bits are the minor number.
    device = os.major(status.st_dev) << 20 | os.minor(status.st_dev)
    file = (status.st_ino & _ANY, device)
    return next((number for number, bound in _listeners() if bound == file), None)


def _listeners() -> Iterator[tuple[int, tuple[int, int]]]:
    """Each socket that listens, and the inode and the device of the file it is bound to."""
    request = _REQUEST.pack(socket.AF_UNIX, 0, 0, _LISTENING, 0, _SHOW_FILE, _ANY, _ANY)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _SOCK_DIAG) as kernel:
        kernel.send(_HEADER.pack(_HEADER.size + len(request), _BY_FAMILY, _DUMP, 1, 0) + request)
        while True:
            answers = kernel.recv(1 << 18)
            while answers:
                length, kind, *_ = _HEADER.unpack_from(answers)
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    raise OSError(-struct.unpack_from("=i", answers, _HEADER.size)[0], "sock_diag")
                yield from _bound(answers[_HEADER.size : length])
                answers = answers[_aligned(length) :]


def _bound(answer: bytes) -> Iterator[tuple[int, tuple[int, int]]]:
    *_, number = _MESSAGE.unpack_from(answer)
    rest = answer[_MESSAGE.size :]
    while rest:
        length, kind = _ATTRIBUTE.unpack_from(rest)
        if kind == _FILE:
            yield number, struct.unpack_from("=II", rest, _ATTRIBUTE.size)
        rest = rest[_aligned(length) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3

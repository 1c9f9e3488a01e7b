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
_SHOW = 3  # UDIAG_SHOW_NAME | UDIAG_SHOW_VFS
_NAME, _FILE = 0, 1  # UNIX_DIAG_NAME, UNIX_DIAG_VFS
_ANY = 0xFFFFFFFF
_HEADER = struct.Struct("=IHHII")  # nlmsghdr
_REQUEST = struct.Struct("=BBHIIIII")  # unix_diag_req
_MESSAGE = struct.Struct("=BBBBI8x")  # unix_diag_msg
_ATTRIBUTE = struct.Struct("=HH")  # nlattr


def listener_at(path: str) -> int | None:
    """The number of the socket that listens at this file.

    Of the file it compares the number and the name. On some file systems the kernel knows it by
    another device than stat(2).
    """
    try:
        file = os.stat(path).st_ino & _ANY
    except FileNotFoundError:
        return None
    for number, attributes in _listeners():
        bound = attributes.get(_FILE)
        name = os.fsdecode(attributes.get(_NAME, b"").rstrip(b"\0"))
        same = os.path.basename(name) == os.path.basename(path)
        if bound is not None and same and struct.unpack_from("=I", bound)[0] == file:
            return number
    return None


def _listeners() -> Iterator[tuple[int, dict[int, bytes]]]:
    """Each socket that listens, and its attributes."""
    request = _REQUEST.pack(socket.AF_UNIX, 0, 0, _LISTENING, 0, _SHOW, _ANY, _ANY)
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
                message = answers[_HEADER.size : length]
                *_, number = _MESSAGE.unpack_from(message)
                yield number, dict(_attributes(message[_MESSAGE.size :]))
                answers = answers[_aligned(length) :]


def _attributes(rest: bytes) -> Iterator[tuple[int, bytes]]:
    while rest:
        length, kind = _ATTRIBUTE.unpack_from(rest)
        yield kind, rest[_ATTRIBUTE.size : length]
        rest = rest[_aligned(length) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3

"""TCP ports for tests: each process has a block of its own, so no two at once get the same port.

The kernel may give a port again as soon as it is given back, also to an outgoing connection. Two
applications then want one port, and one of them dies at each start. So ports come from below those
that the kernel gives. A process holds its block by an abstract socket, which is gone when the
process is. A child that it forks shares its block.
"""

import contextlib
import errno
import functools
import itertools
import socket
from collections.abc import Iterator
from pathlib import Path

_LOWEST = 10_000  # few programs listen above, and their ports are passed over
_BLOCK = 100  # ports; a process takes as many before one comes again
_HIGHEST = 30_000  # at least, where the kernel gives ports from further below
_GIVEN_BY_KERNEL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """A TCP port of loopback at which no process listens now, and that no other test gets soon.

    Raises:
        RuntimeError: All ports of this process are taken.
    """
    for port in itertools.islice(_ports(), _BLOCK):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
        return port
    raise RuntimeError(f"all {_BLOCK} ports of this process are taken")


def two_free_ports() -> int:
    """The first of two such ports in a row. Raises RuntimeError."""
    first = free_port()
    while (second := free_port()) != first + 1:
        first = second
    return first


def free_root_port() -> int:
    """A TCP port of loopback that only root may have, and that this process alone gets.

    Raises:
        RuntimeError: None is left.
    """
    for port in range(1023, 511, -1):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if _claims(f"\0emperord-tests-ports-{port}"):
                return port
    raise RuntimeError("every port of root's is taken")


@functools.cache
def _ports() -> Iterator[int]:
    """The ports of this process's block, over and over."""
    highest = max(_HIGHEST, int(_GIVEN_BY_KERNEL.read_text().split()[0]))
    for first in range(_LOWEST, highest - _BLOCK, _BLOCK):
        if _claims(f"\0emperord-tests-ports-{first}"):
            return itertools.cycle(range(first, first + _BLOCK))
    raise RuntimeError(f"other processes hold all ports from {_LOWEST} to {highest}")


_claimed: list[socket.socket] = []  # open until the process ends


def _claims(name: str) -> bool:
    holder = socket.socket(socket.AF_UNIX)
    try:
        holder.bind(name)
    except OSError as error:
        holder.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    _claimed.append(holder)
    return True

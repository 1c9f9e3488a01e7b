"""An emperor to which a service manager passes sockets, as systemd does (sd_listen_fds(3))."""

import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from .daemon import Daemon

# Executes a command with the descriptors in its first argument as 3 and on. `None` closes one.
_COMMAND: Final = """
import os, sys
given, names, argv = sys.argv[1].split(","), sys.argv[2], sys.argv[3:]
high = [None if each == "None" else os.dup2(int(each), 500 + at) for at, each in enumerate(given)]
os.closerange(3, 500)
for at, each in enumerate(high):
    if each is not None: os.dup2(each, 3 + at)
os.closerange(500, 1000)
count = os.environ.pop("COUNT", "") or str(len(given))
pid = os.environ.pop("OF", "") or str(os.getpid())
os.environ.update(LISTEN_FDS=count, LISTEN_PID=pid, LISTEN_FDNAMES=names)
os.execv(argv[0], argv)
"""


class Manager:
    """Listens at addresses, and has an emperor started with them."""

    def __init__(self, sockets: Sequence[socket.socket | None], names: Sequence[str]) -> None:
        self.sockets = sockets
        self.names = names

    def starts(self, emperor: Daemon) -> None:
        """Have it started with the sockets from now on."""
        given = ",".join(str(None if each is None else each.fileno()) for each in self.sockets)
        emperor.pass_fds = tuple(each.fileno() for each in self.sockets if each is not None)
        emperor.before = [sys.executable, "-IS", "-c", _COMMAND, given, ":".join(self.names)]


@contextmanager
def manager(*addresses: str) -> Iterator[Manager]:
    """One that listens at these addresses."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(listening(each)) for each in addresses]
        yield Manager(sockets, [f"name-{at}" for at in range(len(sockets))])


def listening(address: str) -> socket.socket:
    """A socket that listens."""
    if address.startswith("@") or ":" not in address:
        made = socket.socket(socket.AF_UNIX)
        made.bind("\0" + address[1:] if address.startswith("@") else address)
    else:
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, int(port)))
    made.listen(64)
    return made

"""Work for all cores: processes take tickets from a pipe until none is left.

This process takes some, too. The others are started for one job, with a plan as JSON; each prints
what it found as MessagePack when no ticket is left.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import msgspec

MOST: Final = 16  # processes
_TICKET: Final = 4  # bytes
_T = TypeVar("_T")


class Tickets:
    """The tickets of one process. Others take from the same pipe.

    ``parent`` is the process for which it works: without that there is no ticket any more.
    """

    def __init__(self, source: int, parent: int | None = None) -> None:
        self._source = source
        self._parent = parent

    def __iter__(self) -> Iterator[int]:
        while self._parent in (None, os.getppid()):
            ticket = os.read(self._source, _TICKET)
            if not ticket:
                return
            yield int.from_bytes(ticket)

    def drop(self) -> None:
        """Take all that are left: no process need go on."""
        while os.read(self._source, 1 << 12):
            pass


def shared(
    module: str,
    path: str,
    plan: msgspec.Struct,
    count: int,
    work: Callable[[Tickets], _T],
    kind: type[_T],
) -> list[_T]:
    """Have ``count`` tickets done by ``work`` and by processes of ``module``; their findings.

    Raises OSError, and DecodeError where a process has failed.
    """
    begin, box = os.pipe()
    with open(begin, "rb", buffering=0) as source, open(box, "wb", buffering=0) as sink:
        for number in range(count):
            sink.write(number.to_bytes(_TICKET))
        sink.close()
        others: list[subprocess.Popen[bytes]] = []
        try:
            while len(others) + 1 < min(len(os.sched_getaffinity(0)), MOST, count):
                others.append(_begin(module, path, plan, begin))
            found = [work(Tickets(source.fileno()))]
            for other in others:
                said, _ = other.communicate()
                found.append(msgspec.msgpack.decode(said, type=kind))
        finally:
            for other in others:
                if other.returncode is None:
                    other.kill()
                    other.communicate()
    return found


def of_parent(source: int) -> Tickets:
    """The tickets of a process that was started to take some."""
    return Tickets(source, os.getppid())


def give(found: msgspec.Struct) -> None:
    """Print the findings of this process, which another one has started."""
    sys.stdout.buffer.write(msgspec.msgpack.encode(found))


def _begin(module: str, path: str, plan: msgspec.Struct, tickets: int) -> "subprocess.Popen[bytes]":
    told = msgspec.json.encode(plan).decode()
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module, path, told, str(tickets)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        pass_fds=(tickets,),
    )  # fmt: skip

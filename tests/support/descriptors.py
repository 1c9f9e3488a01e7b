"""Open descriptors of a process.

A library's thread may close a socket of its own at any time, for example a client that a test
closed a moment before. So tests compare what is new, and not how many there are.
"""

import os
from contextlib import suppress


def descriptors(pid: int | None = None) -> frozenset[tuple[int, str]]:
    """Return each open descriptor with its target: a path, or a kind with an inode.

    They are those of this process, or of another one.
    """
    folder = "/proc/self/fd" if pid is None else f"/proc/{pid}/fd"
    found = set()
    for number in os.listdir(folder):
        # The descriptor that lists the directory is closed by now.
        with suppress(FileNotFoundError):
            found.add((int(number), os.readlink(f"{folder}/{number}")))
    return frozenset(found)


def sockets(pid: int) -> int:
    """The number of sockets that a process has open.

    Files do not count: a daemon opens those of logs, and locks their directory, from time to time.
    """
    return sum(target.startswith("socket:") for _, target in descriptors(pid))


def has_open(pid: int, count: int) -> bool:
    """Whether a process has so many descriptors open."""
    return len(descriptors(pid)) == count


def holds(pid: int, numbers: set[int]) -> bool:
    """Whether these are the open descriptors of a process."""
    return {number for number, _ in descriptors(pid)} == numbers

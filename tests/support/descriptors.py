"""Open descriptors of this process.

A library's thread may close a socket of its own at any time, for example a client that a test
closed a moment before. So tests compare what is new, and not how many there are.
"""

import os
from contextlib import suppress


def descriptors() -> frozenset[tuple[int, str]]:
    """Return each open descriptor with its target: a path, or a kind with an inode."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        # The descriptor that lists the directory is closed by now.
        with suppress(FileNotFoundError):
            found.add((int(number), os.readlink(f"/proc/self/fd/{number}")))
    return frozenset(found)

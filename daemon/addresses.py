"""UNIX sockets at paths of any length."""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def reachable(path: str) -> Iterator[str]:
    """A name of the same socket that fits into an address, which has 107 bytes at most.

    Raises OSError if its directory cannot be opened.
    """
    folder = os.open(os.path.dirname(path) or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{os.path.basename(path)}"
    finally:
        os.close(folder)

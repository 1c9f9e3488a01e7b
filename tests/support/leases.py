"""Leases on files (fcntl(2)), with which their owners keep others waiting who open them."""

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def lease(path: Path, kind: int) -> Iterator[None]:
    """Have a lease on a file, F_RDLCK or F_WRLCK, and give it up only in the end."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # it says that a process waits
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, kind)
        yield
    finally:
        os.close(descriptor)
        signal.signal(signal.SIGIO, before)

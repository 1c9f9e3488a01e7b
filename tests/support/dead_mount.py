"""A file system that never answers, as one over a network does whose server is gone.

It is FUSE without a server: the kernel waits for the first answer. All who wait are let go with an
error when the mount ends.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .root import need_root

_MNT_DETACH: Final = 2
_libc: Final = ctypes.CDLL(None, use_errno=True)


@contextmanager
def dead_mount(path: Path) -> Iterator[None]:
    """Have a dead file system at a directory."""
    need_root("mount file systems")
    server = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    try:
        options = f"fd={server},rootmode=40000,user_id=0,group_id=0,allow_other"
        if _libc.mount(b"dead", os.fsencode(path), b"fuse", 0, options.encode()) != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), str(path))
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.close(server)
            server = -1
            _libc.umount2(os.fsencode(path), _MNT_DETACH)
    finally:
        if server >= 0:
            os.close(server)

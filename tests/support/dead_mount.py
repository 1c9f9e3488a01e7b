"""File systems of FUSE whose server does nothing.

One never answers, as one over a network does whose server is gone: the kernel waits for the first
answer. All who wait are let go with an error when the mount ends. Others answer with an error.
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
    with _mount(path, "user_id=0,group_id=0,allow_other"):
        yield


@contextmanager
def private_mount(path: Path, uid: int, gid: int) -> Iterator[None]:
    """Have a file system at a directory that its user alone may look into: root gets EACCES."""
    with _mount(path, f"user_id={uid},group_id={gid}"):
        yield


@contextmanager
def ended_mount(path: Path) -> Iterator[None]:
    """Have a file system at a directory whose server has ended: ENOTCONN."""
    with _mount(path, "user_id=0,group_id=0,allow_other") as server:
        server.close()
        yield


@contextmanager
def _mount(path: Path, options: str) -> Iterator[contextlib.ExitStack]:
    """Mount it. To close what is given is to end its server."""
    need_root("mount file systems")
    with contextlib.ExitStack() as server:
        descriptor = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        server.callback(os.close, descriptor)
        options = f"fd={descriptor},rootmode=40000,{options}"
        if _libc.mount(b"dead", os.fsencode(path), b"fuse", 0, options.encode()) != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), str(path))
        try:
            yield server
        finally:
            with contextlib.suppress(OSError):
                server.close()
            _libc.umount2(os.fsencode(path), _MNT_DETACH)

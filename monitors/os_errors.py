"""Errors of the operating system: their text, as people are told it, and which are our own."""

import contextlib
import errno
import os
from typing import Final

from ..journal.locked_files import LockedFile
from .resolving import TooManyComponents

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_NEEDED: Final = 4  # descriptors at most that a look at one directory has open at once


def error_text(error: OSError) -> str:
    """The system's reason, without the path it may hold."""
    if error.errno is None:
        return str(error)
    if isinstance(error, TooManyComponents | LockedFile):
        return str(error.strerror)
    # Those of the resolver are negative, and mean nothing to the system.
    return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)


def is_exhaustion(error: OSError) -> bool:
    """Whether this process has no descriptors or memory left, so that no path is to blame.

    The errno alone does not tell, because the file system of a tenant (FUSE) answers with any. So
    the process tries to open what no tenant has.
    """
    if error.errno not in _EXHAUSTED:
        return False
    with contextlib.ExitStack() as opened:
        try:
            for _ in range(_NEEDED):
                opened.callback(os.close, os.open("/", os.O_PATH | os.O_CLOEXEC))
        except OSError:
            return True
    return False

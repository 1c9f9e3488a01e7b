"""openat2(2): to open a path, and say which symlinks may be on it."""

import ctypes
import errno
import os
from typing import Final

# RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS
NO_MAGICLINKS: Final = 0x02
NO_SYMLINKS: Final = 0x04

_OPENAT2: Final = 437  # on every architecture
_AT_FDCWD: Final = -100
_libc: Final = ctypes.CDLL(None, use_errno=True)


def openat2(path: str, at: int | None, flags: int, resolve: int) -> int:
    """Open a path below the open directory ``at``, else below the working directory.

    Raises OSError: ELOOP for a symlink that ``resolve`` forbids. Raises NotImplementedError where
    the kernel is older than 5.6.
    """
    how = (ctypes.c_uint64 * 3)(flags, 0, resolve)
    descriptor = _libc.syscall(
        ctypes.c_long(_OPENAT2),
        ctypes.c_long(_AT_FDCWD if at is None else at),
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if descriptor >= 0:
        return int(descriptor)
    error = ctypes.get_errno()
    if error in (errno.ENOSYS, errno.EPERM):  # EPERM: a seccomp filter that does not know it
        raise NotImplementedError
    raise OSError(error, os.strerror(error), path)

"""Opens paths, and says which symlinks may be on them (openat2(2)).

A tenant's symlink must not lead into procfs. Its links such as /proc/self/cwd and /proc/self/fd/7
are those of the daemon. They lead past the permissions of the directories on the way, and whether
one is there tells what the daemon has open.
"""

import ctypes
import errno
import os
import stat
import sys
from platform import machine
from typing import Final

NO_SYMLINKS: Final = 0x04  # RESOLVE_NO_SYMLINKS
PROC: Final = 0x9FA0  # PROC_SUPER_MAGIC
HOPS: Final = 40  # symlinks on one path, as the kernel
COMPONENTS: Final = 256  # of one path, with those of its symlinks; few real ones have 50

_PATH: Final = os.O_PATH | os.O_CLOEXEC
# The size of f_type, the first field of struct statfs.
_WORD: Final = 4 if machine() == "s390x" else ctypes.sizeof(ctypes.c_long)

_OPENAT2: Final = 437  # on every architecture
_AT_FDCWD: Final = -100
_libc: Final = ctypes.CDLL(None, use_errno=True)


class LeadsIntoProc(OSError):
    """A symlink leads into procfs. It is the same error whether anything is there or not."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.ELOOP, "a symlink leads into /proc", path)


class TooManyComponents(OSError):
    """A path, with the symlinks on it, has more components than are followed."""

    def __init__(self, path: str) -> None:
        reason = f"it has more than {COMPONENTS} components, with those of its symlinks"
        super().__init__(errno.ENAMETOOLONG, reason, path)


class Components:
    """The components of a path that are still to be passed, with those of symlinks on it.

    The kernel allows 40 symlinks of 4 KiB each on a path, so 80,000 components. A user could have
    each walk take seconds with them. The truth value says whether any component is left.
    """

    def __init__(self, path: str) -> None:
        self.hops = 0  # symlinks that were followed
        self._path = path
        self._ahead = [*reversed(path.split("/"))]
        self._passed = 0

    def __bool__(self) -> bool:
        return bool(self._ahead)

    def take(self) -> str:
        """The next component; it may be empty. Raises TooManyComponents."""
        self._passed += 1
        if self._passed > COMPONENTS:
            raise TooManyComponents(self._path)
        return self._ahead.pop()

    def follow(self, target: str) -> None:
        """The component that was taken is a symlink to this target. Raises OSError (ELOOP)."""
        self.hops += 1
        if self.hops > HOPS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), self._path)
        self._ahead.extend(reversed(target.split("/")))


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


def open_outside_proc(path: str, at: int | None, *, follow: bool = True) -> int:
    """An O_PATH descriptor of what a path leads to, over no symlink into procfs.

    Without ``follow``, a symlink at the end is opened itself. Raises LeadsIntoProc,
    TooManyComponents, OSError.
    """
    try:  # the usual case, and the quick one
        return openat2(path, at, _PATH | (0 if follow else os.O_NOFOLLOW), NO_SYMLINKS)
    except NotImplementedError:
        pass
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    return _step_by_step(path, at, follow=follow)


def _step_by_step(path: str, at: int | None, *, follow: bool) -> int:
    """Follow each component by itself, to see the file system that a symlink leads into."""
    here = os.open("/" if path.startswith("/") else ".", _PATH, dir_fd=at)
    ahead = Components(path)
    try:
        while ahead:
            there = component(ahead.take() or ".", here, more=bool(ahead))
            linked = stat.S_ISLNK(os.fstat(there).st_mode) and bool(ahead or follow)
            if (ahead.hops or linked) and file_system(there) == PROC:
                os.close(there)
                raise LeadsIntoProc(path)
            if not linked:
                here, there = there, here
                os.close(there)
                continue
            try:
                target = os.readlink("", dir_fd=there)
            finally:
                os.close(there)
            ahead.follow(target)
            if target.startswith("/"):
                os.close(here)
                here = os.open("/", _PATH)
    except BaseException:
        os.close(here)
        raise
    return here


def component(name: str, at: int, *, more: bool) -> int:
    """An O_PATH descriptor of one component; with ``more`` to come it is most often a directory.

    Only with O_DIRECTORY does the kernel mount what it mounts on demand (autofs).
    """
    if more:
        try:
            return os.open(name, _PATH | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=at)
        except NotADirectoryError:
            pass
    return os.open(name, _PATH | os.O_NOFOLLOW, dir_fd=at)


def file_system(descriptor: int) -> int:
    """The type of the file system that an open file is on (fstatfs(2)). Raises OSError."""
    buffer = ctypes.create_string_buffer(512)
    if _libc.fstatfs(descriptor, buffer) != 0:
        raise OSError(error := ctypes.get_errno(), os.strerror(error))
    return int.from_bytes(buffer.raw[:_WORD], sys.byteorder) & 0xFFFFFFFF

"""The directory of a file that root or the daemon's user writes: no other user leads it there.

| on the way | root | another user |
|---|---|---|
| a symlink of a third user | refused | refused |
| a directory of a third user | refused | taken |
| one that all users may write to, without the sticky bit | refused | taken |

So does sshd(8) with its files of keys, and logrotate(8) with directories. A directory that a group
may write to is taken: in Debian's /var/log that is so. Only standard modules are imported, because
the keeper needs this.
"""

import errno
import os
import stat
from typing import Final

from . import working_directory

_PATH: Final = os.O_PATH | os.O_CLOEXEC
_HOPS: Final = 40  # symlinks on one path, as the kernel


def opened(path: str, *, judged: bool = True, owner: int = 0) -> int:
    """The directory of a file, opened. Raises OSError, whose text says what is wrong with which.

    Unless it is ``judged``, only symlinks are refused. A caller then replaces no file of others and
    follows no name again. Directories may belong to the ``owner`` as well as to root.
    """
    here = os.open("/", _PATH)
    full = os.path.join(working_directory.current(), path)
    ahead = [*reversed(os.path.dirname(full).split("/"))]
    hops = 0
    try:
        while ahead:
            there = os.open(ahead.pop() or ".", _PATH | os.O_NOFOLLOW, dir_fd=here)
            status = os.fstat(there)
            if not stat.S_ISLNK(status.st_mode):
                os.close(here)
                here = there
                if judged:
                    _judge(here, status, owner)
                continue
            try:
                hops += 1
                target = _target(there, here, hops)
            finally:
                os.close(there)
            if target.startswith("/"):
                os.close(here)
                here = os.open("/", _PATH)
            ahead.extend(reversed(target.split("/")))
        if not stat.S_ISDIR(os.fstat(here).st_mode):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except BaseException:
        os.close(here)
        raise
    return here


def is_shared(folder: int) -> bool:
    """Whether all users may make files in a directory."""
    return bool(os.fstat(folder).st_mode & stat.S_IWOTH)


def _judge(folder: int, status: os.stat_result, owner: int) -> None:
    """Raise OSError if others can replace what is in this directory of root's way."""
    if os.geteuid() != 0 or not stat.S_ISDIR(status.st_mode):
        return
    if status.st_uid not in (0, owner):
        why = f"belongs to uid {status.st_uid}"
    elif status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        why = "can be written to by all users"
    else:
        return
    name = os.readlink(f"/proc/self/fd/{folder}")
    if name == "/":
        return  # it has no other place
    raise OSError(
        errno.EPERM,
        f"root writes no file below {name}, which {why}; name one in a directory of root's",
    )


def _target(link: int, folder: int, hops: int) -> str:
    """Where a symlink leads that only root and this user can have made. Raises OSError."""
    owners = {os.fstat(link).st_uid, os.fstat(folder).st_uid}
    if owners - {0, os.geteuid()}:
        raise OSError(errno.ELOOP, "a symlink of another user is on the way")
    if hops > _HOPS:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return os.readlink("", dir_fd=link)

"""The files that a command writes with ``-o``: each is whole, or is not there.

On a full disk a file that was begun is removed again, and one that was there before stays as it
was.
"""

import contextlib
import errno
import os
import stat
from typing import Final

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class NotWritten(Exception):
    """A file cannot be written. The text says which, why, and what to do."""

    def __init__(self, path: str, error: OSError) -> None:
        advice = "; make room on its disk, or name a place on another" if _is_full(error) else ""
        super().__init__(f"{path}: cannot be written: {error.strerror or error}{advice}")


def _is_full(error: OSError) -> bool:
    return error.errno in _FULL


def make(name: str, content: bytes, mode: int, folder: int | None = None) -> None:
    """A new file, in an open folder where one is given. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, mode, dir_fd=folder)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=folder)
        raise


def replace(path: str, content: bytes, mode: int) -> None:
    """A file in one step, in place of the one that is there. Raises NotWritten.

    Its ``mode`` allows no more than that of the one before. A link, a pipe or a device stays, and
    is written to.
    """
    new = f"{path}.{os.getpid()}.new"
    try:
        there = _mode(path)
        if there is not None and not stat.S_ISREG(there):
            with open(path, "wb") as file:
                file.write(content)
            return
        make(new, content, mode if there is None else mode & there)
        try:
            os.rename(new, path)
        except BaseException:
            os.unlink(new)
            raise
    except OSError as error:
        raise NotWritten(path, error) from None


def _mode(path: str) -> int | None:
    with contextlib.suppress(FileNotFoundError):
        return os.lstat(path).st_mode
    return None

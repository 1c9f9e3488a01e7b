"""The working directory of this process, which may have been removed since it was started."""

import os
from typing import Final

_REMOVED: Final = "/proc/self/cwd"  # the kernel finds no file by a path that begins with it


def current() -> str:
    """The directory in which relative paths begin. An absolute path is joined to it in vain."""
    try:
        return os.getcwd()
    except OSError:
        return _REMOVED


def is_removed() -> bool:
    """Whether relative paths lead nowhere."""
    return current() == _REMOVED

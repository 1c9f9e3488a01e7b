"""Whether a disk has room for a large file, beside what a daemon on the same disk needs."""

import os
from typing import Final

from .quantities import size_text

_SPARE: Final = 64 << 20  # bytes that stay free on a large disk
_PART: Final = 10  # of a small disk, a tenth stays free


def lacking(folder: str, needed: int) -> str | None:
    """Why a file of so many bytes would leave too little room; None if it would not.

    Raises OSError.
    """
    status = os.statvfs(folder or ".")
    free, total = status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize
    spare = min(_SPARE, total // _PART)
    if not total or free >= needed + spare:  # some file systems of users tell nothing
        return None
    return (
        f"{size_text(free)} are free on its disk; it takes some {size_text(needed)}, and"
        f" {size_text(spare)} are to stay free: make room, or name a file on another disk"
    )

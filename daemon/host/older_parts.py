"""Older parts of vassals' logs (NAME.log.1 ...): the daemon's own files, within the size of a log.

A log belongs to its vassal's user. That user could give a part any size on a disk that all share.
So a part is a copy that the daemon owns. The user's group may read it if it may read the log.

The daemon looks at any file in the directory that another user owns, whether its vassal runs or
not. It cuts a log, and replaces a part by a copy of its end (0.1.0 and logrotate left parts to the
user).
"""

import contextlib
import os
import re
import stat
from typing import BinaryIO, Final

# The owner of a log may have a lease on it (fcntl(2)): open(2) without O_NONBLOCK waits for 45 s.
UNHELD: Final = os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
PATIENT: Final = os.O_CLOEXEC | os.O_NOFOLLOW
_PART: Final = re.compile(r".*\.log\.([1-9][0-9]{0,2}|1000)", re.DOTALL)
_MARGIN: Final = 1 << 20  # bytes
_ALLOWED: Final = 0o640  # of a part; its owner is the daemon


def keep_end(log: BinaryIO, end: str, size: int, most: int) -> None:
    """Copy the end of a log to a new file of the daemon's, which the log's group may read.

    Not all of it: a log can have any size, of which nothing need ever have been written.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(end)  # its owner may have been another user, who has it open still
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(end, flags, 0o600), "wb") as older:
        at = max(0, size - most)
        while at < size and (sent := os.sendfile(older.fileno(), log.fileno(), at, size - at)):
            at += sent
        status = os.fstat(log.fileno())
        if status.st_uid != os.geteuid():
            os.fchown(older.fileno(), -1, status.st_gid)
        os.fchmod(older.fileno(), stat.S_IMODE(status.st_mode) & _ALLOWED | 0o600)


def replace(part: BinaryIO, path: str, most: int) -> None:
    """Put a copy of the end of an open file in its place; the copy is the daemon's.

    Raises OSError.
    """
    new = f"{path}.new"
    size = os.fstat(part.fileno()).st_size
    try:
        keep_end(part, new, size, most)
        os.rename(new, path)
    except BaseException:
        # On a full disk above all, it must not grow on.
        with contextlib.suppress(OSError):
            os.unlink(new)
        os.unlink(path)
        raise


def is_part(path: str) -> bool:
    """Whether a path is that of an older part, not of a log."""
    return _PART.fullmatch(os.path.basename(path)) is not None


def is_over(status: os.stat_result, limit: int) -> bool:
    """Whether a log is to be cut. Room that was only allocated counts, with a margin.

    The file system may allocate more than is written (XFS), and allocates whole blocks.
    """
    return status.st_size > limit or status.st_blocks * 512 > 2 * limit + _MARGIN


def of_others(directory: str, limit: int) -> tuple[list[str], list[str]]:
    """Paths of logs of other users that are over the limit, and of parts that are theirs.

    Raises OSError.
    """
    logs: list[str] = []
    parts: list[str] = []
    own = os.geteuid()
    with os.scandir(directory) as entries:
        for entry in entries:
            part = is_part(entry.name)
            if not part and not entry.name.endswith(".log"):
                continue
            status = entry.stat(follow_symlinks=False)
            if status.st_uid == own or not stat.S_ISREG(status.st_mode):
                continue
            if part:
                parts.append(entry.path)
            elif is_over(status, limit):
                logs.append(entry.path)
    return logs, parts

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
from collections.abc import Iterator
from typing import BinaryIO, Final

# The owner of a log may have a lease on it (fcntl(2)): open(2) without O_NONBLOCK waits for 45 s.
UNHELD: Final = os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
PATIENT: Final = os.O_CLOEXEC | os.O_NOFOLLOW
_PART: Final = re.compile(r".*\.log\.([1-9][0-9]{0,2}|1000)", re.DOTALL)
_MARGIN: Final = 1 << 20  # bytes
_IN_MEMORY: Final = 1 << 20  # bytes of a log
_ALLOWED: Final = 0o640  # of a part; its owner is the daemon


class LinesLost(OSError):
    """The file at ``path`` had to shrink, and less of it was kept than should be.

    ``error`` is the reason, and ``lost`` the number of bytes at its beginning that are gone.
    """

    def __init__(self, path: str, error: OSError, lost: int) -> None:
        super().__init__(error.errno, error.strerror, path)
        self.lost = lost


def cut_text(error: OSError) -> str:
    """The words after a log's name if its cut failed, or lost what it should keep."""
    if isinstance(error, LinesLost):
        return f"was cut, and its first {error.lost} bytes could not be kept: {error}"
    return f"cannot be cut: {error}"


def keep_end(log: BinaryIO, end: str, size: int, most: int) -> None:
    """Copy the end of a log to a new file of the daemon's, which the log's group may read.

    Not all of it: a log can have any size, of which nothing need ever have been written.
    """
    with _begun(log, end) as part:
        at = max(0, size - most)
        while at < size and (sent := os.sendfile(part, log.fileno(), at, size - at)):
            at += sent


def read_end(log: BinaryIO, size: int, most: int) -> bytes:
    """The end of a log, ``most`` bytes, and no more than fit in memory; empty if it is unreadable.

    With that in memory a log can be cut first, which makes the room for its end.
    """
    most = min(most, _IN_MEMORY)
    try:
        return os.pread(log.fileno(), most, max(0, size - most))
    except OSError:
        return b""


def keep_read(log: BinaryIO, end: str, content: bytes) -> None:
    """Make the same file as ``keep_end`` of an end that was read."""
    with _begun(log, end) as part:
        at = 0
        while at < len(content):
            at += os.write(part, content[at:])


@contextlib.contextmanager
def _begun(log: BinaryIO, path: str) -> Iterator[int]:
    """A new part of a log, open to be written to. Once written, the log's group may read it."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # its owner may have been another user, who has it open still
    part = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        yield part
        status = os.fstat(log.fileno())
        if status.st_uid != os.geteuid():
            os.fchown(part, -1, status.st_gid)
        os.fchmod(part, stat.S_IMODE(status.st_mode) & _ALLOWED | 0o600)
    finally:
        os.close(part)


def replace(part: BinaryIO, path: str, most: int) -> None:
    """Put a copy of the end of a file in its place; it is open to be read and written to.

    The copy is the daemon's. Raises OSError: LinesLost if the file is gone, and less was kept.
    """
    new = f"{path}.new"
    size = os.fstat(part.fileno()).st_size
    try:
        keep_end(part, new, size, most)
        os.rename(new, path)
        return
    except OSError as error:
        failed = error
    # On a full disk above all, it must not grow on.
    with contextlib.suppress(OSError):
        os.unlink(new)
    end = read_end(part, size, most)
    os.unlink(path)
    os.truncate(part.fileno(), 0)  # a removed file that is open keeps its room
    try:
        keep_read(part, new, end)
        os.rename(new, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(new)
        end = b""
    if len(end) < min(size, most):
        raise LinesLost(path, failed, size - len(end)) from failed


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

"""Names in directories: whether they are there, whose they are, and where their symlinks lead."""

import errno
import os
from typing import Final

from ..resolving import COMPONENTS, HOPS
from .file_state import Key, Step

GONE: Final = (errno.ENOENT, errno.ENOTDIR)
NO_OWNER: Final = -1  # instead of a uid: of a name that is not there, or cannot be looked at


def is_there(directory: int, file: str) -> bool:
    """Whether the open directory has this name."""
    return owner_of(directory, file) is not None


def owner_of(directory: int, file: str) -> int | None:
    """The owner of a name in the open directory, None if it is not there."""
    try:
        return os.stat(file, dir_fd=directory, follow_symlinks=False).st_uid
    except OSError as error:
        return None if error.errno in GONE else NO_OWNER


def key_of(status: os.stat_result) -> Key:
    """Which file or directory this is."""
    return status.st_dev, status.st_ino


def trail(directory: str, name: str) -> tuple[Step, ...]:
    """Every place where a change makes the path ``directory/name`` lead to something else.

    Those are the symlinks on the way and the last step: the target, or the first thing missing.
    The steps of a path with too many symlinks or components are not all told.
    """
    steps: list[Step] = []
    ahead = [part for part in reversed(name.split("/")) if part not in ("", ".")]
    at = directory
    hops = passed = 0
    while ahead and passed < COMPONENTS:
        passed += 1
        part = ahead.pop()
        here = os.path.join(at, part)
        try:
            target = os.readlink(here)
        except OSError as error:
            if error.errno != errno.EINVAL or not ahead:  # EINVAL: it is no symlink
                steps.append((at, part))
            if error.errno != errno.EINVAL:
                break
            at = here
            continue
        steps.append((at, part))
        hops += 1
        if hops > HOPS:
            break
        if target.startswith("/"):
            at = "/"
        ahead.extend(part for part in reversed(target.split("/")) if part not in ("", "."))
    return tuple(steps)

"""Opens directories to list them: in tyrant mode, behind a user's symlink, with that user's rights.

Otherwise a symlink in the place of a user's directory would have root tell the names that are in a
directory which only root can list.
"""

import errno
import os
from typing import Final

from . import names, ownership
from .regular_file import denied
from .resolving import NO_SYMLINKS, openat2
from .tenant import Tenant, rights_of

_LIST: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NONBLOCK


def open_directory(path: str, *, tyrant: bool) -> int:
    """A descriptor of a directory, to be listed. Raises OSError; Denied in tyrant mode."""
    if not tyrant:
        return os.open(path, _LIST)
    try:
        return openat2(path, None, _LIST, NO_SYMLINKS)  # the usual case, and the quick one
    except NotImplementedError:
        pass
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    linker, end = ownership.linker(os.path.join(os.getcwd(), path))
    if linker is None:
        return _open_plain(end)
    uid, gids = linker
    tenant = Tenant(uid, gids[0], gids)
    try:
        with rights_of(tenant):
            return os.open(path, _LIST)
    except PermissionError:
        raise denied(tenant, names.shown(path)) from None


def _open_plain(path: str) -> int:
    """A directory on whose path was no symlink, and still is none. Raises OSError."""
    try:
        return openat2(path, None, _LIST, NO_SYMLINKS)
    except NotImplementedError:
        return os.open(path, _LIST)

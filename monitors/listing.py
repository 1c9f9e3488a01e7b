"""Opens directories to list them, or to look into them.

In tyrant mode what is behind a user's symlink is opened with that user's rights.

Otherwise a user could put a symlink in place of a directory. Root would then tell the names in a
directory that only root can list.
"""

import errno
import os
import stat
from typing import Final

from . import names, ownership, working_directory
from .regular_file import denied, is_denial
from .resolving import NO_SYMLINKS, open_outside_proc, openat2
from .tenant import Tenant, rights_of

LIST: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NONBLOCK
REACH: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC  # to look for names that are known


def open_directory(path: str, *, tyrant: bool, flags: int = LIST) -> int:
    """A descriptor of a directory, to be listed. Raises OSError; Denied in tyrant mode."""
    if not tyrant:
        return os.open(path, flags)
    try:
        return openat2(path, None, flags, NO_SYMLINKS)  # the usual case, and the quick one
    except NotImplementedError:
        pass
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    linker, end = ownership.linker(os.path.join(working_directory.current(), path))
    if linker is None:
        return _open_plain(end, flags)
    uid, gids = linker
    tenant = Tenant(uid, gids[0], gids)
    try:
        with rights_of(tenant):
            place = open_outside_proc(path, None)
            try:
                return os.open(f"/proc/self/fd/{place}", flags)
            finally:
                os.close(place)
    except OSError as error:
        if not is_denial(error):
            raise
        raise denied(tenant, names.shown(path), error) from None


def status(path: str, *, tyrant: bool, follow: bool) -> os.stat_result:
    """The status of what is at an absolute path. Raises OSError; Denied in tyrant mode.

    In tyrant mode a user's symlink is followed with that user's rights.
    """
    if not tyrant:
        return os.stat(path, follow_symlinks=follow)
    head, _, file = path.rpartition("/")
    directory = open_directory(head or "/", tyrant=True, flags=REACH)
    try:
        own = os.stat(file, dir_fd=directory, follow_symlinks=False)
        if not follow or not stat.S_ISLNK(own.st_mode):
            return own
        chosen = ownership.chooser((head or "/", file))
        if chosen is None:
            return os.stat(file, dir_fd=directory)
        tenant = Tenant(chosen[0], chosen[1][0], chosen[1])
        return status_for(tenant, file, directory, names.shown(path))
    finally:
        os.close(directory)


def status_for(tenant: Tenant, path: str, at: int | None, shown: str) -> os.stat_result:
    """The status of what is at a path, as the tenant can see it. Raises OSError, Denied."""
    try:
        with rights_of(tenant):
            place = open_outside_proc(path, at)
    except OSError as error:
        if not is_denial(error):
            raise
        raise denied(tenant, shown, error) from None
    try:
        return os.fstat(place)
    finally:
        os.close(place)


def _open_plain(path: str, flags: int) -> int:
    """A directory on whose path was no symlink, and still is none. Raises OSError."""
    try:
        return openat2(path, None, flags, NO_SYMLINKS)
    except NotImplementedError:
        return os.open(path, flags)

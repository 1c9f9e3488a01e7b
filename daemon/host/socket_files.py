"""Socket files: made, given owner and mode, and removed, where the vassal's user may do that.

In tyrant mode the directory of a socket file must belong to the vassal's user. Otherwise a user
could have root make or remove files where the user cannot. The daemon opens the directory first and
works below it (``/proc/self/fd``), so a path that is changed meanwhile has no effect.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import Final, NamedTuple

from ...journal.events import Spec
from ...journal.policy import Policy
from ...monitors.names import shown
from ...monitors.tenant import Tenant, rights_of
from .listen_address import CannotListen

ON_DEMAND: Final = "a socket on demand"


class Terms(NamedTuple):
    """How to listen. The directory of a socket file must belong to ``user``; None: to any user.

    It may also be ``directory``, the one for all vassals, if only root can write there. ``group``
    is the group of that user.
    """

    mode: int
    uid: int  # of the socket file; -1 leaves it as it is
    gid: int
    backlog: int
    user: int | None = None
    directory: str | None = None
    group: int | None = None
    setting: str = ON_DEMAND  # for messages: which one names the address


class File(NamedTuple):
    """A socket file that was made: where, and which one it is."""

    path: str
    device: int
    inode: int


def terms(spec: Spec, policy: Policy) -> Terms:
    """How to listen for a vassal of this spec."""
    uid = gid = -1
    if policy.on_demand_owner is not None:
        uid, gid = policy.on_demand_owner
    elif policy.tyrant:
        assert spec.uid is not None
        assert spec.gid is not None
        uid, gid = spec.uid, spec.gid
    elif policy.user is not None:
        uid, gid = policy.user
    user, group = (spec.uid, spec.gid) if policy.tyrant else (None, None)
    backlog, directory = policy.on_demand_backlog, policy.on_demand_directory
    return Terms(policy.on_demand_mode, uid, gid, backlog, user, directory, group)


def _check_folder(folder: int, path: str, how: Terms) -> None:
    """Make sure that the vassal's user may have a socket made in this directory.

    Raises CannotListen.
    """
    status = os.fstat(folder)
    if how.user is None or status.st_uid == how.user:
        return
    others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if path != how.directory:
        reason = (
            f"{shown(path)} does not belong to uid {how.user}; {how.setting} must be in a directory"
            " of its vassal's user"
        )
    elif status.st_uid != 0 or others:
        reason = f"others than root can write to {shown(path)}; chown or chmod it"
    else:
        return
    raise CannotListen(reason, "address")


def _check_reach(path: str, how: Terms) -> None:
    """Raise the OSError that the vassal's user gets at this directory, if there is one.

    A tenant names the directory, so a failure there must not tell what only root can see.
    """
    if how.user is None or how.group is None or path == how.directory:
        return
    with rights_of(Tenant(how.user, how.group, (how.group,))):
        os.stat(os.path.join(path, "."))


@contextlib.contextmanager
def _folder(path: str) -> Iterator[tuple[int, str]]:
    """The open directory of a path, and the name in it. Raises OSError."""
    head, name = os.path.split(path)
    folder = os.open(head or "/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield folder, name
    finally:
        os.close(folder)


@contextlib.contextmanager
def suitable_folder(path: str, how: Terms) -> Iterator[tuple[int, str]]:
    """As ``_folder``, if a socket may be made there. Raises CannotListen, OSError."""
    with contextlib.ExitStack() as stack:
        try:
            folder, name = stack.enter_context(_folder(path))
            _check_folder(folder, os.path.dirname(path), how)
        except (OSError, CannotListen):
            _check_reach(os.path.dirname(path), how)
            raise
        yield folder, name


def below(folder: int, name: str) -> str:
    return f"/proc/self/fd/{folder}/{name}"


def apply_terms(folder: int, name: str, path: str, how: Terms, known: File | None = None) -> File:
    """Give a socket file its owner and mode: a new one, or the one that is ``known``.

    It is held, so nothing else can take its place.
    """
    file = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        status = os.fstat(file)
        if not stat.S_ISSOCK(status.st_mode) or status.st_nlink != 1:
            raise CannotListen(f"{shown(path)} was replaced while it was made", "busy")
        if known is not None and (status.st_dev, status.st_ino) != known[1:]:
            raise CannotListen(f"{shown(path)} was replaced just now", "busy")
        itself = f"/proc/self/fd/{file}"
        if (how.uid, how.gid) != (-1, -1):
            os.chown(itself, how.uid, how.gid)
        os.chmod(itself, how.mode)
    finally:
        os.close(file)
    return File(path, status.st_dev, status.st_ino)


def remove(file: File | None, how: Terms | None) -> None:
    """Remove a socket file, if it is still the one that was made.

    ``how`` are the terms on which it was made, None where those are not known. Nothing is removed
    from a directory where it could not be made by now. The user may have led the path elsewhere,
    and another user's socket can have the inode of a file that is gone.
    """
    if file is None:
        return
    with contextlib.suppress(OSError, CannotListen), _folder(file.path) as (folder, name):
        if how is not None:
            _check_folder(folder, os.path.dirname(file.path), how)
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        is_it = (status.st_dev, status.st_ino) == (file.device, file.inode)
        if is_it and stat.S_ISSOCK(status.st_mode):
            os.unlink(name, dir_fd=folder)

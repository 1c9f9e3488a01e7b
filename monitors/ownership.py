"""Tyrant mode: whose vassal a file is, and whether that user can have put it there.

Whoever may write to a directory can put a link there, to a file of somebody else's that root
could read and would run; or another directory in the place of one, after it was looked at and
before its vassal is started. So on the way from the root to the file everything must belong to
root or to the user whose vassal it is: each directory and each symlink. None of the directories
may be one that everybody can move things in. A hard link looks like the file itself; one is
believed only where nobody but root can have made it.

What was opened is judged, not what its name leads to now: the descriptor cannot be bent.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterable
from typing import Final

from . import names
from .resolving import HOPS, PROC, LeadsIntoProc, file_system

_NOGROUP: Final = 65534  # of a user of whom only root's group is seen
_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


class Replaced(Exception):
    """The path leads to something else than what was opened, by now."""


def trespass(
    owner: int,
    opened: os.stat_result,
    own: os.stat_result,
    home: os.stat_result,
    place: tuple[str, str],
    *,
    by_link: bool,
) -> str | None:
    """Why the file may not run as ``owner``, or None. Raises Replaced, OSError.

    ``own`` is the status of the name itself, ``home`` that of its directory, ``place`` the path
    of that from the root, and the name in it. ``by_link``: the owner is the symlink's.
    """
    roots = _only_root_writes(home)
    linked = stat.S_ISLNK(own.st_mode)
    if home.st_uid not in (0, owner):
        return (
            f"tyrant mode: it is a file of uid {owner} in a directory of uid {home.st_uid};"
            " the directory must be root's or the file owner's"
        )
    if own.st_nlink > 1 and not roots:
        return _has_links(own)
    # Where only root can have made the link, root says who runs what.
    if opened.st_uid != owner and not (by_link and linked and roots):
        return (
            f"tyrant mode: the symlink of uid {owner} leads to a file of uid {opened.st_uid};"
            " both must have one owner"
        )
    if not linked:
        return _leads_to("/", os.path.join(*place), owner, opened)
    before, at = _walk("/", place[0])
    link = os.path.join(at, place[1])
    # Only that one link is root's: whoever bends the way behind it bends it for themselves.
    return _flaw([*before, link], owner) or _leads_to(at, os.readlink(link), opened.st_uid, opened)


def trespass_at(path: str, owner: int, opened: os.stat_result) -> str | None:
    """Why what was opened at a path may not run as ``owner``, or None. Raises Replaced, OSError.

    For paths that a source gives together with the owner: the file may be root's, too.
    """
    if opened.st_uid not in (0, owner):
        return (
            f"tyrant mode: it is to run as uid {owner}, and {names.shown(path)} belongs to uid"
            f" {opened.st_uid}; it must be root's or that user's"
        )
    if opened.st_nlink > 1 and not _only_root_writes(os.stat(os.path.dirname(path))):
        return _has_links(opened)
    return _leads_to("/", path, owner, opened)


def chooser(place: tuple[str, str]) -> tuple[int, tuple[int, ...]] | None:
    """The uid that has a path lead where it leads, and its groups as the path shows them.

    It is the first owner on the way who is not root: that user can have the rest lead anywhere.
    None if all is root's. ``place`` is the path of the directory from the root, and the name in it.
    Raises OSError.
    """
    before, at = _walk("/", place[0])
    passed = [*before]
    with contextlib.suppress(OSError):  # it may lead to nothing
        _walk(at, place[1], passed)
    for path in passed:
        with contextlib.suppress(OSError):
            if uid := os.lstat(path).st_uid:
                return uid, _groups(uid, passed)
    return None


def linker(path: str) -> tuple[tuple[int, tuple[int, ...]] | None, str]:
    """The first owner of a symlink on the way who is not root, as ``chooser`` tells it, or None.

    And where the path ends, without symlinks. Where a user's symlink leads nowhere, or into procfs,
    the user is told all the same: that user's rights decide about the reason. Raises OSError.
    """
    passed: list[str] = []
    failed, end = None, path
    try:
        _, end = _walk("/", path, passed)
    except OSError as error:
        failed = error
    for each in passed if failed is None else passed[:-1]:
        status = os.lstat(each)
        if stat.S_ISLNK(status.st_mode) and status.st_uid != 0:
            return (status.st_uid, _groups(status.st_uid, passed)), end
    if failed is not None:
        raise failed
    return None, end


def _groups(uid: int, passed: Iterable[str]) -> tuple[int, ...]:
    """The groups of what is a user's on a way, but root's."""
    groups: dict[int, None] = {}
    for path in passed:
        with contextlib.suppress(OSError):
            status = os.lstat(path)
            if status.st_uid == uid and status.st_gid != 0:
                groups[status.st_gid] = None
    return tuple(groups) or (_NOGROUP,)


def _leads_to(at: str, path: str, owner: int, opened: os.stat_result) -> str | None:
    """What is wrong with the way to what was opened, for this owner."""
    way, end = _walk("/" if path.startswith("/") else at, path)
    flaw = _flaw(way, owner)
    if flaw is None and not os.path.samestat(os.lstat(end), opened):
        raise Replaced
    return flaw


def _walk(at: str, path: str, passed: list[str] | None = None) -> tuple[list[str], str]:
    """All that is passed on a path: directories, symlinks, and where it ends. Raises OSError.

    ``at`` is where the path begins, and no symlink is in it; so none is in where it ends.
    ``passed`` is added to, as far as the path leads.
    """
    passed = [] if passed is None else passed
    passed.append(at)
    ahead = [*reversed(path.split("/"))]
    hops = 0
    while ahead:
        part = ahead.pop()
        if part in ("", "."):
            continue
        if part == "..":
            at = os.path.dirname(at)
            continue
        here = os.path.join(at, part)
        passed.append(here)
        try:
            target = os.readlink(here)
        except OSError as error:
            if error.errno != errno.EINVAL:  # it is no symlink
                raise
            at = here
            continue
        if _is_of_proc(here):
            raise LeadsIntoProc(path)
        hops += 1
        if hops > HOPS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if target.startswith("/"):
            at = "/"
        ahead.extend(reversed(target.split("/")))
    return passed, at


def _is_of_proc(link: str) -> bool:
    """Whether a symlink is one of procfs, which leads each process elsewhere. Raises OSError."""
    place = os.open(link, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return file_system(place) == PROC
    finally:
        os.close(place)


def _flaw(way: Iterable[str], owner: int) -> str | None:
    """Where somebody else could have bent the way."""
    for path in way:
        status = os.lstat(path)
        whose = f"tyrant mode: the way to this file of uid {owner} leads over {names.shown(path)},"
        if status.st_uid not in (0, owner):
            return f"{whose} which belongs to uid {status.st_uid}"
        everybodys = status.st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH
        if stat.S_ISDIR(status.st_mode) and everybodys:
            return f"{whose} where everybody may move things; chmod o-w or +t"
    return None


def _only_root_writes(directory: os.stat_result) -> bool:
    return directory.st_uid == 0 and not directory.st_mode & _OTHERS


def _has_links(status: os.stat_result) -> str:
    return (
        f"tyrant mode: it has {status.st_nlink} hard links, and not only root could make one"
        " there; copy the file instead"
    )

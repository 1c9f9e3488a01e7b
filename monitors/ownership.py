"""Tyrant mode: whose vassal a file is, and whether only root or that user can have written it.

A user who may write to a directory can put a link there, to another user's file that root could
read and would run. The user can also replace a directory after it was looked at and before its
vassal is started. A user who may write to a file can have its owner run anything. So every
component on the way from the root to the file must belong to root or to the vassal's user. No other
user may be able to write to it (``writers.py``). The same holds for the file.

A sticky directory (``/tmp``) is the exception: there others can make names, but replace none that
is not theirs. They can also move files there that root or another user left in a directory of
theirs. So in a sticky directory that others may write to, a file or symlink must be the user's own,
not root's, and have one name. A hard link looks like the file itself; one is believed only where
only root can have made it.

The opened file is judged by its descriptor, because its name may lead elsewhere by now.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterable
from typing import Final, NamedTuple

from . import names
from .account_groups import GROUPS
from .path_owners import PathWalker, Step, WalkedPath
from .private_groups import MEMBERS
from .resolving import PROC, Components, LeadsIntoProc, file_system
from .writers import Writer, writers

_NOGROUP: Final = 65534  # of a user of whom only root's group is seen
_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


class Replaced(Exception):
    """The path leads to something else than what was opened, by now."""


class Judgement(NamedTuple):
    """Why a file may not run as a user, None if it may.

    ``way`` is what that depends on besides the signature of the file.
    """

    bar: str | None
    way: WalkedPath


def ownership_flaw(
    ways: PathWalker,
    whose: os.stat_result,
    opened: os.stat_result,
    own: os.stat_result,
    home: os.stat_result,
    place: tuple[str, str],
    *,
    nofollow: bool,
) -> Judgement:
    """Whether the file may run as the user and group of ``whose``.

    ``own`` is the status of the name itself, and ``home`` that of its directory. ``whose`` is
    ``own`` or ``opened``. ``place`` is the directory's path from the root, and the name in it.
    ``nofollow``: a symlink's target does not count when its monitor looks for changes. Raises
    Replaced, NotKnown, OSError.
    """
    owner = whose.st_uid
    way = _way_to(ways, os.path.join(*place), opened)
    bar = _misplaced(owner, opened, own, home) or _flaw(way, owner)
    bar = bar or _foreign_group(way, whose)
    # The name itself is known by its ctime, and so is the file, but for who is in its group.
    seen = [own] if stat.S_ISLNK(own.st_mode) else []
    if not way[-1].writers and not (seen and nofollow):
        seen.append(opened)
    return Judgement(bar, tuple(step for step in way if not any(map(step.is_at, seen))))


def _foreign_group(way: WalkedPath, whose: os.stat_result) -> str | None:
    """The flaw of a group that the owner's account does not have, and that root did not choose.

    Where only root can write to the directory, root put the file there. Root's own user and group
    are barred elsewhere. Raises NotKnown.
    """
    if whose.st_uid == 0 or whose.st_gid == 0:
        return None
    at = next((step for step in way if step.is_at(whose)), way[-1])
    home = os.path.dirname(at.path)
    if any(step.path == home and _is_roots(step) for step in way):
        return None
    if GROUPS.has(whose.st_uid, whose.st_gid):
        return None
    return (
        f"tyrant mode: uid {whose.st_uid} is not in group {whose.st_gid}, which"
        f" {names.shown(at.path)} has, and not only root can put files there; chgrp it"
    )


def _is_roots(directory: Step) -> bool:
    return directory.uid == 0 and not directory.writers


def _misplaced(
    owner: int, opened: os.stat_result, own: os.stat_result, home: os.stat_result
) -> str | None:
    """The flaw of the file where it is, whatever the way to there."""
    if home.st_uid not in (0, owner):
        return (
            f"tyrant mode: it is a file of uid {owner} in a directory of uid {home.st_uid};"
            " the directory must be root's or the file owner's"
        )
    if own.st_nlink > 1 and not _only_root_writes(home):
        return _has_links(own)
    if opened.st_uid not in (0, owner):
        return (
            f"tyrant mode: the symlink of uid {owner} leads to a file of uid {opened.st_uid};"
            " the file must be root's or that user's"
        )
    return None


def ownership_flaw_at(path: str, owner: int, opened: os.stat_result) -> str | None:
    """Why what was opened at a path may not run as ``owner``, or None.

    For paths that a source gives together with the owner: the file may be root's, too. Raises
    Replaced, NotKnown, OSError.
    """
    if opened.st_uid not in (0, owner):
        return (
            f"tyrant mode: it is to run as uid {owner}, and {names.shown(path)} belongs to uid"
            f" {opened.st_uid}; it must be root's or that user's"
        )
    if opened.st_nlink > 1 and not _only_root_writes(os.stat(os.path.dirname(path))):
        return _has_links(opened)
    return _flaw(_way_to(PathWalker(), path, opened), owner)


def exposure(path: str, owner: int) -> str | None:
    """Why others than root and ``owner`` can lead this path elsewhere, or write to what is there.

    For a start: the process opens the path by itself. Raises NotKnown, OSError.
    """
    return _flaw(PathWalker().walk(path), owner)


def written_by_others(path: str, status: os.stat_result, shown: str, owner: int) -> str | None:
    """Which users besides root and the owner may write to what is there, or None.

    Raises NotKnown, OSError.
    """
    for each in writers(path, status, MEMBERS):
        if not each.is_one_of((0, owner)):
            return f"tyrant mode: {told(each, f'write to {shown}')}"
    return None


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
    """The groups of the files and directories on a way that the user owns. Root's is left out."""
    groups: dict[int, None] = {}
    for path in passed:
        with contextlib.suppress(OSError):
            status = os.lstat(path)
            if status.st_uid == uid and status.st_gid != 0:
                groups[status.st_gid] = None
    return tuple(groups) or (_NOGROUP,)


def _way_to(ways: PathWalker, path: str, opened: os.stat_result) -> WalkedPath:
    """The way to what was opened. Raises Replaced, NotKnown, OSError."""
    way = ways.walk(path)
    if not way[-1].is_at(opened):
        raise Replaced
    return way


def _walk(at: str, path: str, passed: list[str] | None = None) -> tuple[list[str], str]:
    """All that is passed on a path: directories, symlinks, and where it ends. Raises OSError.

    ``at`` is where the path begins, and no symlink is in it; so none is in where it ends.
    ``passed`` is added to, as far as the path leads.
    """
    passed = [] if passed is None else passed
    passed.append(at)
    ahead = Components(path)
    while ahead:
        part = ahead.take()
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
        ahead.follow(target)
        if target.startswith("/"):
            at = "/"
    return passed, at


def _is_of_proc(link: str) -> bool:
    """Whether a symlink is one of procfs, which leads each process elsewhere. Raises OSError."""
    place = os.open(link, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return file_system(place) == PROC
    finally:
        os.close(place)


def _flaw(way: WalkedPath, owner: int) -> str | None:
    """The component with which another user could have redirected the way, or written to its
    end."""
    open_directories: set[str] = set()  # the sticky ones
    for step in way:
        whose = f"tyrant mode: the way to this file of uid {owner} leads over"
        shown = names.shown(step.path)
        if step.uid not in (0, owner):
            return f"{whose} {shown}, which belongs to uid {step.uid}"
        others = step.open_to_others(owner)
        if step.is_directory:
            if others and not step.mode & stat.S_ISVTX:
                return f"{whose} {shown}, where {told(others[0], 'move things', ' or +t')}"
            if others:
                open_directories.add(step.path)
            continue
        if others:
            return f"tyrant mode: {told(others[0], f'write to {shown}')}"
        if (directory := os.path.dirname(step.path)) in open_directories:
            if step.uid != owner:
                return (
                    f"{whose} {shown}, which is root's in a sticky directory: others can move such"
                    f" a file there; chown it, or chmod o-w {names.shown(directory)}"
                )
            if step.shared:
                return f"{whose} {shown}, which has several hard links; copy the file instead"
    return None


def told(writer: Writer, may: str, or_sticky: str = "") -> str:
    """Which other users may do something, and how that ends."""
    if writer.gid is not None:
        return f"group {writer.gid} may {may}; chmod g-w{or_sticky}"
    if writer.uid is not None:
        return f"uid {writer.uid} may {may}; chmod g-w{or_sticky}"
    return f"everybody may {may}; chmod o-w{or_sticky}"


def _only_root_writes(directory: os.stat_result) -> bool:
    return directory.st_uid == 0 and not directory.st_mode & _OTHERS


def _has_links(status: os.stat_result) -> str:
    return (
        f"tyrant mode: it has {status.st_nlink} hard links, and not only root could make one"
        " there; copy the file instead"
    )

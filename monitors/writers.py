"""Tyrant mode: which users besides its owner may write to a file or a directory.

The mode says it, and a POSIX access control list (acl(5)). With such a list the group bits of the
mode are its mask, the most that any entry but the owner's and the others' has. So where the group
bits lack w, no entry of the list gives it; where they have w, the entries say who has it.
"""

import errno
import os
import stat
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from .private_groups import Members

_ACL: Final = "system.posix_acl_access"
_VERSION: Final = struct.Struct("<I")  # as linux/posix_acl_xattr.h has them
_ENTRY: Final = struct.Struct("<HHI")
_USER, _GROUP_OBJ, _GROUP, _MASK = 0x02, 0x04, 0x08, 0x10
_WRITE: Final = 0x02
_NO_ACL: Final = (errno.ENODATA, errno.EOPNOTSUPP, errno.ENOSYS)


class Writer(NamedTuple):
    """Users that may write: all (``uid`` and ``gid`` are None), one, or the members of a group.

    Where a group has one member, both are given.
    """

    uid: int | None = None
    gid: int | None = None

    def is_one_of(self, uids: tuple[int, int]) -> bool:
        """Whether it is a user that is one of these."""
        return self.uid in uids


def writers(path: str, status: os.stat_result, members: Members) -> tuple[Writer, ...]:
    """The users, besides the owner and root, who may write to what is at a path.

    ``path`` leads there without a symlink of a tenant's. A group with one member is that user.
    Raises OSError, members.NotKnown.
    """
    mode = status.st_mode
    if stat.S_ISLNK(mode) or not mode & (stat.S_IWGRP | stat.S_IWOTH):
        return ()
    found = [Writer()] if mode & stat.S_IWOTH else []
    if mode & stat.S_IWGRP:
        for each in _by_group_bits(path, status.st_gid):
            only = None if each.gid is None else members.only(each.gid)
            found.append(each if only is None else Writer(only, each.gid))
    return tuple(dict.fromkeys(each for each in found if not each.is_one_of((0, status.st_uid))))


def _by_group_bits(path: str, gid: int) -> Iterator[Writer]:
    """The users who have the w of the group bits."""
    entries = _entries(path)
    if not any(tag == _MASK for tag, _, _ in entries):
        yield Writer(gid=gid)
        return
    for tag, permissions, each in entries:
        if permissions & _WRITE:
            if tag == _USER:
                yield Writer(uid=each)
            elif tag == _GROUP:
                yield Writer(gid=each)
            elif tag == _GROUP_OBJ:
                yield Writer(gid=gid)


def _entries(path: str) -> list[tuple[int, int, int]]:
    """The list's entries, each with its tag, permissions and id; none if there is no list."""
    try:
        raw = os.getxattr(path, _ACL)
    except OSError as error:
        if error.errno in _NO_ACL:
            return []
        raise
    return list(_ENTRY.iter_unpack(raw[_VERSION.size :]))

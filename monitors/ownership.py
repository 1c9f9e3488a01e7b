"""Tyrant mode: whose vassal a file is, and whether that user can have put it there.

Whoever may write to a directory can put a link there, to a file of somebody else's that root
could read and would run. So on the way from the directory watched to the file everything must
belong to root or to the user whose vassal it is: each symlink, and each directory that holds one
or holds the file. A hard link looks like the file itself; one is believed only where nobody but
root can have made it.

What was opened is judged, not what its name leads to now: the descriptor cannot be bent.
"""

import os
import stat
from collections.abc import Iterable

from . import names

Step = tuple[str, str]  # a directory, and the name in it that leads on


def trespass(
    owner: int,
    opened: os.stat_result,
    own: os.stat_result,
    home: os.stat_result,
    way: Iterable[Step],
    *,
    by_link: bool,
) -> str | None:
    """Why the file may not run as ``owner``, or None.

    ``own`` is the status of the name itself, ``home`` that of its directory, ``way`` all places
    where something else could be put in. ``by_link``: the owner is the symlink's.
    """
    made_by_root = home.st_uid == 0 and not home.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if by_link and stat.S_ISLNK(own.st_mode) and made_by_root:
        return None  # root says who runs what
    allowed = (0, owner)
    if home.st_uid not in allowed:
        return (
            f"tyrant mode: it is a file of uid {owner} in a directory of uid {home.st_uid};"
            " the directory must be root's or the file owner's"
        )
    if own.st_nlink > 1 and not made_by_root:
        return (
            f"tyrant mode: it has {own.st_nlink} hard links, and not only root could make one"
            " there; copy the file instead"
        )
    if opened.st_uid != owner:
        return (
            f"tyrant mode: the symlink of uid {owner} leads to a file of uid {opened.st_uid};"
            " both must have one owner"
        )
    for directory, name in way:
        for path in (directory, os.path.join(directory, name)):
            uid = os.lstat(path).st_uid
            if uid not in allowed:
                return (
                    f"tyrant mode: the way to this file of uid {owner} leads over"
                    f" {names.shown(path)}, which belongs to uid {uid}"
                )
    return None

"""Tyrant mode: as whom a vassal runs, and what of the daemon's environment it gets.

The order is: a session of its own; then ``setpriv``, executed as root, forbids new privileges, so
that no program that is set-uid can give any back, and takes on group, groups and user. It is not us
who do, between fork and exec: from the moment in which it is the user's, the user's other processes
may stop it, and we would wait for its exec for ever. Once it has executed something as the user
they may trace it, so nothing that binds the user may come later.

All that is root's stays behind: of its environment only what ``PASSED`` names gets through, besides
what is meant for vassals.
"""

import grp
import os
import pwd
from collections.abc import Mapping
from typing import Final, NamedTuple

from ..journal.events import Spec
from ..journal.policy import Policy

PASSED: Final = ("PATH", "LANG", "LANGUAGE", "TZ")  # and LC_*
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


class NoAccount(Exception):
    """Tyrant mode needs an account, and the uid has none."""


class User(NamedTuple):
    """A user to run as. ``account`` is what the system knows of it: HOME and such."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    account: Mapping[str, str]

    def environment(self, own: Mapping[str, str]) -> dict[str, str]:
        """What the vassal gets of the daemon's ``own`` environment, and of its account."""
        passed = {
            key: value for key, value in own.items() if key in PASSED or key.startswith("LC_")
        }
        return {"PATH": _PATH, **passed, **self.account}


def user_of(spec: Spec, policy: Policy) -> User | None:
    """Whom a vassal of this spec runs as, None for the daemon's own user. May block.

    Raises NoAccount.
    """
    if not policy.tyrant:
        return None
    assert spec.uid is not None
    assert spec.gid is not None
    try:
        known = pwd.getpwuid(spec.uid)
    except KeyError:
        if policy.tyrant_initgroups:
            raise NoAccount(
                f"uid {spec.uid} has no account, so --tyrant-initgroups cannot tell its groups;"
                " make one"
            ) from None
        # Its own group alone: an empty list is not set by every Python.
        return User(spec.uid, spec.gid, (spec.gid,), {})
    account = {
        "HOME": known.pw_dir,
        "USER": known.pw_name,
        "LOGNAME": known.pw_name,
        "SHELL": known.pw_shell,
    }
    groups: tuple[int, ...] = (spec.gid,)
    if policy.tyrant_initgroups:
        groups = tuple(os.getgrouplist(known.pw_name, spec.gid))
    return User(spec.uid, spec.gid, groups, account)


def user_name(uid: int) -> str:
    """The account's name, the number where there is none. May block."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """The group's name, the number where there is none. May block."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)

"""The user of a vassal, and the part of the daemon's environment that the vassal gets.

In tyrant mode a vassal runs as its source's user, with ``--user`` all run as one user. Without
either a config may name a ``user``, if the daemon is root.

First the process gets a session of its own. Then ``setpriv``, executed as root, forbids new
privileges, so that no set-uid program can give any back, and takes on group, groups and user.

The daemon does not do that itself between fork and exec. As soon as the process is the user's, the
user's other processes may stop it (SIGSTOP). The daemon would then wait for its exec for ever. Once
it has executed a program as the user, they may trace it. So every limit for the user comes before.

In tyrant mode all that is root's stays behind: of its environment only what ``passed`` picks gets
through, besides what is meant for vassals. With ``--user`` vassals are the operator's own, so they
get the daemon's environment, with the account of that user.
"""

import grp
import os
import pwd
from collections.abc import Mapping
from typing import Final, NamedTuple

from ...journal.events import Spec
from ...journal.policy import Policy
from ...monitors.tenant import Tenant, passed

_NO_ID: Final = 2**32 - 1
_ACCOUNT: Final = ("HOME", "USER", "LOGNAME", "SHELL")


class NoAccount(Exception):
    """An account is needed and there is none, or the daemon may not run a vassal as it."""


class User(NamedTuple):
    """A user to run as. ``account`` is what the system knows of it: HOME and such."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    account: Mapping[str, str]
    tenant: bool = True  # does not see the daemon's environment

    @property
    def rights(self) -> Tenant:
        """The rights that its processes have."""
        return Tenant(self.uid, self.gid, self.groups)

    def environment(self, own: Mapping[str, str]) -> dict[str, str]:
        """The part of the daemon's ``own`` environment that the vassal gets, and its account."""
        if not self.tenant:
            return {key: own[key] for key in own if key not in _ACCOUNT} | dict(self.account)
        return {**passed(own), **self.account}


def of_tenant(tenant: Tenant) -> User:
    """The user that a tenant is, with what the system knows of the account. May block."""
    return _user(tenant.uid, tenant.gid, initgroups=False)._replace(groups=tenant.groups)


def user_of(spec: Spec, policy: Policy) -> User | None:
    """The user that a vassal of this spec runs as; None for the daemon's own. May block.

    Raises NoAccount.
    """
    if policy.tyrant:
        assert spec.uid is not None
        assert spec.gid is not None
        return _user(spec.uid, spec.gid, initgroups=policy.tyrant_initgroups)
    ids = _named(spec) if policy.user is None else policy.user
    if ids is None:
        return None
    try:
        user = _user(*ids, initgroups=True)
    except NoAccount:
        user = _user(*ids, initgroups=False)
    return user._replace(tenant=False)


def _named(spec: Spec) -> tuple[int, int] | None:
    """The uid and gid that its settings name, None without or for the daemon's own.

    Raises NoAccount.
    """
    named = spec.settings.get("user")
    if named is None:
        return None
    try:
        account = pwd.getpwuid(int(named)) if named.isdigit() else pwd.getpwnam(named)
        uid, gid = account.pw_uid, account.pw_gid
    except (KeyError, OverflowError):
        if not named.isdigit():
            raise NoAccount(f"[emperor] user = {named}: there is no such account") from None
        uid = gid = int(named)
    group = spec.settings.get("group")
    if group is not None:
        try:
            gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
        except KeyError:
            raise NoAccount(f"[emperor] group = {group}: there is no such group") from None
    if not (0 < uid < _NO_ID and 0 < gid < _NO_ID):
        raise NoAccount(f"[emperor] user = {named}: uid {uid} gid {gid} is root's, or no id")
    if os.geteuid() != 0:
        # The daemon's own user is no other one, so that a config serves both kinds of daemon.
        if (uid, gid) == (os.geteuid(), os.getegid()):
            return None
        raise NoAccount(
            f"[emperor] user = {named}: only root can run it as another user, and the daemon is"
            f" uid {os.geteuid()} gid {os.getegid()}; remove it, or start the daemon as root"
        )
    return uid, gid


def _user(uid: int, gid: int, *, initgroups: bool) -> User:
    """The user with the groups of its account, or with its own group alone. Raises NoAccount."""
    try:
        known = pwd.getpwuid(uid)
    except KeyError:
        if initgroups:
            raise NoAccount(
                f"uid {uid} has no account, so --tyrant-initgroups cannot tell its groups; make one"
            ) from None
        # Its own group alone: an empty list is not set by every Python.
        return User(uid, gid, (gid,), {})
    account = (known.pw_dir, known.pw_name, known.pw_name, known.pw_shell)
    groups: tuple[int, ...] = (gid,)
    if initgroups:
        groups = tuple(os.getgrouplist(known.pw_name, gid))
    return User(uid, gid, groups, dict(zip(_ACCOUNT, account, strict=True)))


def root_warning(policy: Policy, *, meant: bool) -> str | None:
    """A warning to an operator whose vassals all run as root, unless that is ``meant``."""
    if meant or policy.tyrant or policy.user is not None or os.geteuid() != 0:
        return None
    return (
        "all vassals run as root: give --user USER to run them as another user, --tyrant to run"
        " each as its source's user, or --as-root if root is meant"
    )


def lacks_root(policy: Policy) -> str | None:
    """Why a start fails where vassals are to run as others and this is not root."""
    option = "--tyrant" if policy.tyrant else "--user" if policy.user is not None else None
    if option is None or os.geteuid() == 0:
        return None
    return (
        f"{option} needs root, to run vassals as other users; this is uid {os.geteuid()}:"
        f" start it as root, or without {option}"
    )


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

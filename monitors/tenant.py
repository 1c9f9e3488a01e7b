"""Tyrant mode: the daemon reads for a tenant with the tenant's rights.

A tenant is the user and group that a vassal is to run as. Tenants decide where their symlinks lead,
so root must not follow these: the text of a root-only file would end in the journal.

On Linux each thread has credentials of its own. The kernel checks file access against the
file system uid and gid (setfsuid(2), setfsgid(2)), the supplementary groups and the effective
capabilities of the calling thread. Two details matter here:

- glibc's setgroups(3) changes every thread of the process. The system call itself changes only the
  calling thread, so it is made directly.
- When the fsuid goes from 0 to another value, the kernel drops CAP_DAC_OVERRIDE and
  CAP_DAC_READ_SEARCH from the effective set. It raises them again when the fsuid goes back to 0.

The real and effective uid stay root's, so a tenant can neither signal nor trace the daemon.
"""

import contextlib
import ctypes
import math
import os
import platform
import pwd
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

# setgroups(2) with 32-bit gids: its number by architecture, for 64-bit processes and for others.
_SETGROUPS: Final = (
    {
        "aarch64": 159,
        "loongarch64": 159,
        "ppc64le": 81,
        "riscv64": 159,
        "s390x": 206,
        "x86_64": 116,
    }.get(platform.machine())
    if sys.maxsize > 1 << 32
    else 206
)
_CAPABILITIES: Final = 0x20080522  # _LINUX_CAPABILITY_VERSION_3
_OVERRIDES: Final = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
_UNCHANGED: Final = 0xFFFFFFFF  # no valid id: setfsuid(2) then only returns the present one

_FRESH: Final = 1.0  # seconds that the groups of an account are remembered
PASSED: Final = ("PATH", "LANG", "LANGUAGE", "TZ")  # and LC_*
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"

_libc: Final = ctypes.CDLL(None, use_errno=True)


class Tenant(NamedTuple):
    """A user, its group and its supplementary groups, as its vassals have them."""

    uid: int
    gid: int
    groups: tuple[int, ...]


class Tenants:
    """Tells who a tenant is, and remembers the groups of accounts for a moment.

    ``initgroups``: a tenant has the groups of its account. To ask for those may take long, and
    thousands of files may belong to one tenant.
    """

    def __init__(self, *, initgroups: bool) -> None:
        self._initgroups = initgroups
        self._groups: dict[tuple[int, int], tuple[int, ...]] = {}
        self._since = -math.inf

    def of(self, uid: int | None, gid: int | None) -> Tenant | None:
        """The tenant with these ids; None if one is missing or root's: no vassal may run as such.

        May block.
        """
        if not uid or not gid:
            return None
        if not self._initgroups:
            return Tenant(uid, gid, (gid,))
        now = time.monotonic()
        if now > self._since + _FRESH:
            self._groups, self._since = {}, now
        groups = self._groups.get((uid, gid))
        if groups is None:
            groups = self._groups[uid, gid] = _groups_of(uid, gid)
        return Tenant(uid, gid, groups)


def _groups_of(uid: int, gid: int) -> tuple[int, ...]:
    try:
        return tuple(os.getgrouplist(pwd.getpwuid(uid).pw_name, gid))
    except KeyError:  # it has no account, so its vassal will be barred
        return (gid,)


def passed(own: Mapping[str, str]) -> dict[str, str]:
    """The part of the daemon's ``own`` environment that a tenant's process gets."""
    kept = {key: value for key, value in own.items() if key in PASSED or key.startswith("LC_")}
    return {"PATH": _PATH, **kept}


def become(tenant: Tenant, setpriv: str = "setpriv") -> list[str]:
    """The arguments that go before a command: it runs as the tenant, without new privileges."""
    groups = ",".join(map(str, tenant.groups))
    ids = [f"--regid={tenant.gid}", f"--groups={groups}", f"--reuid={tenant.uid}"]
    return [setpriv, "--no-new-privs", *ids, "--"]


@contextlib.contextmanager
def rights_of(tenant: Tenant | None) -> Iterator[None]:
    """Access files as the tenant while the block runs; None changes nothing.

    Only the calling thread changes. The block must not give way to another task. Raises OSError,
    without an errno, if the kernel does not let this thread take on exactly these rights.
    """
    if tenant is None:
        yield
        return
    before = Tenant(_fsuid(), _fsgid(), tuple(os.getgroups()))
    try:
        _take(tenant)
        if (flaw := _differs(tenant) or _overrides()) is not None:
            raise OSError(f"cannot take on the rights of uid {tenant.uid}: {flaw}")
        yield
    finally:
        # The fsuid first: it gives back the capabilities.
        _libc.setfsuid(ctypes.c_uint(before.uid))
        _take(before)
        if _differs(before) is not None:
            # This thread may serve anything next. The keeper starts another daemon.
            sys.stderr.write(f"emperor: cannot give up the rights of uid {tenant.uid}\n")
            sys.stderr.flush()
            os.abort()


def _take(wanted: Tenant) -> None:
    """Order matters: with another fsuid, the thread still has CAP_SETGID and CAP_SETUID."""
    _set_groups(wanted.groups)
    _libc.setfsgid(ctypes.c_uint(wanted.gid))
    _libc.setfsuid(ctypes.c_uint(wanted.uid))


def _set_groups(groups: tuple[int, ...]) -> None:
    if _SETGROUPS is not None:  # otherwise the caller sees that the groups differ
        array = (ctypes.c_uint * len(groups))(*groups)
        _libc.syscall(ctypes.c_long(_SETGROUPS), ctypes.c_long(len(groups)), array)


def _differs(wanted: Tenant) -> str | None:
    """Which of the rights this thread does not have as wanted."""
    if sorted(os.getgroups()) != sorted(wanted.groups):
        return "its groups cannot be set"
    if (_fsuid(), _fsgid()) != (wanted.uid, wanted.gid):
        return "its ids cannot be set"
    return None


def _overrides() -> str | None:
    """Whether capabilities still override file permissions, as with SECBIT_NO_SETUID_FIXUP."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES, 0)
    data = (ctypes.c_uint32 * 6)()
    if _libc.capget(header, data) != 0 or data[0] & _OVERRIDES:
        return "the daemon would keep root's capabilities"
    return None


def _fsuid() -> int:
    return ctypes.c_uint32(_libc.setfsuid(ctypes.c_uint(_UNCHANGED))).value


def _fsgid() -> int:
    return ctypes.c_uint32(_libc.setfsgid(ctypes.c_uint(_UNCHANGED))).value

"""Opens regular files and nothing else, with a tenant's rights where there is a tenant.

To open a device, or some files of procfs, is to do something. A FIFO makes the reader wait. To look
first and open by name afterwards would leave a moment in which the name can come to lead elsewhere.
So the file is first opened with O_PATH, which has no effect on it, and judged by that descriptor.
Then exactly that file is opened for reading, through /proc/self/fd.

A file of the daemon's journal is judged likewise, and is not opened (``journal/locked_files.py``).
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import Final

from ..journal.locked_files import Ids, LockedFiles, refuse
from .resolving import PROC, LeadsIntoProc, file_system, open_outside_proc
from .tenant import Tenant, rights_of

# O_NONBLOCK: a lease on the file (fcntl(2), F_SETLEASE) must not stop us.
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_PATH: Final = os.O_PATH | os.O_CLOEXEC
_DENIED: Final = (errno.EACCES, errno.EPERM)

# File systems whose files are the kernel's own, by the magic numbers of statfs(2) and magic.h.
_KERNELS: Final = frozenset(
    (
        0x00001CD1,  # devpts
        PROC,
        0x0027E0EB,  # cgroup
        0x07655821,  # resctrl
        0x19800202,  # mqueue
        0x42494E4D,  # binfmt_misc
        0x43415D53,  # smackfs
        0x5A3C69F0,  # apparmorfs
        0x62656570,  # configfs
        0x62656572,  # sysfs
        0x63677270,  # cgroup2
        0x64626720,  # debugfs
        0x65735543,  # fusectl
        0x6165676C,  # pstore
        0x67596969,  # rpc_pipefs
        0x6E667364,  # nfsd
        0x6E736673,  # nsfs
        0x73636673,  # securityfs
        0x74726163,  # tracefs
        0xABBA1974,  # xenfs
        0xCAFE4A11,  # bpf
        0xDE5E81E4,  # efivarfs
        0xF97CFF8C,  # selinuxfs
    )
)


class NotRegular(Exception):
    """The path leads to something that is no regular file."""


class Denied(Exception):
    """The file is not read for this tenant; the text tells no more than the tenant can know."""

    def __init__(self, tenant: Tenant, reason: str) -> None:
        super().__init__(f"tyrant mode: {reason}")
        self.tenant = tenant


def is_denial(error: OSError) -> bool:
    """Whether a tenant may not have a file, so that ``denied`` has the reason."""
    return isinstance(error, LeadsIntoProc) or error.errno in _DENIED


def denied(tenant: Tenant, shown: str, error: OSError) -> Denied:
    """The error for a file for which the tenant's rights do not suffice."""
    if isinstance(error, LeadsIntoProc):
        return Denied(tenant, f"{shown} leads over a symlink into /proc, the kernel's own files")
    return Denied(tenant, f"uid {tenant.uid} may not read {shown}")


@contextlib.contextmanager
def located(
    path: str,
    tenant: Tenant | None = None,
    *,
    locked: LockedFiles,
    at: int | None = None,
    follow: bool = True,
    shown: str = "",
) -> Iterator[int]:
    """An O_PATH descriptor of a regular file, for ``reopened``; the block has the tenant's rights.

    ``locked`` are files of the journal that this process may have open. ``at`` is the open
    directory in which a relative path begins; ``shown`` is what the file is called in errors.
    Raises NotRegular; LockedFile; Denied, also if the block may not do something; OSError (ELOOP
    for a symlink that is not to be followed).
    """
    own = locked.ids()
    try:
        with rights_of(tenant):
            place = _open_path(path, at, follow=follow, magic=tenant is None)
            try:
                _judge(place, path, tenant, shown or path, own)
                yield place
            finally:
                os.close(place)
    except OSError as error:
        if tenant is None or not is_denial(error):
            raise
        raise denied(tenant, shown or path, error) from None


def _judge(place: int, path: str, tenant: Tenant | None, shown: str, own: Ids) -> None:
    status = os.fstat(place)
    mode = status.st_mode
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    if not stat.S_ISREG(mode):
        raise NotRegular
    refuse(status, own, path)
    if tenant is not None and file_system(place) in _KERNELS:
        raise Denied(tenant, f"{shown} is one of the kernel's own files, as those in /proc are")


def reopened(place: int) -> int:
    """The file of an O_PATH descriptor, opened for reading. Raises OSError."""
    return os.open(f"/proc/self/fd/{place}", _READ)


@contextlib.contextmanager
def opened(
    path: str,
    tenant: Tenant | None = None,
    *,
    locked: LockedFiles,
    at: int | None = None,
    follow: bool = True,
    shown: str = "",
) -> Iterator[int]:
    """A regular file, open for reading; the block itself runs with the daemon's own rights.

    As ``located``, otherwise. Raises NotRegular, LockedFile, Denied, OSError.
    """
    with located(path, tenant, locked=locked, at=at, follow=follow, shown=shown) as place:
        descriptor = reopened(place)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open_path(path: str, at: int | None, *, follow: bool, magic: bool) -> int:
    """An O_PATH descriptor; without ``magic`` it comes about through no symlink into procfs."""
    if magic:
        return os.open(path, _PATH | (0 if follow else os.O_NOFOLLOW), dir_fd=at)
    return open_outside_proc(path, at, follow=follow)

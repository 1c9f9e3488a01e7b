"""Marks of directories: they tell whether others have taken their places, and which are local."""

import os
from collections.abc import Mapping
from typing import Final

# File systems whose changes are all made through this kernel.
_LOCAL: Final = frozenset(
    ("bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs", "zfs")
)

Marks = dict[str, tuple[int, int, int, int]]  # directory -> device, inode, times


def marks(paths: Mapping[str, bool]) -> Marks | None:
    """The marks of these directories; None if one is gone or not local.

    Times count only where that is asked. A directory on the way may be one that is always busy.
    """
    found: Marks = {}
    try:
        for path, timed in paths.items():
            status = os.stat(path or ".")
            times = (status.st_mtime_ns, status.st_ctime_ns) if timed else (0, 0)
            found[path] = status.st_dev, status.st_ino, *times
        local = _local_devices()
    except OSError:
        return None
    return found if {mark[0] for mark in found.values()} <= local else None


def _local_devices() -> set[int]:
    """Devices of mounted file systems that only this machine writes to. Raises OSError."""
    devices: set[int] = set()
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            fields, _, kind = line.partition(b" - ")
            if kind.split(b" ", 1)[0].decode(errors="replace") in _LOCAL:
                major, _, minor = fields.split(b" ")[2].partition(b":")
                devices.add(os.makedev(int(major), int(minor)))
    return devices

"""POSIX access control lists (acl(5)), set without the tools that not every machine has."""

import os
import struct
from pathlib import Path

USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
NO_ID = 0xFFFFFFFF


def set_acl(
    path: Path, *entries: tuple[int, int, int], group: int = 0o4, mask: int = 0o7, other: int = 0o5
) -> None:
    """Give a file a list with these entries, each a tag, an id and permissions."""
    whole = [
        (USER_OBJ, NO_ID, 0o7),
        *sorted(each for each in entries if each[0] == USER),
        (GROUP_OBJ, NO_ID, group),
        *sorted(each for each in entries if each[0] == GROUP),
        (MASK, NO_ID, mask),
        (OTHER, NO_ID, other),
    ]
    packed = b"".join(struct.pack("<HHI", tag, may, who) for tag, who, may in whole)
    os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + packed)

"""Results of a look at one file, and the record of what was last told of it.

A *record* holds what was last told of a file. A look never changes records: it makes new ones, and
its caller puts them in place. So a thread that hangs on a dead network file system and comes back
an hour later does no harm.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from ..contract import Seen
from ..path_owners import WalkedPath

Signature = tuple[int, ...]
Key = tuple[int, int]  # device and inode: which directory or file it is, whatever its path
Step = tuple[str, str]  # a directory, and the name in it that leads on
Watch = Callable[[tuple[Step, ...]], None]


class Record(msgspec.Struct, frozen=True):
    """The state of a file that was last told, without its content.

    ``signature`` is None where it could not be trusted. ``trail`` is the way from a symlink to
    its target, empty for plain files. ``way`` is what tyrant mode judged besides the file.
    ``owner`` is the owner of the name itself in tyrant mode: of the symlink, if it is one.
    """

    signature: Signature | None
    seen: Seen
    trail: tuple[Step, ...] = ()
    way: WalkedPath = ()
    owner: int | None = None


class Found(msgspec.Struct, frozen=True):
    """A config is there. ``content`` is given when the spec differs from the known one."""

    record: Record
    content: bytes | None


class Unreadable(msgspec.Struct, frozen=True):
    """Something is there, but not what it says."""

    reason: str


class Absent(msgspec.Struct, frozen=True):
    """Nothing is there that could be a config."""


class Unsettled(msgspec.Struct, frozen=True):
    """It is being written, or replaced; or its new state is not taken for this ``reason``."""

    reason: str = ""


FileState = Found | Unreadable | Absent | Unsettled
ABSENT: Final = Absent()

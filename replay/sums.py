"""Sums that ``report`` keeps for the next time, in the user's cache: one file a segment.

The sums of a segment follow from its events and from the fleet where it begins. Its file is named
by a digest of the hashes with which it begins and ends, of the snapshot there, and of this
program's source. The hash of an event covers all events before it. So the sums of another journal,
of another history, or by other code have another name. A copy of the journal has the same ones.

Sums are kept only of events that follow from the chain. ``verify`` reads no sums. The files may be
deleted at any time.
"""

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Final
from zlib import compress, decompress

from ..journal.chain import canonical
from ..journal.reading import Reader
from .source_digest import source_digest

_DIGEST: Final = 32  # bytes, before the packed sums
_KEPT: Final = 30 * 86_400  # seconds after its last use
_MOST: Final = 256 << 20  # bytes of all files
_SUFFIX: Final = ".sums"


def pack(sums: bytes) -> bytes:
    """The content of a file."""
    packed = compress(sums, 1)
    return sha256(packed).digest() + packed


def unpack(content: bytes) -> bytes:
    """The sums in a file that is whole."""
    return decompress(content[_DIGEST:])


def name_of(reader: Reader, begin: int, end: int) -> str:
    """The name of the file of a segment that begins with a stored snapshot, or with the file."""
    query = "SELECT check_sum FROM snapshot WHERE seq = ?"
    snapshot = [check_sum for (check_sum,) in reader.fetch(query, begin)]
    hashes = [(reader.hash_of(seq) or b"").hex() for seq in (begin, end)]
    parts = (source_digest(), begin, end, hashes, snapshot, begin == reader.anchor.seq)
    return sha256(canonical(parts)).hexdigest() + _SUFFIX


class Sums:
    """The files of this user. Without a folder that only this user can write, there are none."""

    def __init__(self, folder: int | None) -> None:
        self._folder = folder

    @property
    def are_kept(self) -> bool:
        """Whether any can be."""
        return self._folder is not None

    def load(self, name: str) -> bytes | None:
        """The content of a file that is whole."""
        if self._folder is None:
            return None
        with contextlib.suppress(OSError):
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=self._folder)
            with open(descriptor, "rb") as file:
                content = file.read()
                os.utime(descriptor)
            if sha256(content[_DIGEST:]).digest() == content[:_DIGEST]:
                return content
        return None

    def store(self, name: str, content: bytes) -> None:
        """Keep the content of a file, if there is room."""
        if self._folder is None:
            return
        new = f"{name}.{os.getpid()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            descriptor = os.open(new, flags, 0o600, dir_fd=self._folder)
            with open(descriptor, "wb") as file:
                file.write(content)
            os.rename(new, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(new, dir_fd=self._folder)

    def tidy(self) -> None:
        """Delete the files that were not used for long, and the oldest of too many."""
        if self._folder is None:
            return
        left = _MOST
        for status, name in sorted(self._files(), reverse=True):
            left -= status[1]
            if left < 0 or status[0] < time.time() - _KEPT:
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=self._folder)

    def _files(self) -> Iterator[tuple[tuple[float, int], str]]:
        for name in os.listdir(self._folder):
            if _SUFFIX in name:
                with contextlib.suppress(OSError):
                    found = os.stat(name, dir_fd=self._folder, follow_symlinks=False)
                    yield (found.st_mtime, found.st_size), name


NO_SUMS: Final = Sums(None)


@contextlib.contextmanager
def kept() -> Iterator[Sums]:
    """The sums of this user, in ``$XDG_CACHE_HOME/emperord`` or ``~/.cache/emperord``."""
    descriptor = _opened() if source_digest() else None
    try:
        yield Sums(descriptor)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _opened() -> int | None:
    home = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(home):  # the XDG specification has relative ones ignored
        home = os.path.expanduser("~/.cache")
    folder = os.path.join(home, "emperord")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    found = os.fstat(descriptor)
    # Another user who can write there could have reports say anything.
    others = stat.S_IWGRP | stat.S_IWOTH
    if found.st_uid != os.geteuid() or found.st_mode & others:
        os.close(descriptor)
        return None
    return descriptor

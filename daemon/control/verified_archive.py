"""The archive that another process has verified, as the daemon reads it to cut its journal.

The file may be in a directory where other users can put another one in its place. So it is the file
that was verified, by inode, size and times, before each step. Each fleet that is read from it has
the digest that was told of it. A swap in the midst of a step changes nothing in the journal.
"""

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, Final, Self
from urllib.parse import quote

import msgspec

from ...journal.archive_file import Identity, SnapshotRow, row_digest
from ...journal.locked_files import LockedFiles
from .server import Refused

_FLEET: Final = "SELECT seq, hash, fleet, check_sum FROM snapshot WHERE seq = ?"


class VerifiedArchive:
    """An archive, and what was verified of it. The methods may block."""

    def __init__(
        self,
        path: str,
        identity: Identity,
        fleets: Sequence[tuple[int, str]],
        begin: int,
        locked: LockedFiles,
    ) -> None:
        self.path = path
        # The events behind which the journal may begin, in order.
        self.steps = sorted(seq for seq, _ in fleets if seq > begin)
        self._digests = dict(fleets)
        self._identity = identity
        self._locked = locked
        self._file = -1

    @classmethod
    def told(cls, found: Mapping[str, Any], begin: int, locked: LockedFiles) -> Self:
        """The archive that the process has told of; the journal begins behind ``begin``.

        ``locked`` are the journal's own files.
        """
        identity = msgspec.convert(found["verified"], Identity)
        return cls(found["archive"], identity, found["fleets"], begin, locked)

    def open(self) -> None:
        """Hold the file, so that no other gets its inode. Raises OSError and Refused."""
        self._file = self._locked.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self.check()

    def close(self) -> None:
        """Hold it no longer."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def check(self) -> None:
        """Raise Refused unless the path leads to what was verified, and that is as it was."""
        try:
            found = (os.fstat(self._file), os.stat(self.path))
        except OSError as error:
            raise Refused(
                f"{self.path}: {error.strerror}; no more events leave the journal"
            ) from error
        if any(Identity.of(each) != self._identity for each in found):
            raise self._changed()

    def fleet(self, seq: int) -> SnapshotRow:
        """The fleet after an event. Raises Refused."""
        self.check()
        uri = f"file:{quote(self.path)}?mode=ro&immutable=1"
        try:
            with closing(sqlite3.connect(uri, uri=True)) as db:
                row: SnapshotRow | None = db.execute(_FLEET, (seq,)).fetchone()
        except sqlite3.Error as error:
            raise self._changed() from error
        if row is None or row_digest(row) != self._digests[seq]:
            raise self._changed()
        self.check()
        return row

    def _changed(self) -> Refused:
        return Refused(
            f"{self.path}: another program changed or replaced it after it was verified, so no more"
            " events leave the journal; name a file in a directory of your own"
        )

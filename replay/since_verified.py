"""``verify --since-verified FILE``: the decisions that a former ``verify`` compared are not again.

A *mark* stands for all that was compared up to an event. It has the hash of that event, the digest
of the fleet behind it, and the deploys that were open then. The next ``verify`` checks the chain of
all events. If the event still has that hash, all events before it are those that were folded, so
the same source would decide the same. Then it folds the events behind the mark only, beginning
with the stored snapshot if that has the fleet's digest.

Snapshots and the outcomes of deploys are not in the chain. The mark has a digest of those up to
its event.

The file proves as much as the place where it is kept: it must not be one where an attacker of the
journal can write.
"""

import contextlib
import os
import time
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

import msgspec

from ..daemon.core.deploys import Deploy
from ..journal.chain import canonical
from ..journal.damage import Audit
from ..journal.deploys import COLUMNS
from ..journal.errors import JournalError
from ..journal.reading import Reader, unpacked
from ..journal.times import rfc3339
from ..monitors.names import shown
from ..version import VERSION
from .source_digest import source_digest

_FORMAT: Final = "emperord verified 1"


class Mark(msgspec.Struct, frozen=True):
    """All that was compared up to event ``seq``. Times are UTC nanoseconds.

    ``begun`` is when all events were folded at once, ``until`` when those before ``seq`` were.
    """

    format: str
    version: str
    source: str
    begun: int
    until: int
    anchor: int
    seq: int
    hash: str
    fleet: str
    outcomes: bool  # the journal has those of deploys
    open: list[Deploy]
    tables: str

    @property
    def when(self) -> str:
        """When the decisions were compared, for people."""
        begun, until = rfc3339(self.begun)[:19], rfc3339(self.until)[:19]
        return f"on {until}Z" if begun == until else f"from {begun}Z to {until}Z"


class Since:
    """The mark in a file; None where there is no file yet. Raises JournalError."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.mark: Mark | None = None
        try:
            with open(path, "rb") as file:
                self.mark = msgspec.json.decode(file.read(), type=Mark)
        except FileNotFoundError:
            return
        except OSError as error:
            raise JournalError(f"{path}: cannot be read: {error.strerror}") from None
        except msgspec.DecodeError:
            raise self._strange() from None
        if self.mark.format != _FORMAT:
            raise self._strange()

    def _strange(self) -> JournalError:
        return JournalError(
            f"{self.path}: not a file of 'verify --since-verified'; give another name, or remove it"
        )

    def usable(self, reader: Reader, outcomes: bool, notes: list[str]) -> Mark | None:
        """The mark, where nothing up to it must be folded again; a note says why, if it must."""
        mark = self.mark
        if mark is None or not self._is_of(reader):
            return None
        reason = None
        if not source_digest() or mark.source != source_digest():
            reason = f"they were compared by another program (version {shown(mark.version)})"
        elif (mark.anchor, mark.outcomes) != (reader.anchor.seq, outcomes):
            reason = "old events were moved to an archive, or outcomes of deploys were added"
        elif tables(reader, mark.seq, mark.open, outcomes) != mark.tables:
            reason = "a stored snapshot or the outcome of a deploy is another now"
        if reason is None:
            return mark
        notes.append(f"all events were folded, also those up to {mark.seq}: {reason}")
        return None

    def _is_of(self, reader: Reader) -> bool:
        mark = self.mark
        return mark is None or (reader.hash_of(mark.seq) or b"").hex() == mark.hash

    def compare(self, reader: Reader, audit: Audit) -> None:
        """Find that the event of the mark is another one now."""
        mark = self.mark
        if mark is None or mark.seq < reader.anchor.seq:
            return
        if any(each.seq == mark.seq for each in audit.findings):
            return  # of its hash, nothing more can be told
        with contextlib.suppress(JournalError):  # it cannot be read, which was found already
            missing = mark.seq <= reader.head.seq and reader.hash_of(mark.seq) is None
            if missing or self._is_of(reader):
                return
            audit.find(
                f"rewritten or rolled back: {shown(self.path)} has event {mark.seq} with the hash"
                f" {mark.hash[:16]}…, compared {mark.when}, and this journal has not; or the file"
                " is of another journal",
                mark.seq,
            )

    def write(self, mark: Mark) -> None:
        """Put a mark into the file. Raises JournalError."""
        new = f"{self.path}.new"
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with open(descriptor, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(mark)) + b"\n")
                file.flush()
                os.fsync(descriptor)
            os.rename(new, self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(new)
            raise JournalError(
                f"{self.path}: cannot be written, so the next one begins as this did:"
                f" {error.strerror}"
            ) from None


def mark_of(
    reader: Reader, seq: int, hash_: bytes, fleet: bytes, open_: list[Deploy], outcomes: bool,
    former: Mark | None,
) -> Mark | None:  # fmt: skip
    """The mark of an event that was compared now; None where the program's source is not known."""
    now = time.time_ns()
    if not source_digest():
        return None
    if former is not None and former.seq == seq:
        return former
    return Mark(
        _FORMAT, VERSION, source_digest(), now if former is None else former.begun, now,
        reader.anchor.seq, seq, hash_.hex(), fleet.hex(), outcomes, open_,
        tables(reader, seq, open_, outcomes),
    )  # fmt: skip


def tables(reader: Reader, upto: int, open_: Iterable[Deploy], outcomes: bool) -> str:
    """The digest of the snapshots up to an event, and of outcomes of deploys that are settled."""
    found = sha256()
    query = "SELECT seq, hash, fleet, check_sum FROM snapshot WHERE seq > ? AND seq <= ?"
    query += " ORDER BY seq LIMIT 1"
    last = 0
    while rows := reader.fetch(query, last, upto):
        last, hash_, _, check_sum = rows[0]
        whole = unpacked(*rows[0]).fleet is not None
        found.update(canonical((last, hash_, check_sum, whole)))
    waits = {deploy.seq for deploy in open_}
    query = f"SELECT {COLUMNS} FROM deploy WHERE seq > ? AND seq <= ?"
    query += " ORDER BY seq LIMIT 1000"
    last = reader.anchor.seq
    while outcomes and (rows := reader.fetch(query, last, upto)):
        last = rows[-1][0]
        found.update(canonical([row for row in rows if row[0] not in waits]))
    return found.hexdigest()

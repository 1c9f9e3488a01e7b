"""A journal together with its archives: one record, from the first event of the oldest to the last.

The files are joined in a private temporary directory, and read there. Each must begin where the one
before it ends, with the same hash. So what holds for a journal that was never cut holds for them.

The outcomes of deploys are left out: an archive has those that were known when it ends. A reader
finds them out from the events.
"""

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from . import identity_row, outside, schema, writing
from .errors import Damaged, JournalError
from .files import Files
from .identity_row import Flaw
from .reading import ARCHIVE, Link, Reader, error_text, unpacked

_TEXTS: Final = (
    "INSERT INTO config SELECT digest, content FROM newer.config AS n"
    " WHERE NOT EXISTS (SELECT 1 FROM main.config WHERE digest = n.digest) ORDER BY rowid"
)
_OTHER: Final = "the journal's identity (table chain) is not that of its archive"
_END: Final = "SELECT seq, hash FROM {0}.chain WHERE name = ?"
_SNAPSHOT: Final = "SELECT seq, hash, fleet, check_sum FROM {0}.snapshot WHERE seq = ?"


class JoinedFiles(Files):
    """The files of a journal, and its archives, the oldest first."""

    def __init__(self, path: str, archives: Sequence[str]) -> None:
        """Raises JournalError, NotAJournal."""
        super().__init__(path)
        self.archives = tuple(archives)
        self._parts = [*map(Files, archives), Files(path)]

    def look(self) -> None:
        super().look()
        self.access = "copied"

    def _copy(self, stack: contextlib.ExitStack) -> str:
        try:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="emperor-replay-"))
            target = os.path.join(folder, "journal")
            self.flaws = _join(self._parts, target)
        except (OSError, sqlite3.Error) as error:
            if isinstance(error, PermissionError) and error.filename:
                raise  # the journal's own
            raise JournalError(
                f"{self.path}: cannot be joined with its archives: {error_text(error)}; it needs"
                " room for a copy of all of them in a temporary directory: set TMPDIR to one that"
                " has it"
            ) from None
        return target


def files_of(path: str, archives: Sequence[str] = ()) -> Files:
    """The files of a journal, and of its archives if some are told. Raises JournalError."""
    return JoinedFiles(path, archives) if archives else Files(path)


@contextlib.contextmanager
def open_joined(path: str, archives: Sequence[str] = ()) -> Iterator[Reader]:
    """A reader of a journal and its archives as one, until the block ends. Raises JournalError."""
    files = files_of(path, archives)
    with files.connection() as connection:
        yield Reader(files, connection)


def _join(parts: Sequence[Files], target: str) -> list[Flaw]:
    """Write the joined files; the flaws that cannot be found in them, with the events' numbers."""
    oldest, *newer = parts
    flaws = list[Flaw]()
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with contextlib.closing(sqlite3.connect(target, uri=True, isolation_level=None)) as db:
        with oldest.connection() as source:
            source.backup(db)
        for pragma in ("journal_mode = DELETE", "journal_mode = OFF", "synchronous = OFF"):
            db.execute(f"PRAGMA {pragma}")
        schema.migrate(db)
        with writing.transaction(db):
            flaws += _flaws_of_oldest(db, oldest.path)
        for part in newer:
            with part.attached(db, "newer"), writing.transaction(db):
                _check(db, part.path)
                flaws += _flaws_of_newer(db, part.path)
                _add(db)
        db.execute("DELETE FROM deploy")
    return flaws


def _flaws_of_oldest(db: sqlite3.Connection, path: str) -> list[Flaw]:
    """The flaws of the file that was copied. Rows that are outside of its record are removed."""
    anchor, head = _link(db, "main", "anchor"), _link(db, "main", "head")
    if anchor is None or head is None:
        return []
    found = _named(outside.rows_of_part(db, "main", anchor.seq, head.seq), path)
    outside.remove(db, anchor.seq, head.seq)
    flaw = identity_row.flaw(db, anchor.seq, head.seq)
    return found if flaw is None else [*found, *_named([flaw], path)]


def _flaws_of_newer(db: sqlite3.Connection, path: str) -> list[Flaw]:
    """The flaws of a file that goes on from those before. Its identity is taken if it has none."""
    anchor, head = _link(db, "newer", "anchor"), _link(db, "newer", "head")
    assert anchor is not None
    assert head is not None
    found = _named(outside.rows_of_part(db, "newer", anchor.seq, head.seq), path)
    flaw = identity_row.flaw(db, anchor.seq, head.seq, place="newer")
    older, newer = _link(db, "main", "identity"), _link(db, "newer", "identity")
    if flaw is not None or newer is None:
        return found if flaw is None else [*found, *_named([flaw], path)]
    # Behind the end of its archive, a copy may have gone its own way.
    if older not in (None, newer) and max(older.seq, newer.seq) <= anchor.seq:
        found += _named([(_OTHER, newer.seq)], path)
    else:
        writing.set_link(db, "identity", newer.seq, newer.hash)
    return found


def _named(flaws: Iterable[Flaw], path: str) -> list[Flaw]:
    return [(f"{what} ({path})", seq) for what, seq in flaws]


def _check(db: sqlite3.Connection, path: str) -> None:
    """Raise JournalError unless a file goes on where those before it end."""
    begin, end = _link(db, "newer", "anchor"), _link(db, "main", "head")
    if begin is None or begin != end:
        where = "another event" if end is None else f"event {end.seq}"
        raise JournalError(
            f"{path}: does not go on from {where}, with which its archive ends; it was cut"
            " meanwhile, or another file is needed: 'verify' each alone"
        )
    snapshots = []
    for place in ("main", "newer"):
        row = db.execute(_SNAPSHOT.format(place), (begin.seq,)).fetchone()
        snapshots.append(None if row is None else unpacked(*row).fleet)
    if snapshots[1] is None or snapshots[0] not in (None, snapshots[1]):
        raise Damaged(
            f"{path}: it begins with another fleet than its archive ends with, or with none;"
            " 'verify' the archive alone",
            begin.seq,
        )


def _link(db: sqlite3.Connection, place: str, name: str) -> Link | None:
    row = db.execute(_END.format(place), (name,)).fetchone()
    return None if row is None else Link(*row)


def _add(db: sqlite3.Connection) -> None:
    begin, head = _link(db, "newer", "anchor"), _link(db, "newer", "head")
    assert begin is not None
    assert head is not None
    db.execute(
        "INSERT INTO event SELECT * FROM newer.event WHERE seq > ? AND seq <= ? ORDER BY seq",
        (begin.seq, head.seq),
    )
    db.execute(_TEXTS)
    db.execute(
        "INSERT OR IGNORE INTO snapshot SELECT * FROM newer.snapshot WHERE seq >= ? AND seq <= ?",
        (begin.seq, head.seq),
    )
    writing.set_link(db, "head", head.seq, head.hash)
    db.execute("DELETE FROM main.chain WHERE name = ?", (ARCHIVE,))
    if (end := _link(db, "newer", ARCHIVE)) is not None:
        writing.set_link(db, ARCHIVE, end.seq, end.hash)

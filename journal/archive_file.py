"""An archive: the older events of a journal, in a file of their own, which is a journal as well.

``write`` makes the file of an archive. ``shorten`` takes its events out of the journal, and records
that. Between the two, a caller verifies the file. So each event is in one of the two files at any
moment, or in both. Where a daemon has the journal, ``cuts.py`` takes its place.

Texts of configs go with the events that name them. A text that a later event names, or the fleet
with which the journal goes on, is in both files.
"""

import contextlib
import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from typing import Final, Self

import msgspec

from . import chain, deploys, lost_log, schema, writing
from .advice import advice
from .connecting import INCREMENTAL, connect
from .errors import JournalError
from .files import Files
from .opening import Taken
from .quantities import size_text
from .reading import ARCHIVE, Link, error_text
from .rows import Snapshot

UNFINISHED: Final = ".unfinished"  # behind the name of an archive that is being written
STEP: Final = 500  # events that a daemon takes out at once, as each commit waits for that
LONGEST_STEP: Final = 2_500  # the same where the fleet is larger than the events before it
_AT_ONCE: Final = 10_000  # events that are read at once, as a long look keeps the log from folding
# Where a body has the digest of a config.
NAMING: Final = ("$.spec.config", "$.back_to.config", "$.runs.config", "$.config")
_MAKE_NAMED: Final = "CREATE TEMP TABLE {0} (digest TEXT PRIMARY KEY) WITHOUT ROWID"
_ADD_NAMED: Final = (
    "INSERT OR IGNORE INTO temp.{0} SELECT json_extract(body, ?) AS digest FROM main.event"
    " WHERE json_valid(body) AND seq > ? AND seq <= ? AND digest IS NOT NULL"
)
_DIGESTS: Final = "SELECT digest FROM config WHERE digest > ? ORDER BY digest LIMIT ?"
_NAMED: Final = (
    "SELECT DISTINCT json_extract(body, ?) FROM event"
    " WHERE json_valid(body) AND seq > ? AND seq <= ?"
)
_COPY: Final = (
    "INSERT INTO main.event SELECT * FROM source.event WHERE seq > ? AND seq <= ? ORDER BY seq"
)
_LAST: Final = (1 << 63) - 1
_AS_WRITTEN: Final = (
    "SELECT 1 FROM chain AS archive JOIN chain AS head ON head.name = 'head'"
    " WHERE archive.name = ? AND archive.seq = head.seq"
)
_SPARE: Final = 64 << 20  # bytes that stay free on a large disk
_PART: Final = 10  # of a small disk, a tenth stays free
SnapshotRow = tuple[int, bytes, bytes, str]
"""A row of the table ``snapshot``."""


class Part(msgspec.Struct, frozen=True):
    """The events that go to an archive: those behind ``begin``, up to ``end``.

    ``fleet`` is the fleet at the end. ``before`` and ``after`` are the configs of the fleet at the
    beginning and at the end. ``outcomes`` are the deploys, as far as these events tell. ``steps``
    are the fleet every ``STEP`` events or a few more, as rows of the table ``snapshot``. ``size``
    is that of the archive, roughly, in bytes.
    """

    begin: Link
    end: Link
    fleet: bytes
    before: frozenset[str]
    after: frozenset[str]
    outcomes: list[deploys.Row]
    steps: list[SnapshotRow] = []
    size: int = 0

    @property
    def rows(self) -> list[SnapshotRow]:
        """The fleets with which a journal may go on, in order; the last one is that of the end."""
        end = writing.snapshot_row(Snapshot(self.end.seq, self.fleet), self.end.hash)
        return [each for each in self.steps if each[0] < self.end.seq] + [end]


class Identity(msgspec.Struct, frozen=True):
    """By what a file is known again, and that no other program has written to it since."""

    device: int
    inode: int
    size: int
    modified: int  # ns
    changed: int  # ns; of its names and rights, too

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """The identity of a file with this status."""
        return cls(
            status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        )

    def has_same_content(self, other: "Identity") -> bool:
        """Whether it is the same file as before, maybe under another name."""
        return self == msgspec.structs.replace(other, changed=self.changed)


def row_digest(row: SnapshotRow) -> str:
    """A digest of a row of the table ``snapshot``."""
    seq, hash_, packed, check_sum = row
    return chain.digest(b"%d %b %b %b" % (seq, hash_, check_sum.encode(), packed))


def refuse(path: str) -> None:
    """Raise JournalError where a file is an archive, before it is opened for writing.

    The file is left as it is. An archive has no log beside it.
    """
    real = os.path.realpath(path)
    if lost_log.is_missing(real) or os.path.lexists(real + "-wal"):
        return
    try:
        with Files(path).connection() as db:
            as_written = db.execute(_AS_WRITTEN, (ARCHIVE,)).fetchall()
    except (sqlite3.Error, JournalError, OSError):
        return  # the caller opens it, and says what is wrong
    if as_written:
        raise JournalError(
            f"{path}: is an archive of a journal, and no event is added to it; 'emperor-replay"
            " --journal' reads it. To go on with a journal elsewhere, use a copy by 'emperor-ctl"
            " backup'"
        )


def write(source: Files, path: str, part: Part) -> None:
    """Write the archive of a part to a file that is new. On an error there is none.

    Raises JournalError.
    """
    with _unfinished(source, path, part.size) as unfinished:
        _fill(source, unfinished, part)


def copy(source: Files, path: str) -> None:
    """Write a copy of a journal that may be in use, to be published. On an error there is none.

    It is one look at the journal, so a daemon that writes meanwhile does not begin it anew. Raises
    JournalError.
    """
    with (
        _unfinished(source, path) as unfinished,
        source.connection() as reader,
        contextlib.closing(sqlite3.connect(unfinished)) as db,
    ):
        reader.backup(db)
        db.execute("PRAGMA journal_mode = DELETE")


def size_of(db: sqlite3.Connection) -> int:
    """The bytes of a database: those of a copy. Its log may be larger. Raises sqlite3.Error."""
    ((pages,),) = db.execute("PRAGMA page_count").fetchall()
    ((size,),) = db.execute("PRAGMA page_size").fetchall()
    return int(pages) * int(size)


@contextlib.contextmanager
def _unfinished(source: Files, path: str, size: int | None = None) -> Iterator[str]:
    """A new file that is filled within this, and synced after it; none on an error.

    The daemon goes on meanwhile, so the file is not begun where the disk would be full then. The
    size is that of the whole journal by default.
    Raises JournalError.
    """
    unfinished = path + UNFINISHED
    try:
        if size is None:
            with source.connection() as db:
                size = size_of(db)
        if (lacking := _lacking_room(os.path.dirname(path), size)) is not None:
            raise JournalError(f"{path}: is not written: {lacking}")
        _make(unfinished, source.real)
        try:
            yield unfinished
            _sync(unfinished, os.O_RDWR)
        except BaseException:
            discard(path)
            raise
    except (sqlite3.Error, OSError) as error:
        raise _not_written(path, error) from None


def publish(path: str) -> None:
    """Give an archive that was verified its name. Raises JournalError."""
    unfinished = path + UNFINISHED
    try:
        try:
            os.link(unfinished, path)  # fails where there is a file by now
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            os.rename(unfinished, path)
        discard(path)
        _sync_folder(path)
    except OSError as error:
        raise _not_written(path, error) from None


def settle(path: str) -> None:
    """Have an archive on disk that a former run left, under its name. Raises JournalError.

    That run may have been killed before it had synced all.
    """
    try:
        _sync(path, os.O_RDONLY)
        _sync_folder(path)
    except OSError as error:
        raise _not_written(path, error) from None


def discard(path: str) -> None:
    """Remove what was written of an archive that is not to be."""
    with contextlib.suppress(OSError):
        os.unlink(path + UNFINISHED)


def shorten(taken: Taken, part: Part, event: chain.Columns, last: bytes) -> bool:
    """Take the events of a part out of the journal, and append ``event``, which says so.

    ``last`` is the hash of the event before it. It is one transaction. False: the file keeps its
    size, as the disk has no room to write it anew. Raises JournalError.
    """
    try:
        db = connect(taken.path, taken.file)
        with contextlib.closing(db):
            db.execute("PRAGMA temp_store = MEMORY")
            with writing.transaction(db):
                _take_out(db, part)
                hash_ = chain.link(last, event)
                writing.insert_events(db, [(event, hash_)])
                writing.set_link(db, "head", event[0], hash_)
            return _compact(db)
    except (sqlite3.Error, OSError) as error:
        raise JournalError(
            f"{taken.path}: cannot be written: {_reason(error)}. The archive is there and whole,"
            " and the journal has all events still: give the same command again"
        ) from None


def _make(path: str, source: str) -> None:
    """An empty file, of the journal's owner."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # of a run that was killed
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        status = os.stat(source)
        with contextlib.suppress(OSError):
            os.fchown(descriptor, status.st_uid, status.st_gid)
    finally:
        os.close(descriptor)


def _fill(source: Files, path: str, part: Part) -> None:
    begin, end = part.begin.seq, part.end.seq
    with contextlib.closing(sqlite3.connect(path, uri=True, isolation_level=None)) as db:
        # The file is of no use before it is whole and synced, so nothing is synced here.
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "temp_store = MEMORY"):
            db.execute(f"PRAGMA {pragma}")
        db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        schema.migrate(db)
        with source.attached(db, "source"):
            for after in range(begin, end, _AT_ONCE):
                with writing.transaction(db):
                    db.execute(_COPY, (after, min(after + _AT_ONCE, end)))
                # Other programs write to the disk as well.
                if (lacking := _lacking_room(os.path.dirname(path), 0)) is not None:
                    raise JournalError(f"{path}: is not written to its end: {lacking}")
            _fill_others(db, part)


def _fill_others(db: sqlite3.Connection, part: Part) -> None:
    """All but the events: what belongs to them."""
    begin, end = part.begin.seq, part.end.seq
    with writing.transaction(db):
        with _named(db, "gone", (begin, end), part.before):
            db.execute(
                "INSERT INTO main.config SELECT digest, content FROM source.config"
                " WHERE digest IN (SELECT digest FROM temp.gone) ORDER BY rowid"
            )
        db.execute(
            "INSERT INTO main.snapshot SELECT * FROM source.snapshot WHERE seq >= ? AND seq <= ?",
            (begin, end),
        )
        db.executemany("INSERT OR REPLACE INTO main.snapshot VALUES (?, ?, ?, ?)", part.rows)
        deploys.store(db, part.outcomes)
        identity = _identity(db, "source")
        if identity is not None:
            writing.set_link(db, "identity", identity.seq, identity.hash)
        writing.set_link(db, "anchor", begin, part.begin.hash)
        writing.set_link(db, "head", end, part.end.hash)
        writing.set_link(db, ARCHIVE, end, part.end.hash)


def unneeded(db: sqlite3.Connection, end: int, after: Collection[str]) -> tuple[list[str], int]:
    """Texts that no event behind ``end`` names, and none of those ``after``.

    Also the last event that was looked at. The looks are short, as a daemon writes meanwhile.
    Raises sqlite3.Error.
    """
    needless: set[str] = set()
    last = ""
    while rows := db.execute(_DIGESTS, (last, _AT_ONCE)).fetchall():
        needless.update(digest for (digest,) in rows)
        ((last,),) = rows[-1:]
    ((head,),) = db.execute("SELECT seq FROM chain WHERE name = 'head'").fetchall()
    for begin in range(end, head, _AT_ONCE):
        for path in NAMING:
            named = db.execute(_NAMED, (path, begin, min(begin + _AT_ONCE, head))).fetchall()
            needless.difference_update(digest for (digest,) in named)
    return sorted(needless.difference(after)), head


def _identity(db: sqlite3.Connection, place: str) -> Link | None:
    """The journal's identity; 0.1.0 did not store it, and it is the first event's hash there."""
    stored = f"SELECT seq, hash FROM {place}.chain WHERE name = 'identity'"
    first = f"SELECT seq, hash FROM {place}.event WHERE seq = 1"
    begins = f"NOT (SELECT seq FROM {place}.chain WHERE name = 'anchor')"
    for query in (stored, f"{first} AND {begins}"):
        if (row := db.execute(query).fetchone()) is not None:
            return Link(*row)
    return None


def _take_out(db: sqlite3.Connection, part: Part) -> None:
    """Remove the events of a part, and what only they name."""
    end = part.end.seq
    with (
        _named(db, "gone", (part.begin.seq, end), part.before),
        _named(db, "kept", (end, _LAST), part.after),
    ):
        db.execute(
            "DELETE FROM config WHERE digest IN (SELECT digest FROM temp.gone)"
            " AND digest NOT IN (SELECT digest FROM temp.kept)"
        )
    writing.begin_at(db, writing.snapshot_row(Snapshot(end, part.fleet), part.end.hash))


@contextlib.contextmanager
def _named(
    db: sqlite3.Connection, table: str, between: tuple[int, int], more: Collection[str]
) -> Iterator[None]:
    """A table of the configs that some events name, and of others."""
    db.execute(_MAKE_NAMED.format(table))
    for path in NAMING:
        db.execute(_ADD_NAMED.format(table), (path, *between))
    _add(db, table, more)
    yield
    db.execute(f"DROP TABLE temp.{table}")


def _add(db: sqlite3.Connection, table: str, digests: Iterable[str]) -> None:
    rows = [(digest,) for digest in digests]
    db.executemany(f"INSERT OR IGNORE INTO temp.{table} VALUES (?)", rows)


def _compact(db: sqlite3.Connection) -> bool:
    """Give the room of the file back to the disk. Without room for that, SQLite uses it again."""
    try:
        db.execute(INCREMENTAL)  # of a journal that was made without it
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.OperationalError:
        return False
    return True


def _lacking_room(folder: str, needed: int) -> str | None:
    """Why a file of so many bytes would leave too little room; None if it would not.

    A daemon may need room on the same disk. Raises OSError.
    """
    status = os.statvfs(folder or ".")
    free, total = status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize
    spare = min(_SPARE, total // _PART)
    if not total or free >= needed + spare:  # some file systems of users tell nothing
        return None
    return (
        f"{size_text(free)} are free on its disk; it takes some {size_text(needed)}, and"
        f" {size_text(spare)} are to stay free: make room, or name a file on another disk"
    )


def _sync_folder(path: str) -> None:
    _sync(os.path.dirname(os.path.abspath(path)), os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: str, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_written(path: str, error: Exception) -> JournalError:
    if isinstance(error, FileExistsError):
        return JournalError(f"{path}: is there already; name another file")
    if isinstance(error, FileNotFoundError):
        return JournalError(f"{path}: its directory is not there; make it, or name another file")
    return JournalError(f"{path}: cannot be written: {_reason(error)}")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError | sqlite3.OperationalError):
        return f"{error_text(error)}; {advice(error)}"
    return error_text(error)

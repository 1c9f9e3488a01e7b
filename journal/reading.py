"""Reading a journal: any journal, at any time, without leaving a trace.

A ``Reader`` fixes at its start where the record ends (the ``head``) and shows what is before
that. Events never change, so it reads them in pieces, each in a transaction of its own. Therefore a
reader that pages through a million events for an hour does not stop the daemon's checkpoints, and
its memory stays small.

The reader believes the rows, but for two checks that cost nothing. The text of a config must have
the digest under which it is stored, and a snapshot its own checksum. ``damage.py`` checks all of
it.
"""

import contextlib
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from . import chain, deploys, outside, schema
from .decoding import decode_body
from .errors import (
    SEE_VERIFY,
    VERIFY_SAYS_MORE,
    Damaged,
    JournalError,
    NewerFormat,
    NotAJournal,
    UnreadableEvent,
)
from .events import NOT_FOLDED, Event
from .files import Files
from .selection import ALL, Filter, pages
from .times import EventNumber, Moment

# seq, at, kind, monitor, vassal, cause, body, actions, hash
Row = tuple[int, int, str, str | None, str | None, int | None, str, str, bytes]

COLUMNS: Final = "seq, at, kind, monitor, vassal, cause, body, actions, hash"
ARCHIVE: Final = "archive"  # in the table chain: the end of a file that goes on in another
_HASH: Final = 32  # bytes
_BRIEF: Final = 120  # characters
_LATELY: Final = 50_000  # events that are read one by one, for less than a tenth of a second


class Link(msgspec.Struct, frozen=True):
    """An end of the chain: an event's number and hash."""

    seq: int
    hash: bytes


class Stored(msgspec.Struct, frozen=True):
    """A snapshot as it is stored. ``fleet`` is its JSON, None if it is not what was written."""

    seq: int
    hash: bytes
    fleet: bytes | None


class Snapshot(msgspec.Struct, frozen=True):
    """A snapshot that is what was written."""

    seq: int
    hash: bytes
    fleet: bytes


class Reader:
    """An open journal without the right to write. Not for two threads at once."""

    def __init__(self, files: Files, connection: sqlite3.Connection, salvage: bool = False) -> None:
        """With ``salvage``, what should be in the table ``chain`` is taken from the events."""
        self.path = files.path
        self.files = files
        self.db = connection
        with self.reading():
            self.db.execute("BEGIN")
            schema.check_ours(connection, self.path)
            self._check_tables(salvage)
            (last,) = self.db.execute("SELECT max(seq) FROM event").fetchone()
            self.anchor, self.head = (_of_events if salvage else ends)(self.db, self.path)
            self.db.execute("COMMIT")
            outside.hide(self.db, self.anchor.seq)
        self.last: int = self.anchor.seq if last is None else last  # the last row there is

    def _check_tables(self, salvage: bool) -> None:
        lacking = schema.lacking(self.db)
        if len(lacking) == len(schema.TABLES):
            raise NotAJournal(f"{self.path}: a journal without tables; {COPY_THE_LOG}")
        if "event" in lacking or (lacking and not salvage):
            raise schema.as_error(self.path, lacking.values())

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Raise SQLite's errors about a broken file as Damaged."""
        try:
            with readable(self.path):
                yield
        except UnicodeDecodeError:  # SQLite's complaint quotes a damaged definition
            raise Damaged(f"{self.path}: its schema is damaged{SEE_VERIFY}") from None

    # Events

    def rows(
        self, which: Filter = ALL, after: int | None = None, upto: int | None = None
    ) -> Iterator[Row]:
        """The events as they are stored, in order, from the one behind ``after`` to ``upto``."""
        return self.select(COLUMNS, which, after, upto)

    def select(
        self,
        columns: str,
        which: Filter = ALL,
        after: int | None = None,
        upto: int | None = None,
        tables: str = "event",
    ) -> Iterator[Any]:
        """Columns of the events, the first of which is ``event.seq``; ``tables`` has event."""
        after, end = self.span(which, after, upto)
        return pages(self.fetch, columns, tables, which, after, end)

    def span(self, which: Filter, after: int | None, upto: int | None) -> tuple[int, int]:
        """The event before those that can fit, and the last one."""
        last = self.anchor.seq if after is None else after
        if which.since is not None:
            last = max(last, self.seq_before(which.since))
        end = self.head.seq if which.until is None else self.seq_of(which.until)
        return last, end if upto is None else min(end, upto)

    def events(self, which: Filter = ALL, after: int | None = None) -> Iterator[Event]:
        """The events, decoded. Raises NewerFormat, UnreadableEvent."""
        for row in self.rows(which, after):
            yield self.decode(row)

    def decode(self, row: Row) -> Event:
        """The event of a row. Raises NewerFormat, UnreadableEvent, which name the row."""
        return decoded(self.path, row)

    def row(self, seq: int) -> Row | None:
        """One event as it is stored."""
        return self._row(f"SELECT {COLUMNS} FROM event WHERE seq = ?", seq)

    def first_of(self, vassal: str) -> Row | None:
        """The first event about a vassal."""
        return self._row(
            f"SELECT {COLUMNS} FROM event WHERE vassal = ? ORDER BY seq LIMIT 1", vassal
        )

    def last_of(self, vassal: str, kinds: Sequence[str], upto: int) -> Row | None:
        """The last event of these kinds about a vassal, at or before ``upto``."""
        marks = ", ".join("?" * len(kinds))
        return self._row(
            f"SELECT {COLUMNS} FROM event WHERE vassal = ? AND seq <= ? AND kind IN ({marks})"
            " ORDER BY seq DESC LIMIT 1",
            vassal, upto, *kinds,
        )  # fmt: skip

    def last_rejection(self, label: str, upto: int) -> Row | None:
        """The last time that a thing of this name was refused as a vassal, if that is not long ago.

        No index has these events, and a journal may have millions. A daemon that starts records
        anew what it refuses.
        """
        return self._row(
            f"SELECT {COLUMNS} FROM event WHERE kind = 'observation_rejected' AND seq > ?"
            " AND seq <= ? AND json_extract(body, '$.name') = ? ORDER BY seq DESC LIMIT 1",
            upto - _LATELY, upto, label,
        )  # fmt: skip

    def _row(self, query: str, *parameters: object) -> Row | None:
        rows = self.fetch(query, *parameters)
        return rows[0] if rows else None

    def _one(self, query: str, *parameters: object) -> Any:
        rows = self.fetch(query, *parameters)
        return rows[0] if rows else None

    def fetch(self, query: str, *parameters: object) -> list[Any]:
        # Commands ask thousands of times, so the usual way enters no context manager.
        try:
            return self.db.execute(query, parameters).fetchall()
        except (sqlite3.Error, UnicodeDecodeError):
            with self.reading():
                return _fetch_leniently(self.db, query, parameters)

    def vassals(self) -> list[str]:
        """Every name that the events speak of, sorted."""
        # One step of the index for each name, not for each event.
        rows = self.fetch(
            "WITH RECURSIVE name(it) AS (SELECT min(vassal) FROM event WHERE vassal IS NOT NULL"
            " UNION ALL SELECT (SELECT min(vassal) FROM event WHERE vassal > it) FROM name"
            " WHERE it IS NOT NULL) SELECT it FROM name WHERE it IS NOT NULL"
        )
        return [name for (name,) in rows if name.__class__ is str]  # an index can be damaged, too

    def monitors(self) -> list[str]:
        """Every source that the events speak of or that a daemon was started with, sorted."""
        rows = self.fetch("SELECT DISTINCT monitor FROM event WHERE monitor IS NOT NULL")
        rows += self.fetch(
            "SELECT DISTINCT json_each.value FROM event, json_each(body, '$.monitors')"
            " WHERE kind = 'daemon_started' AND json_valid(body)"
        )
        return sorted({name for (name,) in rows if name.__class__ is str})

    def seq_at(self, at: int) -> int:
        """The last event at or before a time; the anchor's number if all came later."""
        # Times rise with the numbers, so a binary search does without an index on them.
        low, high = self.anchor.seq, self.head.seq
        while low < high:
            middle = (low + high + 1) // 2
            row = self._one(
                "SELECT seq, at FROM event WHERE seq <= ? ORDER BY seq DESC LIMIT 1", middle
            )
            # Without a row in between some are missing there; a damaged time tells nothing.
            if row is None or row[0] <= low or row[1].__class__ is not int or row[1] <= at:
                low = middle
            else:
                high = row[0] - 1
        return low

    def seq_of(self, when: Moment) -> int:
        """The last event up to a moment, an end of the record where that is not in it."""
        if isinstance(when, EventNumber):
            return min(max(when.seq, self.anchor.seq), self.head.seq)
        return self.seq_at(when)

    def seq_before(self, when: Moment) -> int:
        """The last event before a moment, an end of the record where that is not in it."""
        if isinstance(when, EventNumber):
            return self.seq_of(EventNumber(when.seq - 1))
        return self.seq_at(when - 1)

    # Configs

    def config_text(self, digest: str) -> bytes | None:
        """The config text stored under its digest, or None. Raises Damaged if it is another."""
        row = self._one("SELECT content FROM config WHERE digest = ?", digest)
        return None if row is None else whole_text(self.path, digest, row[0])

    # Deploys

    def deploys(self) -> list[Any]:
        """The outcomes of deploys that the journal has: seq, previous, outcome, outcome_seq.

        Only of those whose events are in this file; nothing where a daemon has yet to find out.
        """
        query = "SELECT seq, previous, outcome, outcome_seq FROM deploy WHERE seq > ? ORDER BY seq"
        return self.fetch(query, self.anchor.seq) if self.has_deploys() else []

    def has_deploys(self) -> bool:
        """Whether the daemon stored the outcomes of deploys."""
        with self.reading():
            return deploys.is_current(self.db) and deploys.is_filled(self.db, self.anchor.seq)

    def has_outcomes(self) -> bool:
        """Whether there is any row of them, so that there has to be one for each deploy."""
        with self.reading():
            return deploys.is_current(self.db) and not deploys.is_empty(self.db)

    def outside(self) -> Iterator[tuple[str, int | None]]:
        """The flaws of rows that are not of the record, with numbers. Raises sqlite3.Error."""
        yield from self.files.flaws  # found when files were joined
        begin, end = self.anchor.seq, self.head.seq
        yield from outside.rows(self.db, begin, end, live=self.files.live)

    # Snapshots

    def snapshots(self, upto: int | None = None) -> Iterator[Stored]:
        """The snapshots, newest first, from the one at or before ``upto``."""
        seq = self.head.seq if upto is None else upto
        while True:
            row = self._one(
                "SELECT seq, hash, fleet, check_sum FROM snapshot WHERE seq > 0 AND seq <= ?"
                " ORDER BY seq DESC LIMIT 1",
                seq,
            )
            if row is None:
                return
            yield unpacked(*row)
            seq = row[0] - 1

    def whole_snapshots(self, upto: int) -> Iterator[Snapshot]:
        """Those at or before an event that are what was written and belong to their event."""
        for stored in self.snapshots(upto):
            if stored.fleet is not None and stored.hash == self.hash_of(stored.seq):
                yield Snapshot(stored.seq, stored.hash, stored.fleet)

    def anchor_snapshot(self) -> Snapshot | None:
        """The fleet where this file begins; None where it begins with the first event."""
        if self.anchor.seq == 0:
            return None
        stored = next(self.snapshots(self.anchor.seq), None)
        if (
            stored is None
            or stored.seq != self.anchor.seq
            or stored.hash != self.anchor.hash
            or stored.fleet is None
        ):
            raise Damaged(
                f"{self.path}: it begins behind event {self.anchor.seq}, and the snapshot of"
                " that event is missing or damaged: the fleet of that time is not known",
                self.anchor.seq,
            )
        return Snapshot(stored.seq, stored.hash, stored.fleet)

    def is_archive(self) -> bool:
        """Whether the record goes on in another file, as ``archive`` wrote this one."""
        query = "SELECT seq FROM chain WHERE name = ?"
        return self.fetch(query, ARCHIVE) == [(self.head.seq,)]

    def hash_of(self, seq: int) -> bytes | None:
        if seq == self.anchor.seq:
            return self.anchor.hash
        row = self._one("SELECT hash FROM event WHERE seq = ?", seq)
        return None if row is None else row[0]


def _fetch_leniently(
    connection: sqlite3.Connection, query: str, parameters: Sequence[Any]
) -> list[Any]:
    """Ask again: a damaged text is no error, the caller finds out by its content."""
    try:
        return connection.execute(query, parameters).fetchall()
    except sqlite3.OperationalError as error:
        if "UTF-8" not in str(error):
            raise
        connection.text_factory = _lenient
        try:
            return connection.execute(query, parameters).fetchall()
        finally:
            connection.text_factory = str


@contextlib.contextmanager
def open_journal(path: str) -> Iterator[Reader]:
    """A reader of the journal at ``path``, until the block ends.

    Raises JournalError (not there, not readable), NotAJournal, NewerFormat, Damaged.
    """
    files = Files(path)
    with files.connection() as connection:
        yield Reader(files, connection)


def decoded(path: str, row: Row) -> Event:
    """The event of a row. Raises NewerFormat, UnreadableEvent, which name the row."""
    seq, at, kind, monitor, vassal, cause, body, actions, _ = row
    # SQLite's columns take anything, also text that is none.
    if not (
        at.__class__ is int
        and (vassal is None or (vassal.__class__ is str and vassal.isascii()) or _is_name(vassal))
        and (
            monitor is None or (monitor.__class__ is str and monitor.isascii()) or _is_name(monitor)
        )
    ):
        raise UnreadableEvent(
            f"{path}: event {seq}: a column has another type{VERIFY_SAYS_MORE}",
            seq, seq - 1,
        )  # fmt: skip
    try:
        failed = actions == NOT_FOLDED
        return Event(seq, at, kind, monitor, vassal, cause, decode_body(kind, body), failed)
    except NewerFormat as error:
        raise NewerFormat(f"{path}: event {seq}: {error}; read it with a newer emperord") from None
    except UnreadableEvent as error:
        raise UnreadableEvent(
            f"{path}: event {seq}: {error}{VERIFY_SAYS_MORE}", seq, seq - 1
        ) from None
    except (TypeError, UnicodeEncodeError):
        raise UnreadableEvent(
            f"{path}: event {seq}: its body is no text{VERIFY_SAYS_MORE}", seq, seq - 1
        ) from None


def _is_name(value: object) -> bool:
    """Whether a column is a name; a damaged one may hold what is no UTF-8."""
    if not isinstance(value, str):
        return False
    return value.isascii() or not any("\ud800" <= each <= "\udfff" for each in value)


def _of_events(connection: sqlite3.Connection, _: str) -> tuple[Link, Link]:
    """Where the chain begins and ends by the events, as its table ``chain`` is damaged."""
    row = connection.execute("SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1").fetchone()
    begin = Link(0, chain.GENESIS)
    return begin, begin if row is None else Link(*row)


def ends(connection: sqlite3.Connection, path: str) -> tuple[Link, Link]:
    """Where the chain in this file begins and ends. Raises Damaged."""
    found = {
        name: Link(seq, hash_)
        for name, seq, hash_ in connection.execute("SELECT name, seq, hash FROM chain")
        if seq.__class__ is int and seq >= 0 and hash_.__class__ is bytes and len(hash_) == _HASH
    }
    for name in ("anchor", "head"):
        if name not in found:
            raise Damaged(
                f"{path}: its table chain has no row {name!r} with a number and a hash; {_RESTORE}"
            )
    return found["anchor"], found["head"]


def identity_link(connection: sqlite3.Connection) -> Link | None:
    """The event whose hash is the journal's identity; None where there was none yet.

    0.1.0 did not store it: there it is the first event.
    """
    for query in (_IDENTITY, _FIRST_EVENT):
        for seq, hash_ in connection.execute(query):
            if seq.__class__ is int and hash_.__class__ is bytes and len(hash_) == _HASH:
                return Link(seq, hash_)
    return None


def unpacked(seq: int, hash_: bytes, packed: bytes, check_sum: str) -> Stored:
    """A row of the table ``snapshot``."""
    fleet = None
    if packed.__class__ is bytes and chain.digest(packed) == check_sum:
        with contextlib.suppress(zlib.error):
            fleet = zlib.decompress(packed)
    return Stored(seq, hash_, fleet)


def whole_text(path: str, digest: str, stored: object) -> bytes:
    """A stored config text. Raises Damaged if it has another digest."""
    content = as_bytes(stored)
    if chain.digest(content) != digest:
        raise Damaged(
            f"{path}: the config text {digest} is not what was deployed;"
            f" 'verify' names the events that refer to it"
        )
    return content


def as_bytes(value: object) -> bytes:
    """A column that should be a BLOB, whatever type it has now."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")


_IDENTITY: Final = "SELECT seq, hash FROM chain WHERE name = 'identity'"
_FIRST_EVENT: Final = (
    "SELECT seq, hash FROM event WHERE seq = 1"
    " AND NOT (SELECT seq FROM chain WHERE name = 'anchor')"
)
_RESTORE: Final = "restore it from a copy"
COPY_THE_LOG: Final = "if it was copied, its -wal file must be copied with it"


def _lenient(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def of_sqlite(path: str, error: sqlite3.Error) -> JournalError:
    """Turn an error of SQLite into the error of a journal that it stands for."""
    name = getattr(error, "sqlite_errorname", "") or ""
    damaged = name.startswith("SQLITE_CORRUPT") or "decode" in str(error)
    if isinstance(error, sqlite3.OperationalError) and not damaged:
        return JournalError(f"{path}: cannot be read: {error_text(error)}")
    if name == "SQLITE_NOTADB":
        return NotAJournal(f"{path}: not an SQLite database, or its first page is damaged")
    return Damaged(f"{path}: {error_text(error)}{SEE_VERIFY}")


@contextlib.contextmanager
def readable(path: str) -> Iterator[None]:
    """Raise SQLite's errors about a broken file as Damaged."""
    try:
        yield
    except sqlite3.Error as error:
        raise of_sqlite(path, error) from None


def error_text(error: Exception) -> str:
    """The text of an SQLite error, on one line and cut: it may quote a whole definition."""
    text = " ".join(str(error).split())
    return text if len(text) <= _BRIEF else f"{text[:_BRIEF]}..."

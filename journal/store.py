"""The store: the one writer of a journal.

``opening.py`` takes the locks (``locks.py``). ``connecting.py`` opens the database and brings its
schema up to date. ``write_connection.py`` makes another connection where the first is of no use any
more. ``writing.py`` has the SQL.

``append`` is synchronous and is called in a worker thread. It returns when the events are on disk,
after one fsync for all of them (WAL, ``synchronous=FULL``).
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Self

import msgspec

from . import chain, deploys, identity_row, lost_log, rows, writing
from .advice import advice
from .announcements import Announcements
from .cuts import Cuts
from .deploy_table import DeployTable
from .errors import Damaged, JournalError, JournalPaused
from .events import FORKED, Event
from .log_folding import LogFolding
from .opening import Taken, take
from .reading import COLUMNS, Link, decoded, ends, error_text, identity_link, readable
from .tail import newest_snapshot, rows_after
from .texts import Texts
from .write_connection import WriteConnection

SNAPSHOT_EVERY: Final = 10_000  # events
_HASH: Final = "SELECT hash FROM event WHERE seq = ? AND seq > ?"
_TIME: Final = "SELECT at FROM event WHERE seq = ? AND seq > ?"
_ADOPTED: Final = "SELECT max(json_extract(body, '$.seq')) FROM event WHERE kind = ? AND seq > ?"
_COPY_THE_ROW: Final = "copy that row from its archive, or restore the journal from a copy"


class Head(msgspec.Struct, frozen=True):
    """How far a journal is durable: its last event, and the identity of the journal.

    The identity is the hash of the first event. A copy that was told to go its own way
    (``journal_forked``) has the hash of that event instead.
    """

    identity: bytes
    seq: int
    hash: bytes
    at: int = 0


Snapshot = rows.Snapshot


class Journal:
    """An open journal with the right to append."""

    def __init__(self, taken: Taken, connection: WriteConnection) -> None:
        self.path = taken.path
        self.made = taken.made  # by opening it
        self.locked = taken.locked  # a child that has not executed its program yet needs copies
        self._locks = taken.locks
        self._connection = connection
        self._found = connection.stamps()  # before the first look into it
        self.texts = Texts(connection)
        self.announcements = Announcements(connection, lambda: self.begin)
        db = connection.db
        with readable(self.path):
            anchor, self._last = ends(db, self.path)
            row = db.execute(_TIME, (self.seq, anchor.seq)).fetchone()
            named = _identity(db, self.path, anchor, self._last)
        self.deploys = DeployTable(connection, anchor.seq)
        self.cuts = Cuts(connection, anchor, lambda: self._last)
        self.log = LogFolding(connection, lambda: self._last)
        self._identity = None if named is None else named.hash
        self.last_at: int = row[0] if row and row[0].__class__ is int else 0
        # Called after each append, in its thread, when the events are durable.
        self.when_durable: Callable[[Head], None] = lambda _: None

    @classmethod
    def open(cls, path: str) -> Self:
        """Open the journal for writing, creating it (0600) and its folder if need be.

        Raises JournalLocked, NotAJournal, NewerFormat, Damaged; each text says what to do.
        """
        taken = take(path)
        with contextlib.ExitStack() as opened:
            opened.push(taken.locks)
            try:
                connection = WriteConnection.open(taken.path, taken.file)
            except OSError as error:
                raise JournalError(
                    f"{taken.path}: cannot be opened: {error.strerror}; {advice(error)}"
                ) from None
            opened.callback(connection.close_unfolded)
            journal = cls(taken, connection)
            opened.pop_all()
            return journal

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the journal; the WAL is folded into the file.

        While an append hangs, nothing is let go: another writer must not begin before it has ended,
        which is with this process at the latest.
        """
        if self._connection.close():
            self._locks.close()

    def leave(self) -> None:
        """Let go of the journal with all files as they are: it is not gone on with.

        One that was made for nothing is removed.
        """
        if self._connection.in_use.locked():
            return
        unused = self.made and self.seq == 0 and self._connection.is_open and self.in_place()
        unused = unused and not self.was_written_to()
        self._connection.close_unfolded()
        for suffix in ("-shm", "-wal", "") if unused else ():
            with contextlib.suppress(OSError):
                os.unlink(self.path + suffix)
        self._locks.close()

    # Which journal this is

    @property
    def seq(self) -> int:
        """The number of the last event."""
        return self._last.seq

    @property
    def head(self) -> Head | None:
        """Identity and last event; None where there was no event yet."""
        if self._identity is None:
            return None
        return Head(self._identity, self.seq, self._last.hash, self.last_at)

    def hash_of(self, seq: int) -> bytes | None:
        """The hash of an event. None if it is not in this file: not yet, or archived."""
        if seq == self.cuts.begin.seq:
            return self.cuts.begin.hash
        with readable(self.path):
            row = self._connection.db.execute(_HASH, (seq, self.begin)).fetchone()
        return None if row is None else bytes(row[0])

    def identity_event(self) -> Event | None:
        """The event whose hash is the journal's identity, if it is in this file."""
        with readable(self.path):
            row = self._connection.db.execute(
                f"SELECT {COLUMNS} FROM event WHERE hash = ? AND seq ="
                " coalesce((SELECT seq FROM chain WHERE name = 'identity'), 1) AND seq > ?",
                (self._identity, self.begin),
            ).fetchone()
        return None if row is None else decoded(self.path, row)

    def adopted_upto(self) -> int:
        """The greatest number of an event without which an operator had a daemon go on; else 0."""
        with readable(self.path):
            ((seq,),) = self._connection.read_rows(_ADOPTED, "journal_adopted", self.begin)
        return int(seq or 0)

    @property
    def begin(self) -> int:
        """The number of the event before the first in this file: what is older was archived."""
        return self.cuts.begin.seq

    def number_on(self, head: Head, snapshot: Snapshot, row: chain.Columns) -> None:
        """Let a journal without events follow the last event of one that was lost.

        It keeps that one's identity and chain, as a journal does whose events were archived.
        ``snapshot`` is the fleet at its beginning, ``row`` its first event. Raises JournalPaused.
        """
        assert self.seq == 0
        first = chain.link(head.hash, row)
        db = self._connection.db
        try:
            with writing.transaction(db):
                writing.set_link(db, "anchor", head.seq, head.hash)
                writing.set_link(db, "head", row[0], first)
                writing.set_link(db, "identity", 1, head.identity)
                writing.insert_snapshot(db, snapshot, head.hash)
                writing.insert_events(db, [(row, first)])
        except (sqlite3.DatabaseError, OSError) as error:
            raise JournalPaused(f"{self.path}: cannot be written: {error_text(error)}") from error
        self.cuts.begin, self._last = Link(head.seq, head.hash), Link(row[0], first)
        self._identity, self.last_at = head.identity, row[1]

    # Reading what is needed to go on

    def snapshot(self, before: int | None = None) -> Snapshot | None:
        """The newest snapshot that is what was written, if there is one (before that event).

        Raises Damaged where there is none and the journal does not begin with the first event.
        """
        upto = self.seq if before is None else before - 1
        with readable(self.path):
            stored = newest_snapshot(self._connection.db, self.path, self.cuts.begin.seq, upto)
        return None if stored is None else Snapshot(stored.seq, stored.fleet or b"")

    def tail(self, after: int) -> Iterator[Event]:
        """The events after ``after``, each checked against the chain; raises Damaged."""
        with readable(self.path):
            head = self._last
            for row in rows_after(self._connection.db, self.path, self.cuts.begin, head, after):
                yield decoded(self.path, row)

    def time_of(self, seq: int) -> int:
        """The ``at`` of an event; 0 if there is none or it is lost, IN_ARCHIVE if it was moved."""
        with readable(self.path):
            rows_ = self._connection.read_rows(_TIME, seq, self.begin)
        for (at,) in rows_:
            return int(at)
        return rows.IN_ARCHIVE if self.adopted_upto() < seq <= self.begin else 0

    # Appending

    def append(
        self,
        rows: Sequence[chain.Columns],
        configs: Mapping[str, bytes] | None = None,
        snapshot: Snapshot | None = None,
        known: Sequence[deploys.Row] = (),
    ) -> None:
        """Append events, in order and numbered on from ``seq``; return when they are durable.

        Without rows this changes nothing, and says whether a few rows could be appended.
        ``configs`` are new texts by digest, ``known`` is what is new of deploys; both are stored in
        the same transaction. Raises JournalPaused if the disk is full, on an I/O error, or when the
        file is gone. Then nothing was written, and the same call may be made again.
        """
        hashes = list(chain.links(self._last.hash, rows))
        last = Link(rows[-1][0], hashes[-1]) if rows else self._last
        identity = _renamed(rows, hashes)
        with self._connection.in_use:
            self._connection.prepare(self.cuts.begin, self._last, room=not rows)
            db = self._connection.db
            try:
                with writing.transaction(db):
                    if configs:
                        writing.insert_configs(db, configs)
                    writing.insert_events(db, zip(rows, hashes, strict=True))
                    writing.set_link(db, "head", last.seq, last.hash)
                    if identity is not None:
                        writing.set_link(db, "identity", identity.seq, identity.hash)
                    begin = self.cuts.last_step(rows)
                    known = [each for each in known if each[0] > begin.seq]
                    self.deploys.store(known, self.seq)
                    if snapshot is not None:
                        writing.insert_snapshot(db, snapshot, hashes[snapshot.seq - rows[0][0]])
            except sqlite3.ProgrammingError:
                raise  # a bug of ours
            except (sqlite3.DatabaseError, OSError) as error:
                # Whatever it is, full, read-only or malformed: vassals are better off running.
                raise self._connection.paused(error) from error
            self._connection.look()  # a loss meanwhile is the next append's
            self._last, self.cuts.begin = last, begin  # a step of a cut may follow at once
        if identity is not None:
            self._identity = identity.hash
        if rows:
            self.last_at = rows[-1][1]
            if (head := self.head) is not None:
                self.when_durable(head)

    # The files

    def is_whole(self) -> bool:
        """Whether the journal's files are still those that SQLite has open.

        Where they are not, the next ``append`` says so, and the one after it saves what it can.
        """
        return self._connection.is_whole()

    @property
    def opened(self) -> os.stat_result:
        """The file that was opened, whatever has its name by now."""
        return os.fstat(self._connection.file)

    def in_place(self) -> bool:
        """Whether the names of its files still lead to those that were opened."""
        return self._connection.in_place()

    def was_written_to(self) -> bool:
        """Whether its files may hold other content than they did when it was opened.

        So it is asked before the first append. A file that another one is copied onto (cp) keeps
        its name and its inode.
        """
        return self._connection.stamps() != self._found

    def troubles(self) -> dict[str, str]:
        """About the files beside the journal, for an operator: of which kind, and what to do."""
        logs = lost_log.beside(self.path)
        linked = self._connection.linked
        found = {"linked": linked, "lost log": lost_log.advice(logs) if logs else None}
        return {what: reason for what, reason in found.items() if reason is not None}


def _identity(db: sqlite3.Connection, path: str, anchor: Link, head: Link) -> Link | None:
    """The event whose hash is the journal's identity. Raises Damaged, sqlite3.Error."""
    flaw = identity_row.flaw(db, anchor.seq, head.seq) if anchor.seq else None
    if flaw is not None:
        raise Damaged(f"{path}: {flaw[0]}; {_COPY_THE_ROW}")
    return identity_link(db)


def _renamed(rows: Sequence[chain.Columns], hashes: Sequence[bytes]) -> Link | None:
    """The event among these whose hash is the journal's identity from then on."""
    for row, hash_ in zip(reversed(rows), reversed(hashes), strict=True):
        if row[0] == 1 or row[2] == FORKED:
            return Link(row[0], hash_)
    return None

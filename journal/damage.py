"""The audit: whether the record is as the daemon wrote it, and if not, where it differs.

The audit reads everything once: the write-ahead log (``wal.py``), and SQLite's own structure. It
compares each event with the chain, each config text with its digest, and each snapshot with its
checksum. It does not stop at the first thing that is wrong. Behind a bad row it takes the chain up
again from the hash that the row claims. So it can tell rows that still fit together from those that
do not, and how much can be saved.

The audit cannot tell which of a row's columns is bad, because the hash is over all of them. There
are two exceptions. If the next row goes on from the hash that the row should have, the hash is bad.
And a column may be bad on its face, such as JSON that cannot be parsed.
"""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from . import chain, identity_row, schema, wal
from .decoding import decode_body
from .errors import Damaged, JournalError
from .events import KINDS
from .files import Files
from .reading import COLUMNS, Reader, Row, Stored, error_text, unpacked
from .times import rfc3339

_AT_ONCE: Final = 2000  # rows
# SQLite's errors about a broken file; the message may quote bytes that are no UTF-8 any more.
BROKEN: Final = (sqlite3.DatabaseError, UnicodeDecodeError)
_DIGEST: Final = 32  # bytes of SHA-256
_NAMED: Final = 20  # findings that are told one by one


class Finding(msgspec.Struct):
    """One thing that is wrong. ``seq`` is the row, where one can be named."""

    what: str
    seq: int | None = None


class Audit:
    """The findings about one journal. Run the checks in the order in which they stand here."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.count = 0  # findings, told or not
        self.notes: list[str] = []
        self.lacking: set[str] = set()  # tables that cannot be read
        self.events = 0  # that are what was written
        self.behind = 0  # of those, how many are behind the first that is not
        self.intact_to: int | None = None  # the chain is proven up to here
        self.witnessed_to: int | None = None  # where a witness knows better: up to here it agrees

    def find(self, what: str, seq: int | None = None) -> Finding:
        finding = Finding(what, seq)
        self.count += 1
        if len(self.findings) < _NAMED:
            self.findings.append(finding)
        return finding

    def saved(self) -> str:
        """Say for people how much of the record can be saved."""
        if self.intact_to is None:
            return "how much can be saved is not known; restore the journal from a copy"
        if self.intact_to == 0:
            proven = "no event is proven"
        elif self.witnessed_to is not None and self.witnessed_to < self.intact_to:
            begin = self.witnessed_to + 1
            proven = f"events up to {begin - 1} are as witnessed" if begin > 1 else "none is proven"
            proven += f"; events {begin} to {self.intact_to} fit together, and may be rewritten"
        else:
            proven = f"events up to {self.intact_to} are intact"
        if self.behind:
            proven += f"; behind them {self.behind} still fit together, but prove nothing alone"
        return proven

    # The write-ahead log

    def check_log(self, files: Files) -> None:
        """Look for transactions that SQLite silently passes over."""
        walked = _walk(files)
        if walked.damage is not None and files.live:
            # A daemon may have begun its log anew while we walked it; damage stays.
            again = _walk(Files(files.path))
            walked = again if again.damage == walked.damage else wal.Walk(0, 0)
        if walked.damage is not None:
            self.find(walked.damage)
        if walked.note is not None and not files.live:
            self.notes.append(walked.note)

    # SQLite's structure

    def check_structure(self, reader: Reader) -> None:
        """SQLite's own check of its pages, and of its indexes against the tables."""
        try:
            rows = reader.db.execute(f"PRAGMA integrity_check({_NAMED})").fetchall()
        except BROKEN as error:
            rows = [(str(error),)]
        for (message,) in rows:
            if message != "ok":
                for line in message.removeprefix("*** in database main ***\n").splitlines():
                    self.find(f"the database file: {line}")

    def check_schema(self, connection: sqlite3.Connection) -> None:
        """Whether tables, indexes and views are as they were made, and nothing meddles."""
        # A letter changed in a table's definition can make a column unreadable to SQLite
        # without a word from its own check.
        try:
            for flaw in schema.flaws(connection):
                self.find(f"the schema: {flaw}")
            self.lacking = set(schema.lacking(connection))
            self.notes += schema.additions(connection)
        except BROKEN as error:
            self.find(f"the schema cannot be read: {error_text(error)}")

    # Events

    def intact_events(
        self, reader: Reader, progress: Callable[[int], None] = lambda _: None
    ) -> Iterator[Row]:
        """The events up to the first that is damaged; all of them are checked.

        ``progress`` is called now and then with the number of the event that was reached.
        """
        walker = _ChainWalk(self, reader)
        broken = False
        for rows in _pieces(reader):
            for row in rows:
                ok = walker.take(row)
                broken = broken or not ok
                if not broken and not isinstance(row, Gap):
                    yield row
            progress(walker.last)
        walker.end()
        self.check_identity(reader)

    def check_identity(self, reader: Reader) -> None:
        """Whether the journal's identity can be the one that the daemon gave it."""
        try:
            found = identity_row.flaw(reader.db, reader.anchor.seq, reader.head.seq, forks=True)
        except BROKEN:
            return  # the table cannot be read, which is told where its ends are
        if found is not None:
            self.find(*found)

    # Configs

    def check_configs(self, reader: Reader, referred: set[bytes], *, all_known: bool) -> int:
        """Each text against its digest, and that none of those referred to is missing.

        ``all_known``: the events that were read are all of the record, so each text is of one.
        """
        if "config" in self.lacking:
            return 0
        there = 0
        unnamed: list[str] = []
        try:
            for digest, content in reader.db.execute("SELECT digest, content FROM config"):
                there += 1
                name = packed(digest)
                if name in referred:
                    referred.discard(name)
                else:
                    unnamed.append(str(digest))
                if content.__class__ is not bytes or chain.digest(content) != digest:
                    self.find(
                        f"config {digest}: the text is not what was deployed;"
                        f" {_users(reader, digest)}"
                    )
        except BROKEN as error:
            self.find(f"the table of configs cannot be read to its end: {error_text(error)}")
            return there
        if there == 0 and referred:
            self.notes.append("it holds no config texts (exported without them?)")
            return 0
        for digest in sorted(map(_unpacked, referred)):
            self.find(f"config {digest}: the text is missing; {_users(reader, digest)}")
        if all_known:
            self._find_unnamed(reader, unnamed)
        return there

    def _find_unnamed(self, reader: Reader, digests: list[str]) -> None:
        """Texts that no event names: a daemon stores each with the event that does."""
        unnamed = [digest for digest in digests if not _is_named(reader, digest)]
        if unnamed:
            more = f" and {len(unnamed) - 1} more" if len(unnamed) > 1 else ""
            self.find(
                f"config {unnamed[0]}{more}: no event names it, so no daemon stored it, or the"
                " event that did is gone"
            )

    # Snapshots

    def snapshots(self, reader: Reader) -> Iterator[Stored]:
        """The snapshots that are what was written, oldest first."""
        last = None
        while "snapshot" not in self.lacking:
            try:
                row = reader.db.execute(
                    "SELECT seq, hash, fleet, check_sum FROM snapshot"
                    " WHERE :last IS NULL OR seq > :last ORDER BY seq LIMIT 1",
                    {"last": last},
                ).fetchone()
            except BROKEN as error:
                why = error_text(error)
                self.find(f"the snapshots behind event {last or 0} cannot be read: {why}")
                return
            if row is None:
                return
            last = row[0]
            if last.__class__ is not int:  # a definition that was changed makes no key of seq
                self.find("the snapshots have no numbers")
                return
            stored = unpacked(*row)
            if stored.fleet is None:
                self.find(f"snapshot {last}: it does not have its checksum", last)
            elif last > reader.head.seq and reader.files.live:
                return  # written while we read
            elif not 0 < last <= reader.head.seq or self._belongs(reader, stored) is False:
                self.find(f"snapshot {last}: its hash is not that of event {last}", last)
            else:
                yield stored

    def _belongs(self, reader: Reader, stored: Stored) -> bool | None:
        """Whether a snapshot is of its event; None if that event cannot be read."""
        try:
            hash_ = reader.hash_of(stored.seq)
        except JournalError:
            return None
        return None if hash_ is None else stored.hash == hash_


def _walk(files: Files) -> wal.Walk:
    with files.log() as log:
        if log is None:
            return wal.Walk(0, 0)
        index = files.index
        proven = None
        if index is not None and _salts(log) == index.salts:
            proven = index.committed
        elif files.live:
            return wal.Walk(0, 0)  # just begun anew: there is nothing to be checked yet
        log.seek(0)
        return wal.walk(log, proven, only_proven=files.live)


def _salts(log: object) -> tuple[int, int]:
    header = log.read(wal.HEADER_SIZE)  # type: ignore[attr-defined]
    return int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")


def _users(reader: Reader, digest: str) -> str:
    """Which events and vassals refer to a config."""
    try:
        rows = reader.db.execute(
            "SELECT seq, vassal FROM event WHERE kind IN ('vassal_added', 'vassal_changed')"
            " AND CASE WHEN json_valid(body) THEN json_extract(body, '$.spec.config') END = ?"
            " ORDER BY seq LIMIT 6",
            (digest,),
        ).fetchall()
    except BROKEN:
        return "who refers to it cannot be read"
    if not rows:
        return "no event refers to it"
    told = ", ".join(f"event {seq} ({vassal})" for seq, vassal in rows[:5])
    return f"it was deployed in {told}{' and others' if len(rows) > 5 else ''}"


def packed(digest: object) -> bytes:
    """A digest in less memory than its text takes. One that is none stays what it is."""
    try:
        return bytes.fromhex(str(digest))
    except ValueError:
        return str(digest).encode("utf-8", "surrogateescape")


def _unpacked(name: bytes) -> str:
    return name.hex() if len(name) == _DIGEST else name.decode("utf-8", "replace")


def _is_named(reader: Reader, digest: str) -> bool:
    """Whether any event has this digest, also one that came while the journal was read."""
    try:
        query = "SELECT 1 FROM event WHERE instr(body, ?) LIMIT 1"
        return reader.db.execute(query, (digest,)).fetchone() is not None
    except BROKEN:
        return True  # which is told elsewhere


class Gap(msgspec.Struct, frozen=True):
    """A row that SQLite cannot read."""

    seq: int
    why: str


def _pieces(reader: Reader) -> Iterator[list[Row | Gap]]:
    """All rows up to the head, in pieces; a damaged page costs only the rows on it."""
    query = f"SELECT {COLUMNS} FROM event WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT {_AT_ONCE}"
    last = reader.anchor.seq
    while last < reader.head.seq:
        rows: list[Row | Gap]
        try:
            rows = reader.fetch(query, last, reader.head.seq)
        except JournalError:
            rows = _one_by_one(reader, last, min(last + _AT_ONCE, reader.head.seq))
            yield rows
            last = min(last + _AT_ONCE, reader.head.seq)
            continue
        yield rows
        if len(rows) < _AT_ONCE:
            return
        last = rows[-1].seq if isinstance(rows[-1], Gap) else rows[-1][0]


def _one_by_one(reader: Reader, after: int, upto: int) -> list[Row | Gap]:
    found: list[Row | Gap] = []
    for seq in range(after + 1, upto + 1):
        try:
            row = reader.row(seq)
        except JournalError as error:
            cause = error.__context__
            found.append(Gap(seq, str(cause if isinstance(cause, sqlite3.Error) else error)))
        else:
            if row is not None:
                found.append(row)
    return found


class _ChainWalk:
    """Goes from row to row and compares."""

    def __init__(self, audit: Audit, reader: Reader) -> None:
        self.audit = audit
        self.head = reader.head
        self.rows = reader.last
        self.last = reader.anchor.seq
        self.at = 0
        self.hash: bytes | None = reader.anchor.hash  # None: not known, take the next on trust
        # Of a bad row just passed: what its hash should be, and what was found about it.
        self.should_be: bytes | None = None
        self.finding: Finding | None = None
        self.bad = False  # anything so far
        self.gap: tuple[int, str] | None = None  # where rows that cannot be read begin

    def take(self, row: Row | Gap) -> bool:
        """Check one row; False if it is not what was written."""
        if isinstance(row, Gap):
            return self._skip(row)
        seq = row[0]
        self._end_gap(seq - 1)
        if seq != self.last + 1:
            self._break(_missing(self.last + 1, seq - 1), self.last + 1)
            self.hash = None
        self.last = seq
        ok = self._matches(row)
        if row[1].__class__ is int:  # SQLite's columns take anything
            if row[1] <= self.at and ok:
                self._break(f"event {seq}: its time is not after that of the event before", seq)
                ok = False
            self.at = row[1]
        if ok:
            self.audit.events += 1
            if self.bad:
                self.audit.behind += 1
            else:
                self.audit.intact_to = seq
        return ok

    def _matches(self, row: Row) -> bool:
        recorded = row[8]
        if self.hash is None:
            self.hash = recorded
            return False
        computed = _link(self.hash, row)
        if computed == recorded:
            self.hash = recorded
            self.should_be = self.finding = None
            return True
        if self.should_be is not None and _link(self.should_be, row) == recorded:
            self._blame_hash()
            self.hash = recorded
            return True
        finding = self._break(_described(row), row[0])
        self.should_be, self.finding = computed, finding
        self.hash = recorded
        return False

    def _blame_hash(self) -> None:
        if self.finding is not None:
            self.finding.what = f"event {self.finding.seq}: its hash is damaged, the rest is intact"
        self.should_be = self.finding = None

    def _break(self, what: str, seq: int) -> Finding:
        if not self.bad:
            self.bad = True
            self.audit.intact_to = seq - 1
        return self.audit.find(what, seq)

    def _skip(self, gap: Gap) -> bool:
        if gap.seq != self.last + 1:
            self._break(_missing(self.last + 1, gap.seq - 1), self.last + 1)
        if self.gap is None:
            self.gap = (gap.seq, gap.why)
        self.last, self.hash, self.should_be = gap.seq, None, None
        return False

    def _end_gap(self, last: int) -> None:
        if self.gap is not None:
            first, why = self.gap
            which = f"event {first}" if first == last else f"events {first} to {last}"
            self._break(f"{which}: cannot be read: {why}", first)
            self.gap = None

    def end(self) -> None:
        """Compare where the chain ends with where it should."""
        if self.audit.intact_to is None and not self.bad:
            self.audit.intact_to = self.last
        self._end_gap(self.last)
        if self.last < self.head.seq:
            self._break(_missing(self.last + 1, self.head.seq) + " at the end", self.last + 1)
        elif self.rows > self.head.seq:
            first = self.head.seq + 1
            which = f"event {first}" if self.rows == first else f"events {first} to {self.rows}"
            self._break(
                f"{which}: behind the chain's head, so not of the record; or the row 'head' of"
                " the table chain is damaged",
                first,
            )
        elif self.should_be is not None and self.head.hash == self.should_be:
            self._blame_hash()
        elif self.hash is not None and self.head.hash != self.hash:
            self._break(
                f"the chain's head (table chain) is not the hash of event {self.last}:"
                " one of the two is damaged",
                self.last,
            )


def _missing(first: int, last: int) -> str:
    return f"event {first} is missing" if first == last else f"events {first} to {last} are missing"


def _link(previous: bytes, row: Row) -> bytes | None:
    try:
        return chain.link(previous, row[:8])
    except (UnicodeEncodeError, TypeError):
        return None


def _described(row: Row) -> str:
    seq, at, kind, _, vassal, _, _, _, _ = row
    told = [f"kind {kind!r}", f"vassal {vassal!r}"]
    if at.__class__ is int:
        told.append(f"at {rfc3339(at)}")
    text = f"event {seq}: its row is not what was written ({', '.join(told)})"
    suspects = _suspects(row)
    return f"{text}; {', '.join(suspects)}" if suspects else text


def _suspects(row: Row) -> list[str]:
    """Columns that are bad on their face."""
    seq, at, kind, _, _, cause, body, actions, hash_ = row
    found = list[str]()
    if kind not in KINDS:
        found.append("there is no such kind")
    else:
        try:
            decode_body(kind, body)
        except (Damaged, JournalError, UnicodeEncodeError, TypeError):
            found.append("its body is none of that kind")
    try:
        msgspec.json.decode(actions)
    except (msgspec.DecodeError, UnicodeEncodeError, TypeError):
        found.append("its actions are not JSON")
    if cause is not None and cause.__class__ is int and cause >= seq:
        found.append("its cause is not before it")
    if at.__class__ is not int or hash_.__class__ is not bytes or len(hash_) != 32:
        found.append("a column has another type or length")
    return found

"""One segment of a journal, checked and folded by itself: the quick way of ``verify``.

A segment begins with the fleet of a stored snapshot, or where the file begins, and ends with
another one. It is *clean* where nothing at all is to be told of it. Each row follows from the chain
and orders what was recorded, and each checkpoint and snapshot is that of the fold. Each outcome in
the table ``deploy`` follows from the events. Anything else raises ``Unclean``, without a word on
what it is: ``verify.py`` finds that out, from the beginning and in order.

Segments prove nothing alone. The first one begins with the anchor, and each ends with the hash, the
time and the fleet with which the next one begins. ``segments.py`` compares them.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final

import msgspec

from ..daemon.core.actions import recorded
from ..daemon.core.checkpoints import States
from ..daemon.core.deploys import Deploy, Deploys
from ..daemon.core.fleet import Fleet, configs_of, from_json, to_json
from ..daemon.core.fold import fold
from ..journal.chain import canonical
from ..journal.deploys import COLUMNS
from ..journal.events import Announced, Checkpoint, Event
from ..journal.reading import Link, Reader, Row, decoded, unpacked
from .boundaries import Following, Note
from .collecting import uncollected

_AT_ONCE: Final = 2_000  # outcomes
_IN_ONE: Final = 500
_COLUMNS: Final = "seq, at, kind, monitor, vassal, cause, body, actions, hash"
ROWS: Final = f"SELECT {_COLUMNS} FROM event WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 1000"


class Unclean(Exception):
    """Something is to be told."""


class Edge(msgspec.Struct, frozen=True):
    """Where a segment begins or ends: the last event before, and the digest of the fleet."""

    seq: int
    at: int
    hash: bytes
    fleet: bytes


class Folded(msgspec.Struct):
    """The facts of a clean segment."""

    begin: Edge
    end: Edge
    snapshots: int
    checkpoints: int
    first: int | None  # checkpoint
    referred: bytes  # the configs that its events name, bits by row ids
    compared: int  # outcomes
    names: list[str]  # of the vassals where it begins
    notes: list[Note]
    open: list[Deploy]


def folded(reader: Reader, begin: int, end: int, outcomes: bool) -> Folded:
    """Fold the events behind ``begin`` up to ``end``. Raises Unclean.

    ``outcomes``: the table ``deploy`` is compared.
    """
    with uncollected():
        return _Segment(reader, begin, outcomes).run(end)


def _fleet_digest(fleet: Fleet) -> bytes:
    return sha256(to_json(fleet)).digest()


def time_and_hash(reader: Reader, seq: int) -> tuple[int, bytes]:
    """The time and the hash of an event."""
    ((at, hash_),) = reader.fetch("SELECT at, hash FROM event WHERE seq = ?", seq)
    return at, hash_


def chained_rows(rows: Sequence[Row], seq: int, at: int, hash_: bytes) -> bytes:
    """Check that rows follow an event, and each other; the last one's hash. Raises Unclean.

    ``seq``, ``at`` and ``hash_`` are that event's number, time and hash.
    """
    for row in rows:
        hash_ = sha256(hash_ + canonical(row[:8])).digest()
        if row[0] != seq + 1 or hash_ != row[8] or row[1].__class__ is not int or row[1] <= at:
            raise Unclean
        seq, at = row[0], row[1]
    return hash_


class _Segment:
    def __init__(self, reader: Reader, begin: int, outcomes: bool) -> None:
        self._reader = reader
        self._outcomes = outcomes
        self._referred: dict[str, None] = {}
        self._compared = self._checkpoints = 0
        self._first: int | None = None
        self._states: States | None = None
        anchor = reader.anchor
        self._follower: Deploys = Deploys()
        self._notes: list[Note] = []
        if begin == anchor.seq:
            stored = reader.anchor_snapshot()
            self._fleet = Fleet() if stored is None else from_json(stored.fleet)
            edge = Edge(anchor.seq, 0, anchor.hash, _fleet_digest(self._fleet))
        else:
            self._fleet = self._snapshot_of(begin)
            self._follower = following = Following(self._fleet)
            self._notes = following.notes
            edge = Edge(begin, *time_and_hash(self._reader, begin), _fleet_digest(self._fleet))
        self.begin = edge
        self._names = list(self._fleet.vassals)
        self._referred.update(dict.fromkeys(configs_of(self._fleet)))

    def _snapshot_of(self, seq: int) -> Fleet:
        rows = self._reader.fetch(
            "SELECT seq, hash, fleet, check_sum FROM snapshot WHERE seq = ?", seq
        )
        stored = unpacked(*rows[0])
        if stored.fleet is None:
            raise Unclean
        return from_json(stored.fleet)

    def run(self, end: int) -> Folded:
        """Fold up to ``end``, with which a snapshot or the journal ends."""
        previous = self.begin
        stops = self._snapshots_within(end)
        for stop in sorted({*stops, end}):
            link = self._fold_to(previous, stop)
            if stop in stops:
                self._compare_snapshot(stop, link.hash)
            previous = Edge(stop, self._fleet.at, link.hash, b"")
        self._compare_settled()
        follower = self._follower
        if follower.lost:
            raise Unclean
        return Folded(
            self.begin,
            Edge(end, self._fleet.at, previous.hash, _fleet_digest(self._fleet)),
            len(stops), self._checkpoints, self._first, stored_rows(self._reader, self._referred),
            self._compared, self._names, self._notes,
            [deploy for deploy in follower.open.values() if deploy.seq > 0],
        )  # fmt: skip

    def _snapshots_within(self, end: int) -> list[int]:
        rows = self._reader.fetch(
            "SELECT seq FROM snapshot WHERE seq > ? AND seq <= ? ORDER BY seq", self.begin.seq, end
        )
        return [seq for (seq,) in rows]

    def _compare_snapshot(self, seq: int, hash_: bytes) -> None:
        rows = self._reader.fetch(
            "SELECT seq, hash, fleet, check_sum FROM snapshot WHERE seq = ?", seq
        )
        stored = unpacked(*rows[0])
        if stored.fleet is None or stored.hash != hash_:
            raise Unclean
        computed = to_json(self._fleet)
        # Decoded and encoded again: an older version may have left out what is default.
        if stored.fleet != computed and to_json(from_json(stored.fleet)) != computed:
            raise Unclean

    def _fold_to(self, previous: Edge, end: int) -> Link:
        """Fold the rows up to ``end``; the last one's number and hash."""
        path, seq, at, hash_ = self._reader.path, previous.seq, previous.at, previous.hash
        # One step after the other takes all rows of a batch: the code of a step stays in caches.
        for rows in self._batches(seq, end):
            hash_ = chained_rows(rows, seq, at, hash_)
            seq, at, *_ = rows[-1]
            self._fold(rows, [decoded(path, row) for row in rows])
        if seq != end:
            raise Unclean
        return Link(seq, hash_)

    def _fold(self, rows: Sequence[Row], events: Sequence[Event]) -> None:
        """Fold the events of these rows. Raises Unclean."""
        fleet, take, referred = self._fleet, self._follower.take, self._referred
        for row, event in zip(rows, events, strict=True):
            body = event.body
            if body.__class__ is Checkpoint:
                self._checkpoint(event.seq, body)
            actions = take(fleet, event, None, fold)
            if (actions or row[7] != "[]") and recorded(actions, failed=event.failed) != row[7]:
                raise Unclean
            if self._states is not None:
                self._states.touched.note(fleet, event, actions)
            if body.__class__ is Announced and body.spec.config and not body.over_budget:
                referred[body.spec.config] = None

    def _batches(self, after: int, end: int) -> Iterator[list[Row]]:
        while after < end:
            rows = self._reader.fetch(ROWS, after, end)
            if not rows:
                return
            yield rows
            after = rows[-1][0]
            if len(self._follower.touched) > _AT_ONCE:
                self._compare_settled()
            if isinstance(self._follower, Following) and not self._follower.takes_notes:
                self._follower = self._follower.without_notes()

    def _checkpoint(self, seq: int, body: Checkpoint) -> None:
        if self._states is None or self._states.version != body.v:
            self._states = States(body.v)
        if self._states.digest(self._fleet) != body.digest:
            raise Unclean
        self._checkpoints += 1
        if self._first is None:
            self._first = seq

    def _compare_settled(self) -> None:
        """Compare the outcomes that nothing changes any more, and forget them."""
        follower = self._follower
        waits = {deploy.seq for deploy in follower.open.values()}
        done = [d for seq, d in follower.touched.items() if seq > 0 and seq not in waits]
        follower.touched = {seq: d for seq, d in follower.touched.items() if seq in waits}
        if self._outcomes:
            self._compared += compare_outcomes(self._reader, done)


def compare_outcomes(reader: Reader, deploys: Sequence[Deploy]) -> int:
    """Compare deploys with the table; how many. Raises Unclean."""
    for at in range(0, len(deploys), _IN_ONE):
        some = deploys[at : at + _IN_ONE]
        rows = reader.fetch(
            f"SELECT {COLUMNS} FROM deploy WHERE seq IN ({', '.join('?' * len(some))})",
            *(deploy.seq for deploy in some),
        )
        if set(rows) != {deploy.row for deploy in some}:
            raise Unclean
    return len(deploys)


def stored_rows(reader: Reader, digests: dict[str, None]) -> bytes:
    """The configs with these digests, as bits by their row ids. Raises Unclean if one is missing.

    Digests themselves would take the memory of all configs. The digests are in the order in which
    the events name them, and mostly the texts are stored in this order.
    """
    ((last,),) = reader.fetch("SELECT max(rowid) FROM config")
    bits = bytearray((last or 0) // 8 + 1)
    rest = set(digests)
    for digest, row in _in_order(reader, next(reversed(digests), ""), len(digests)):
        if digest in rest:
            rest.remove(digest)
            bits[row >> 3] |= 1 << (row & 7)
    wanted = sorted(rest)  # neighbours are on the same pages
    for at in range(0, len(wanted), _IN_ONE):
        some = wanted[at : at + _IN_ONE]
        marks = ", ".join("?" * len(some))
        rows = reader.fetch(f"SELECT rowid FROM config WHERE digest IN ({marks})", *some)
        if len(rows) != len(some):
            raise Unclean
        for (row,) in rows:
            bits[row >> 3] |= 1 << (row & 7)
    return bytes(bits)


def _in_order(reader: Reader, digest: str, count: int) -> Iterator[tuple[str, int]]:
    """So many configs as they are stored, up to the one with this digest."""
    query = "SELECT rowid FROM config WHERE digest = ?"
    for (end,) in reader.fetch(query, digest):
        for begin in range(end - count, end, _IN_ONE):
            upto = min(begin + _IN_ONE, end)
            query = "SELECT digest, rowid FROM config WHERE rowid > ? AND rowid <= ?"
            yield from reader.fetch(query, begin, upto)

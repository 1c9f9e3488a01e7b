"""A segment of a journal whose decisions were compared before: only its chain is checked.

It is clean where each row follows from the chain. Then the segment is the one that was folded.
"""

from typing import Final

import msgspec

from ..daemon.core.fleet import configs_of, from_json
from ..journal.reading import Reader
from ..journal.rows import DEPLOYED
from .segment import ROWS, Edge, Folded, Unclean, chained_rows, stored_rows, time_and_hash


class _Spec(msgspec.Struct, gc=False):
    config: str | None = None


class _Announced(msgspec.Struct, gc=False):
    """Of a body, the part that names a text. The whole of it was decoded before."""

    spec: _Spec
    over_budget: bool = False


_decode: Final = msgspec.json.Decoder(_Announced).decode


def chained(reader: Reader, begin: int, end: int, fleet: bytes) -> Folded:
    """Check the events behind ``begin`` up to ``end``, behind which is this fleet, by its digest.

    Raises Unclean.
    """
    anchor = reader.anchor
    edge = Edge(anchor.seq, 0, anchor.hash, b"")
    if begin != anchor.seq:
        edge = Edge(begin, *time_and_hash(reader, begin), b"")
    found = Folded(edge, edge, 0, 0, None, b"", 0, [], [], [])
    referred = dict.fromkeys(_of_anchor(reader) if begin == anchor.seq else ())
    seq, at, hash_ = edge.seq, edge.at, edge.hash
    while rows := reader.fetch(ROWS, seq, end):
        hash_ = chained_rows(rows, seq, at, hash_)
        seq, at, *_ = rows[-1]
        for row in rows:
            kind = row[2]
            if kind in DEPLOYED:
                body = _decode(row[6])
                if body.spec.config and not body.over_budget:
                    referred[body.spec.config] = None
            elif kind == "checkpoint":
                found.checkpoints += 1
                found.first = found.first or row[0]
    if seq != end:
        raise Unclean
    found.end = Edge(end, at, hash_, fleet)
    query = "SELECT count(*) FROM snapshot WHERE seq > ? AND seq <= ?"
    ((found.snapshots,),) = reader.fetch(query, begin, end)
    found.referred = stored_rows(reader, referred)
    return found


def _of_anchor(reader: Reader) -> set[str]:
    """The configs of the fleet with which the file begins: their events are in the archive."""
    stored = reader.anchor_snapshot()
    return set() if stored is None else configs_of(from_json(stored.fleet))

"""The quick way of ``verify``: the segments of a long journal on all cores, and then the joints.

A journal is cut at stored snapshots. Each core takes tickets (``tickets.py``). A ticket stands for
one segment, for some of the config texts, or for SQLite's own check of its pages.
Then the parts are joined:

- The segments must follow each other: each begins with the event and the fleet with which the one
  before it ended. So a snapshot that is not of the fold is found by the segment before it.
- The deploys that were open between two segments are followed through the notes of the later one.
- The configs that events name must be those that are stored.

Where a former ``verify`` has left a mark (``since_verified.py``), only the chain of the segments
before it is checked.

Only a clean journal has an answer here. If anything is to be told, a process has failed, or the
journal cannot be cut, the answer is None. Then ``verify.py`` does all again in order.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, reduce
from itertools import pairwise
from operator import or_
from typing import Final

import msgspec

from ..daemon.core.deploys import Deploy
from ..journal import chain
from ..journal.damage import Audit
from ..journal.files import Files
from ..journal.reading import Reader, open_journal
from .boundaries import applied
from .chained_segment import chained
from .segment import Edge, Folded, Unclean, compare_outcomes, folded
from .since_verified import Mark, mark_of
from .tickets import Tickets, give, of_parent, shared

LONG: Final = 50_000  # events from which on other processes are worth their start
SEGMENT: Final = 25_000  # events, at least
_SEGMENTS: Final = 12  # about, at most
_CONFIGS: Final = 50_000  # texts of one ticket
_MOST_CONFIGS: Final = 1 << 27  # row ids of more come from no daemon


class Clean(msgspec.Struct, frozen=True):
    """A journal of which nothing is to be told."""

    events: int
    snapshots: int
    configs: int
    checkpoints: int
    first: int | None  # checkpoint
    mark: Mark | None  # for the next time


class Plan(msgspec.Struct, frozen=True):
    """The tickets, in order: the check of the pages, segments, then texts by their row ids.

    The longest one comes first and short ones come last, so that all cores end together.
    """

    head: int
    head_hash: bytes
    stops: list[int]  # the first segment is between the first two
    texts: list[int]
    outcomes: bool
    mark: Mark | None

    @property
    def tickets(self) -> int:
        return 1 + len(self.stops) - 1 + len(self.texts) - 1


class Found(msgspec.Struct):
    """The findings of one process. Only what is clean is told."""

    clean: bool = True
    segments: dict[int, Folded] = {}  # by the event behind which they begin
    texts: int = 0


def verified(
    files: Files, reader: Reader, progress: Callable[[int], None], mark: Mark | None = None
) -> Clean | None:
    """The answer about a clean journal; None where all is to be done in order.

    Up to a ``mark`` nothing is folded.
    """
    long = reader.head.seq - reader.anchor.seq >= LONG
    if not long or files.live or files.access == "copied" or reader.last != reader.head.seq:
        return None
    try:
        plan = _plan(reader, mark)
        found = shared(
            __name__, files.path, plan, plan.tickets, partial(work, reader, plan, progress), Found
        )
        return _join(reader, plan, found)
    except Exception:  # whatever it is, the fold in order tells it
        return None


def _plan(reader: Reader, mark: Mark | None) -> Plan:
    begin, head = reader.anchor.seq, reader.head.seq
    query = "SELECT max(seq) FROM snapshot WHERE seq < ?"
    ((last,),) = reader.fetch(query, head)  # where the next mark is
    ends = sorted({begin, mark.seq if mark else begin, max(begin, last or 0), head})
    stops = [begin]
    for one, next_ in pairwise(ends):
        stops += [*_cuts(reader, one, next_), next_]
    ((last,),) = reader.fetch("SELECT max(rowid) FROM config")
    if (last or 0) > _MOST_CONFIGS:
        raise Unclean
    return Plan(
        reader.head.seq, reader.head.hash, stops, [*range(0, last or 0, _CONFIGS), last or 0],
        reader.has_outcomes(), mark,
    )  # fmt: skip


def _cuts(reader: Reader, begin: int, end: int) -> Iterator[int]:
    """The snapshots between two events at which segments begin."""
    length = max(SEGMENT, (reader.head.seq - reader.anchor.seq) // _SEGMENTS)
    query = "SELECT seq FROM snapshot WHERE seq > ? AND seq < ? ORDER BY seq"
    for (seq,) in reader.fetch(query, begin, end):
        if seq >= begin + length:
            begin = seq
            yield seq


def work(reader: Reader, plan: Plan, progress: Callable[[int], None], tickets: Tickets) -> Found:
    """Do tickets until none is left, or until something is to be told."""
    found = Found()
    for number in tickets:
        try:
            _do(reader, plan, number, found)
        except Exception:  # whatever it is, the fold in order tells it
            found.clean = False
            tickets.drop()
        if 0 < number < len(plan.stops):
            progress(plan.stops[number])
    return found


def _do(reader: Reader, plan: Plan, number: int, found: Found) -> None:
    segments = len(plan.stops) - 1
    if number == 0:
        audit = Audit()
        audit.check_structure(reader)
        found.clean &= not audit.count
    elif number <= segments:
        begin, end = plan.stops[number - 1 : number + 1]
        if plan.mark is not None and end <= plan.mark.seq:
            fleet = bytes.fromhex(plan.mark.fleet) if end == plan.mark.seq else b""
            found.segments[begin] = chained(reader, begin, end, fleet)
        else:
            found.segments[begin] = folded(reader, begin, end, plan.outcomes)
    else:
        begin, end = plan.texts[number - segments - 1 : number - segments + 1]
        found.texts += _check_texts(reader, begin, end)


def _check_texts(reader: Reader, begin: int, end: int) -> int:
    """Each text with its digest; how many."""
    count = 0
    query = "SELECT rowid, digest, content FROM config WHERE rowid > ? AND rowid <= ?"
    query += " ORDER BY rowid LIMIT 500"
    while rows := reader.fetch(query, begin, end):
        begin = rows[-1][0]
        for _, digest, content in rows:
            if content.__class__ is not bytes or chain.digest(content) != digest:
                raise Unclean
        count += len(rows)
    return count


# The joints


def _join(reader: Reader, plan: Plan, found: Sequence[Found]) -> Clean:
    """Join what all processes found. Raises Unclean."""
    if not all(each.clean for each in found):
        raise Unclean
    parts = {begin: part for each in found for begin, part in each.segments.items()}
    segments = [parts[begin] for begin in plan.stops[:-1]]
    for one, next_ in pairwise(segments):
        if one.end != next_.begin:
            raise Unclean
    last = segments[-1].end
    if (last.seq, last.hash) != (plan.head, plan.head_hash):
        raise Unclean
    snapshots = sum(each.snapshots for each in segments)
    anchors = 1 if reader.anchor.seq else 0
    ((count,),) = reader.fetch("SELECT count(*) FROM snapshot")
    if count != snapshots + anchors:
        raise Unclean
    still = _join_outcomes(reader, plan, segments)
    texts = sum(each.texts for each in found)
    _join_texts(reader, (each.referred for each in segments), texts)
    audit = Audit()
    audit.check_identity(reader)
    if audit.count or any(reader.outside()):
        raise Unclean
    firsts = [each.first for each in segments if each.first is not None]
    return Clean(
        plan.head - reader.anchor.seq, count, texts, sum(each.checkpoints for each in segments),
        min(firsts, default=None), _next_mark(reader, plan, segments[-1].begin, still),
    )  # fmt: skip


def _next_mark(reader: Reader, plan: Plan, edge: Edge, still: list[Deploy]) -> Mark | None:
    """The mark where the last segment begins, and with it the event before."""
    if edge.seq == reader.anchor.seq:
        return None
    return mark_of(reader, edge.seq, edge.hash, edge.fleet, still, plan.outcomes, plan.mark)


def _join_outcomes(reader: Reader, plan: Plan, segments: Sequence[Folded]) -> list[Deploy]:
    """Compare the outcomes; the deploys that were open where the last segment begins."""
    if not plan.outcomes:
        return []
    mark = plan.mark
    after = reader.anchor.seq if mark is None else mark.seq
    still = [] if mark is None else [msgspec.structs.replace(each) for each in mark.open]
    compared = -len(still)  # they are of events before
    before: list[Deploy] = []
    for each in segments:
        if each.end.seq <= after:
            continue
        before = [msgspec.structs.replace(deploy) for deploy in still]
        settled, still = applied(reader, still, each.notes, each.names, each.end.at)
        compared += compare_outcomes(reader, settled) + each.compared
        still += each.open
    compared += compare_outcomes(reader, still)
    query = "SELECT count(*) FROM deploy WHERE seq > ? AND seq <= ?"
    ((count,),) = reader.fetch(query, after, reader.head.seq)
    if count != compared:
        raise Unclean
    return before


def _join_texts(reader: Reader, referred: Iterable[bytes], texts: int) -> None:
    """The configs that events name, all of which are stored, against those that are stored."""
    named = reduce(or_, (int.from_bytes(bits, "little") for bits in referred)).bit_count()
    ((there,),) = reader.fetch("SELECT count(*) FROM config")
    # In the rest of a journal, texts are also of events that are in the archive.
    if there != texts or (named != there and not reader.anchor.seq):
        raise Unclean


def main(path: str, told: str, tickets: int) -> None:
    """Take tickets for a plan; print what was found."""
    plan = msgspec.json.decode(told, type=Plan)
    with open_journal(path) as reader:
        if (reader.head.seq, reader.head.hash) != (plan.head, plan.head_hash):
            sys.exit(3)
        found = work(reader, plan, lambda _: None, of_parent(tickets))
    give(found)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))

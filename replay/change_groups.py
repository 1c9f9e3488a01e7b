"""Changes that came together: a listing, or announcements of one source within a moment.

The journal does not number the listings of a source. The daemon records the events of a listing one
after the other. So the events of one source that follow each other within ``GAP`` came together.
Events of others may stand between them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec

from ..journal.deploys import DEPLOYS
from ..journal.reading import Reader

GAP: Final = 100_000_000  # nanoseconds between two events of one listing, at most
APART: Final = 10**9  # nanoseconds between two events of a run, at most
_NEAR: Final = 16  # events before and after one that are read first
_FAR: Final = 4000  # events before and after one, among which those that came with it are


class ChangeGroup(msgspec.Struct, frozen=True):
    """Events of a source that came together, an event of one kind among them."""

    kind: str
    count: int  # of vassals with that kind
    first: int
    last: int
    kinds: dict[str, int]
    listing: bool = False  # for certain

    def __str__(self) -> str:
        did = self.kind.removeprefix("vassal_")
        how = "by the same listing" if self.listing else "together"
        others = [
            f"{count} {kind.removeprefix('vassal_')}"
            for kind, count in self.kinds.items()
            if kind != self.kind
        ]
        more = f", with {' and '.join(others)}" if others else ""
        return f"one of {self.count} {did} {how} (events {self.first}-{self.last}){more}"


def runs(rows: Iterable[Any]) -> Iterator[list[Any]]:
    """The rows of events of one source, in runs. A row begins with its number and its time."""
    run: list[Any] = []
    for row in rows:
        if run and row[1] - run[-1][1] > APART:
            yield run
            run = []
        run.append(row)
    if run:
        yield run


class _Run:
    """Deploys that came together, one after the other."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self.rows = rows
        self.kinds = Counter(of for of, _ in {(each[2], each[3]): None for each in rows})

    def group(self, kind: str, listing: bool) -> ChangeGroup | None:
        """Those of a kind, if they are several."""
        if self.kinds[kind] < 2:
            return None
        own = [each[0] for each in self.rows if each[2] == kind]
        return ChangeGroup(kind, self.kinds[kind], own[0], own[-1], dict(self.kinds), listing)


class _Known:
    """Runs of a journal that can grow no more, by their events, and the groups of each."""

    def __init__(self) -> None:
        self.runs: dict[int, _Run] = {}
        self.groups: dict[tuple[int, str, bool], ChangeGroup | None] = {}


_known: WeakKeyDictionary[Reader, _Known] = WeakKeyDictionary()


def change_group(
    reader: Reader, seq: int, kind: str, monitor: str, reason: str = ""
) -> ChangeGroup | None:
    """The events that came with one of ``monitor``; None where it came alone."""
    known = _known.setdefault(reader, _Known())
    run = known.runs.get(seq)
    if run is None:
        run, whole = _read(reader, seq, monitor)
        if whole:
            known.runs.update((each[0], run) for each in run.rows)
    listing = reason == "no longer listed"
    if seq not in known.runs:
        return run.group(kind, listing)
    key = (run.rows[0][0], kind, listing)
    if key not in known.groups:
        known.groups[key] = run.group(kind, listing)
    return known.groups[key]


def _read(reader: Reader, seq: int, monitor: str) -> tuple[_Run, bool]:
    """The run of an event, and whether it is whole: nothing before or after it can belong to it.

    Most runs are short. So more events are read only where the run may go on behind those.
    """
    far = _NEAR
    while True:
        first, last = max(seq - far, reader.anchor.seq + 1), min(seq + far, reader.head.seq)
        rows: list[Any] = reader.fetch(
            "SELECT seq, at, kind, vassal FROM event WHERE seq >= ? AND seq <= ? AND monitor = ?"
            f" AND kind IN ({', '.join('?' * len(DEPLOYS))}) ORDER BY seq",
            first, last, monitor, *DEPLOYS,
        )  # fmt: skip
        run = _run(rows, seq)
        begins = bool(run) and (
            run[0] is not rows[0]
            or first == reader.anchor.seq + 1
            or _is_apart(reader, first, run[0][1])
        )
        ends = bool(run) and (run[-1] is not rows[-1] or _is_apart(reader, last, run[-1][1]))
        if far >= _FAR or (begins and (ends or last == reader.head.seq)):
            return _Run(run), begins and ends
        far = min(far * 8, _FAR)


def _is_apart(reader: Reader, seq: int, at: int) -> bool:
    """Whether an event is so far from a time that no event behind it can be near."""
    row = reader.row(seq)
    return row is not None and row[1].__class__ is int and abs(row[1] - at) > GAP


def _run(rows: Sequence[Any], seq: int) -> list[Any]:
    """The rows around one that follow each other without a gap."""
    run: list[Any] = []
    for row in rows:
        if run and (row[1] - run[-1][1] > GAP or _begins(run[-1][2], row[2])):
            if run[-1][0] >= seq:
                break
            run = []
        run.append(row)
    return run


def _begins(before: str, kind: str) -> bool:
    """Whether a new listing begins: one tells those that are there first, and then the others."""
    return before == "vassal_removed" and kind != before

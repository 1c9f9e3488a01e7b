"""Changes that came together: a listing, or announcements of one source within a moment.

The journal does not number the listings of a source. The daemon records the events of a listing one
after the other. So the events of one source that follow each other within ``GAP`` came together.
Events of others may stand between them.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ..journal.deploys import DEPLOYS
from ..journal.reading import Reader

GAP: Final = 100_000_000  # nanoseconds between two events of one listing, at most
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


def change_group(
    reader: Reader, seq: int, kind: str, monitor: str, reason: str = ""
) -> ChangeGroup | None:
    """The events that came with one of ``monitor``; None where it came alone."""
    rows: list[Any] = reader.fetch(
        "SELECT seq, at, kind, vassal FROM event WHERE seq >= ? AND seq <= ? AND monitor = ?"
        f" AND kind IN ({', '.join('?' * len(DEPLOYS))}) ORDER BY seq",
        seq - _FAR, seq + _FAR, monitor, *DEPLOYS,
    )  # fmt: skip
    found = _run(rows, seq)
    kinds = Counter(of for of, _ in {(each[2], each[3]): None for each in found})
    if kinds[kind] < 2:
        return None
    own = [each[0] for each in found if each[2] == kind]
    listing = reason == "no longer listed"
    return ChangeGroup(kind, kinds[kind], own[0], own[-1], dict(kinds), listing)


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

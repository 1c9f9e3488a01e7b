"""Mass removals that were undone: outages of the fleet that no vassal's own numbers tell.

A vassal that its source removed is not down, because nothing wants it up. But a source may lose
more than half of its vassals, and give more than half of these back within ``UNDONE``. Then it has
not meant it: a directory was emptied, a table was truncated, a mount was lost. That is one outage
of the fleet. Its end is the return of the last vassal within that time.

``FROM`` and the half are those of the daemon's doubt about a listing (``daemon/loop/doubts.py``).
The removals are found in the table ``deploy`` where the daemon has stored it, and read as events.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ..journal.deploys import DEPLOYED
from ..journal.reading import Reader
from ..journal.times import rfc3339, took
from ..monitors.names import shown
from .change_groups import runs
from .clocks import stamp
from .rebuild import fleet_at
from .tally import Window

FROM: Final = 5  # vassals
UNDONE: Final = 3600 * 10**9  # nanoseconds from the first removal
_SECOND: Final = 10**9


class MassRemoval(msgspec.Struct):
    """An outage of the fleet. Times are UTC nanoseconds."""

    monitor: str
    seq: int  # the first removal
    last: int
    at: int
    of: int  # vassals that the source had
    removed: list[str]
    back: list[str] = []
    until: int = 0  # when the last one came back
    until_seq: int = 0
    away: int = 0  # nanoseconds, the sum of those that came back
    known: int = UNDONE  # nanoseconds from the first removal to the end of the record, or fewer

    def record(self, host: str | None) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "host": host,
            "monitor": self.monitor,
            "seq": self.seq,
            "last_seq": self.last,
            "since": rfc3339(self.at),
            "until": rfc3339(self.until),
            "until_seq": self.until_seq,
            "seconds": round((self.until - self.at) / _SECOND, 3),
            "vassals": self.of,
            "removed": len(self.removed),
            "back": len(self.back),
            "away_s": round(self.away / _SECOND, 3),
        }

    def line(self, source: str) -> str:
        """For people, with the short name of its source."""
        lost = f"{len(self.removed)} of its {self.of} vassals"
        text = (
            f"outage of the fleet: {shown(source)} lost {lost} at {stamp(self.at)}"
            f" (events {self.seq}-{self.last})"
        )
        missing = len(self.removed) - len(self.back)
        some = f"{len(self.back)} of them were" if missing else "all were"
        span = "an hour" if self.known == UNDONE else f"{took(self.known)}, where the record ends"
        more = f", {missing} were not within {span}" if missing else ""
        return (
            f"{text}; {some} back after {took(self.until - self.at)} (event {self.until_seq}){more}"
        )


def mass_removals(reader: Reader, window: Window) -> list[MassRemoval]:
    """Those that began in the window, in order. Raises Damaged, NewerFormat, FoldFailed."""
    found = [
        one
        for monitor, rows in _removals(reader, window).items()
        for run in runs(rows)
        if len(run) >= FROM and (one := _of_run(reader, monitor, run)) is not None
    ]
    return sorted(found, key=lambda one: one.seq)


def _removals(reader: Reader, window: Window) -> dict[str, list[Any]]:
    query = "SELECT seq, at, monitor, vassal FROM event WHERE seq > ? AND seq <= ?"
    if reader.has_deploys():  # a removal can have no other outcome
        query += (
            " AND seq IN (SELECT seq FROM deploy"
            " WHERE outcome IN ('stopped', 'superseded', 'pending', 'held'))"
        )
    by_source = defaultdict(list)
    for row in reader.fetch(
        f"{query} AND kind = 'vassal_removed' ORDER BY seq", window.before, window.last
    ):
        by_source[str(row[2])].append(row)
    return by_source


def _of_run(reader: Reader, monitor: str, run: Sequence[Any]) -> MassRemoval | None:
    """The outage that some removals are, if they are one."""
    before = fleet_at(reader, run[0][0] - 1).vassals
    its = [name for name, vassal in before.items() if vassal.monitor == monitor and vassal.wanted]
    gone = {row[3]: row for row in run if row[3] in before}
    if len(gone) < FROM or len(gone) * 2 <= len(its):
        return None
    one = MassRemoval(monitor, run[0][0], run[-1][0], run[0][1], len(its), list(gone))
    end = reader.row(reader.head.seq)
    if end is not None and end[1].__class__ is int:
        one.known = min(UNDONE, end[1] - one.at)
    for name, row in gone.items():
        back = _next_deploy(reader, name, row[0])
        if back is None or back[1] - one.at > UNDONE:
            continue
        one.back.append(name)
        one.away += back[1] - row[1]
        one.until_seq, one.until = max((one.until_seq, one.until), (back[0], back[1]))
    return one if len(one.back) * 2 > len(gone) else None


def _next_deploy(reader: Reader, name: str, after: int) -> Any:
    rows = reader.fetch(
        "SELECT seq, at FROM event WHERE vassal = ? AND seq > ? AND kind IN (?, ?)"
        " ORDER BY seq LIMIT 1",
        name, after, *DEPLOYED,
    )  # fmt: skip
    return rows[0] if rows else None

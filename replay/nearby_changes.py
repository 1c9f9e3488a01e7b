"""Everything else that changed around a moment: changes of sources, requests, daemons, outages."""

from bisect import insort
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from ..journal.deploys import DEPLOYS
from ..journal.reading import COLUMNS, Reader
from ..monitors.names import shown
from .change_groups import APART
from .event_text import essence
from .sources import Sources

MINUTE: Final = 60 * 10**9  # nanoseconds
_MOST_NAMES: Final = 4
_MOST: Final = 50_000  # events; one listing may remove a whole fleet
KINDS: Final = (
    *DEPLOYS,
    "operator_requested",
    "request_refused",
    "daemon_started",
    "daemon_stopping",
    "journal_adopted",
    "journal_forked",
    "journal_archived",
    "clock_jumped",
    "monitor_failed",
    "monitor_recovered",
    "listing_doubted",
    "keeper_lost",
    "keeper_back",
)


class Change(msgspec.Struct):
    """Something that changed: one event, or events of one kind and source in a row."""

    seq: int
    at: int
    kind: str
    monitor: str | None
    source: str  # its short name
    names: list[str]
    text: str
    last: int

    def __str__(self) -> str:
        if self.kind not in DEPLOYS:
            about = f" {shown(self.names[0])}" if self.names else ""
            about += f" {self.source}" if self.monitor is not None else ""
            return f"{self.kind}{about}{f': {self.text}' if self.text else ''} (event {self.seq})"
        did = self.kind.removeprefix("vassal_")
        some = ", ".join(map(shown, self.names[:_MOST_NAMES]))
        more = f" and {len(self.names) - _MOST_NAMES} more" if len(self.names) > _MOST_NAMES else ""
        events = f"event {self.seq}" if self.seq == self.last else f"events {self.seq}-{self.last}"
        return f"{did}: {some}{more}, from {self.source} ({events})"


def changes(
    reader: Reader, at: int, upto: int, but: Sequence[str] = (), within: int = MINUTE
) -> list[Change]:
    """The changes from a minute before ``at`` to a minute after, but those of some vassals.

    ``upto`` is the last event that is looked at. ``within`` are nanoseconds.
    """
    first, last = reader.seq_at(at - within - 1), min(reader.seq_at(at + within), upto)
    rows: list[Any] = reader.fetch(
        f"SELECT {COLUMNS} FROM event WHERE seq > ? AND seq <= ?"
        f" AND kind IN ({', '.join('?' * len(KINDS))}) ORDER BY seq LIMIT {_MOST}",
        first, last, *KINDS,
    )  # fmt: skip
    return list(_grouped(reader, (row for row in rows if row[4] not in but)))


def _grouped(reader: Reader, rows: Iterator[Any]) -> Iterator[Change]:
    now: Change | None = None
    end = 0  # the time of its last event
    sources = Sources.of(reader)
    for row in rows:
        seq, at, kind, monitor, vassal = row[:5]
        same = now is not None and kind in DEPLOYS and (now.kind, now.monitor) == (kind, monitor)
        if now is not None and same and at - end <= APART:
            now.last, end = seq, at
            if vassal not in now.names:
                insort(now.names, vassal)  # a listing has no order, so the events have none
            continue
        if now is not None:
            yield now
        text = "" if kind in DEPLOYS else essence(reader.decode(row).body)
        source = sources.name(monitor)
        now = Change(seq, at, kind, monitor, source, [] if vassal is None else [vassal], text, seq)
        end = at
    if now is not None:
        yield now

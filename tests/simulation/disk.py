"""The simulated journal: what was appended is durable, and outlives daemons.

``Disk`` is the file; ``Record`` is what one daemon holds of it, with the interface of
``daemon/outside.py``. An append can be refused for a while, take its time, and be the moment at
which the daemon is killed: before anything is written, or when all is.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from emperord.daemon.actions import recorded
from emperord.daemon.fleet import Fleet, from_json, to_json
from emperord.daemon.fold import fold
from emperord.journal import chain
from emperord.journal.errors import JournalPaused
from emperord.journal.events import Event, decode_body
from emperord.journal.store import Snapshot

from .checker import Checker
from .trouble import must


class Disk:
    """All that is durable."""

    def __init__(self, checker: Checker) -> None:
        self.rows: list[chain.Columns] = []
        self.hashes: list[bytes] = []
        self.configs: dict[str, bytes] = {}
        self.snapshot: Snapshot | None = None
        self.checker = checker
        self.refused = False  # nothing can be written now
        self.hiccups = 0  # appends that are refused

    @property
    def last_at(self) -> int:
        return self.rows[-1][1] if self.rows else 0

    def events(self, after: int) -> Iterator[Event]:
        for seq, at, kind, monitor, vassal, cause, body, _ in self.rows[after:]:
            yield Event(seq, at, kind, monitor, vassal, cause, decode_body(kind, body))

    def rebuild(self) -> Fleet:
        """The fleet as a daemon that starts makes it, after everything was folded again."""
        whole = Fleet()
        current = chain.GENESIS
        for event, row, hash_ in zip(self.events(0), self.rows, self.hashes, strict=True):
            current = chain.link(current, row)
            must(current == hash_, "chain", f"event {event.seq} does not follow the one before")
            actions = recorded(fold(whole, event))
            must(actions == row[7], "refold", f"event {event.seq}: {row[7]} recorded, {actions}")
        fleet = Fleet()
        if self.snapshot is not None:
            fleet = from_json(self.snapshot.fleet)
            for event in self.events(self.snapshot.seq):
                fold(fleet, event)
        else:
            fleet = from_json(to_json(whole))
        must(to_json(fleet) == to_json(whole), "refold", "the snapshot leads elsewhere")
        return fleet


class Record:
    """The journal of one daemon. ``moment`` is where it may be killed."""

    path = "/simulated/journal.db"

    def __init__(self, disk: Disk, moment: Callable[[str], None]) -> None:
        self._disk = disk
        self._moment = moment

    def append(
        self,
        rows: Sequence[chain.Columns],
        configs: Mapping[str, bytes] | None = None,
        snapshot: Snapshot | None = None,
    ) -> None:
        """As the real one: all of it, or JournalPaused and nothing."""
        disk = self._disk
        self._moment("append")
        if disk.refused or disk.hiccups:
            disk.hiccups = max(0, disk.hiccups - 1)
            raise JournalPaused(f"{self.path}: cannot be written: no space left on device")
        previous = disk.hashes[-1] if disk.hashes else chain.GENESIS
        disk.hashes += chain.links(previous, rows)
        disk.rows += rows
        disk.configs.update(configs or {})
        if snapshot is not None:
            disk.snapshot = snapshot
        disk.checker.appended(rows)
        self._moment("appended")

    def time_of(self, seq: int) -> int:
        """The ``at`` of an event."""
        return self._disk.rows[seq - 1][1]

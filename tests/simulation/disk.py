"""The simulated journal: what was appended is durable, and outlives daemons.

``Disk`` is the file; ``Record`` is what one daemon holds of it, with the interface of
``daemon/loop/ports.py``. An append can be refused for a while, or take its time. It can be the
moment at which the daemon is killed, before anything is written or when all is.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
from emperord.daemon.core.actions import recorded
from emperord.daemon.core.deploys import Deploy, Deploys, Outcome
from emperord.daemon.core.fleet import Fleet, from_json, to_json
from emperord.daemon.core.fold import fold
from emperord.daemon.loop import ports
from emperord.journal import chain
from emperord.journal.decoding import decode_body
from emperord.journal.deploys import Row
from emperord.journal.errors import JournalPaused
from emperord.journal.events import NOT_FOLDED, Event, Spec
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
        self.deploys: dict[int, Row] = {}
        self.checker = checker
        self.refused = False  # nothing can be written now
        self.hiccups = 0  # appends that are refused
        self._fleet = Fleet()  # as a fold of the first so many rows makes it, with their last hash
        self._folded = 0
        self._linked = chain.GENESIS

    def record(self, moment: Callable[[str], None]) -> ports.Journal:
        """The journal of a daemon that may be killed at a ``moment``."""
        return Record(self, moment)

    @property
    def last_at(self) -> int:
        return self.rows[-1][1] if self.rows else 0

    def events(self, after: int) -> Iterator[Event]:
        for seq, at, kind, monitor, vassal, cause, body, actions in self.rows[after:]:
            failed = actions == NOT_FOLDED
            yield Event(seq, at, kind, monitor, vassal, cause, decode_body(kind, body), failed)

    def rebuild(self, *, anew: bool = False) -> Fleet:
        """The fleet as a daemon that starts makes it, after what is new was folded again.

        ``anew``: after everything was, from the beginning.
        """
        if anew:
            self._fleet, self._folded, self._linked = Fleet(), 0, chain.GENESIS
        whole, rows, hashes = self._fleet, self.rows[self._folded :], self.hashes[self._folded :]
        for event, row, hash_ in zip(self.events(self._folded), rows, hashes, strict=True):
            self._linked = chain.link(self._linked, row)
            right = self._linked == hash_
            must(right, "chain", f"event {event.seq} does not follow the one before")
            actions = recorded(fold(whole, event), failed=event.failed)
            must(actions == row[7], "refold", f"event {event.seq}: {row[7]} recorded, {actions}")
        self._folded = len(self.rows)
        fleet = Fleet()
        if self.snapshot is not None:
            fleet = from_json(self.snapshot.fleet)
            for event in self.events(self.snapshot.seq):
                fold(fleet, event)
        else:
            fleet = from_json(to_json(whole))
        must(to_json(fleet) == to_json(whole), "refold", "the snapshot leads elsewhere")
        return fleet

    def text_of(self, spec: Spec) -> str:
        """The config text of a spec. It is an error of the daemon if the journal has none."""
        text = self.configs.get(spec.config or "")
        must(text is not None, "texts are kept", f"config {spec.config} is not in the journal")
        assert text is not None
        return text.decode()

    def unsettled(self) -> Deploys:
        """The deploys that a daemon goes on with."""
        return Deploys(self._deploy(row) for row in self.deploys.values() if not row[7])

    def _deploy(self, row: Row) -> Deploy:
        seq, previous, outcome, outcome_seq, attempt, order, trial, settled = row
        _, at, kind, monitor, vassal, _, body, _ = self.rows[seq - 1]
        spec = getattr(decode_body(kind, body), "spec", None)
        assert vassal is not None
        return Deploy(
            seq, at, vassal, monitor, kind, None if spec is None else spec.config, previous,
            msgspec.convert(outcome, Outcome), outcome_seq,
            None if outcome_seq is None else self.rows[outcome_seq - 1][1],
            settled, attempt, order, trial,
        )  # fmt: skip

    def check_deploys(self) -> None:
        """A full fold knows the same of deploys, whatever was given up before."""
        whole, fleet = Deploys(), Fleet()
        for event in self.events(0):
            whole.take(fleet, event, fold=fold)
        for row in whole.rows:
            kept = self.deploys.get(row[0])
            must(kept == row, "deploys", f"{kept} is kept, a full fold says {row}")
        must(len(whole.rows) == len(self.deploys), "deploys", "some are kept that never were")


class NoLog:
    """All that is appended is in the one file."""

    is_worthwhile = False

    def fold(self, snapshot: Snapshot | None) -> None:
        """It is never asked."""


class Record:
    """The journal of one daemon. ``moment`` is where it may be killed."""

    path = "/simulated/journal.db"

    def __init__(self, disk: Disk, moment: Callable[[str], None]) -> None:
        self._disk = disk
        self._moment = moment

    @property
    def texts(self) -> ports.Texts:
        """A journal whose texts nothing asks for."""
        return self

    def content(self, _: str) -> bytes | None:
        return None

    def append(
        self,
        rows: Sequence[chain.Columns],
        configs: Mapping[str, bytes] | None = None,
        snapshot: Snapshot | None = None,
        known: Sequence[Row] = (),
    ) -> None:
        """As the real one: all of it, or JournalPaused and nothing."""
        disk = self._disk
        self._moment("append")
        if disk.refused or disk.hiccups:
            disk.hiccups = max(0, disk.hiccups - 1)
            raise JournalPaused(f"{self.path}: cannot be written: no space left on device")
        self._keep(rows, configs, snapshot, known)
        self._moment("appended")

    def _keep(
        self,
        rows: Sequence[chain.Columns],
        configs: Mapping[str, bytes] | None,
        snapshot: Snapshot | None,
        known: Sequence[Row],
    ) -> None:
        disk = self._disk
        previous = disk.hashes[-1] if disk.hashes else chain.GENESIS
        disk.hashes += chain.links(previous, rows)
        disk.rows += rows
        disk.configs.update(configs or {})
        disk.deploys.update((each[0], each) for each in known)
        if snapshot is not None:
            disk.snapshot = snapshot
        disk.checker.appended(rows)

    @property
    def log(self) -> ports.Log:
        return NoLog()

    def is_whole(self) -> bool:
        """No file is ever lost here."""
        return True

    def troubles(self) -> dict[str, str]:
        """Nothing strange lies beside it."""
        return {}

    def time_of(self, seq: int) -> int:
        """The ``at`` of an event."""
        return self._disk.rows[seq - 1][1]

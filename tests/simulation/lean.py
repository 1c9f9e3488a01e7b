"""A world that keeps nothing of the past, so that only the daemon can grow: for long runs.

The journal is a real file, and nothing is checked but that the daemon goes on.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from emperord.daemon.core.deploys import Deploys
from emperord.daemon.core.fleet import Fleet, from_json
from emperord.daemon.core.fold import fold
from emperord.daemon.loop import ports, stored_deploys
from emperord.journal import chain
from emperord.journal.deploys import Row
from emperord.journal.events import Spec
from emperord.journal.store import Journal, Snapshot

from .disk import Disk, Record


class Blind:
    """In place of the checker: it is told all, and takes no note of anything but who lives."""

    def __init__(self) -> None:
        self.living: dict[int, tuple[str, int]] = {}
        self.may_leave = self.calm = False

    def born(self, pid: int, name: str, attempt: int) -> None:
        self.living[pid] = name, attempt

    strayed = born

    def died(self, pid: int) -> None:
        self.living.pop(pid, None)

    def __getattr__(self, _: str) -> Any:
        return _Nothing()


class _Nothing:
    def __getattr__(self, _: str) -> Any:
        return self

    def __call__(self, *_: object, **__: object) -> Any:
        return self


class Forgetful(dict[str | None, str]):
    """Texts by their digests, none of which is kept: the journal has them."""

    def __setitem__(self, key: str | None, value: str) -> None:
        """Keep nothing."""


class JournalDisk(Disk):
    """The journal is a file, as the daemon writes it."""

    def __init__(self, path: Path, checker: Any) -> None:
        super().__init__(checker)
        self.journal = Journal.open(str(path))

    def record(self, moment: Callable[[str], None]) -> ports.Journal:
        return _Record(self, moment)

    @property
    def last_at(self) -> int:
        return self.journal.last_at

    def rebuild(self, *, anew: bool = False) -> Fleet:
        """The fleet as a daemon makes it that starts: a snapshot, and the fold of what follows."""
        snapshot = None if anew else self.journal.snapshot()
        fleet = Fleet() if snapshot is None else from_json(snapshot.fleet)
        for event in self.journal.tail(fleet.seq):
            fold(fleet, event)
        return fleet

    def text_of(self, spec: Spec) -> str:
        text = self.one("SELECT content FROM config WHERE digest = ?", spec.config)
        assert isinstance(text, bytes)
        return text.decode()

    def unsettled(self) -> Deploys:
        return stored_deploys.followed(self.journal)

    def one(self, query: str, *parameters: object) -> Any:
        """The first column of the first row."""
        with closing(sqlite3.connect(f"file:{self.journal.path}?mode=ro", uri=True)) as db:
            row = db.execute(query, parameters).fetchone()
            return None if row is None else row[0]


class _Record(Record):
    """The journal of one daemon, in the file."""

    def __init__(self, disk: JournalDisk, moment: Callable[[str], None]) -> None:
        super().__init__(disk, moment)
        self._journal = disk.journal
        self.path = disk.journal.path

    def _keep(
        self,
        rows: Sequence[chain.Columns],
        configs: Mapping[str, bytes] | None,
        snapshot: Snapshot | None,
        known: Sequence[Row],
    ) -> None:
        self._journal.append(rows, configs, snapshot, known)

    @property
    def log(self) -> ports.Log:
        return self._journal.log

    def is_whole(self) -> bool:
        return self._journal.is_whole()

    def troubles(self) -> dict[str, str]:
        return self._journal.troubles()

    def time_of(self, seq: int) -> int:
        return self._journal.time_of(seq)

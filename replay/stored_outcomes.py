"""The table ``deploy`` against the outcomes that follow from the fold.

Outcomes that are settled are compared every few thousand events and forgotten. So a journal of any
length takes the memory of the deploys that are open. The findings count only where the fold reached
the end of the record without a difference.
"""

from collections.abc import Iterable
from typing import Final

from ..daemon.core.deploys import Deploy, Deploys
from ..journal.damage import Audit
from ..journal.deploys import DEPLOYS
from ..journal.errors import JournalError
from ..journal.reading import Reader

_AT_ONCE: Final = 500
_KEPT: Final = 5_000  # settled outcomes that wait for their comparison
_MOST: Final = 1_000  # findings that are kept
_OTHER: Final = "its outcome is not what follows from the events"


class StoredOutcomes:
    """Compares as the fold goes on. The table is not compared where no daemon has filled it."""

    def __init__(self, reader: Reader) -> None:
        self.error: JournalError | None = None  # the table cannot be read
        self._reader = reader
        self._found: dict[int, str] = {}
        self._compared = 0
        self._filled = False
        try:
            self._filled = reader.has_deploys()
        except JournalError as error:
            self.error = error

    def look(self, follower: Deploys) -> None:
        """Compare what is settled, if there is much of it."""
        if len(follower.touched) > _KEPT:
            self._compare(follower, {deploy.seq for deploy in follower.open.values()})

    def end(self, follower: Deploys, audit: Audit) -> None:
        """Compare the rest, and tell what was found."""
        self._compare(follower, set())
        if self._filled:
            self._look_for_others()
        for seq, what in sorted(self._found.items()):
            audit.find(f"deploy {seq}: {what}", seq)

    def _compare(self, follower: Deploys, but: set[int]) -> None:
        done = [deploy for seq, deploy in follower.touched.items() if seq not in but]
        try:
            for at in range(0, len(done) if self._filled else 0, _AT_ONCE):
                self._compare_some(done[at : at + _AT_ONCE])
        except JournalError as error:
            self.error, self._filled = error, False
        for deploy in done:
            del follower.touched[deploy.seq]

    def _compare_some(self, some: Iterable[Deploy]) -> None:
        computed = {deploy.seq: deploy.row[1:4] for deploy in some}
        marks = ", ".join("?" * len(computed))
        rows = self._reader.fetch(
            "SELECT seq, previous, outcome, outcome_seq FROM deploy"
            f" WHERE seq IN ({marks}) ORDER BY seq",
            *computed,
        )
        self._compared += len(rows)
        for seq, *stored in rows:
            known = computed.pop(seq)
            # A daemon that has gone on meanwhile knows more.
            if tuple(stored) != known and max(seq, stored[2] or 0) <= self._reader.head.seq:
                self._note(seq, _OTHER)
        for seq in computed:
            self._note(seq, "its outcome is missing")

    def _look_for_others(self) -> None:
        """Rows of no deploy; looked for only where there are more rows than were compared."""
        ends = (self._reader.anchor.seq, self._reader.head.seq)
        query = "FROM deploy WHERE seq > ? AND seq <= ?"
        ((count,),) = self._reader.fetch(f"SELECT count(*) {query}", *ends)
        if count == self._compared:
            return
        marks = ", ".join("?" * len(DEPLOYS))
        others = self._reader.fetch(
            f"SELECT seq {query} AND seq NOT IN (SELECT seq FROM event WHERE kind IN ({marks}))"
            " ORDER BY seq",
            *ends,
            *DEPLOYS,
        )
        for (seq,) in others:
            self._note(seq, _OTHER)

    def _note(self, seq: int, what: str) -> None:
        if len(self._found) < _MOST:
            self._found[seq] = what

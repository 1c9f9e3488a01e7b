"""The table ``deploy`` against the outcomes that follow from the fold.

Outcomes that are settled are compared every few thousand events and forgotten. So a journal of any
length takes the memory of the deploys that are open. The findings count only where the fold reached
the end of the record without a difference.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from ..daemon.core.deploys import Deploy, Deploys
from ..journal import deploys
from ..journal.damage import Audit
from ..journal.deploys import COLUMNS, DEPLOYS, Row
from ..journal.errors import JournalError
from ..journal.reading import Reader

_AT_ONCE: Final = 500
_KEPT: Final = 5_000  # settled outcomes that wait for their comparison
_MOST: Final = 1_000  # findings that are kept
_OTHER: Final = "its outcome is not what follows from the events"
_TOLD: Final = COLUMNS.split(", ")[1:4]  # people see these
_MORE: Final = COLUMNS.split(", ")[4:]  # the daemon goes on with these


def notes(reader: Reader) -> Iterator[str]:
    """A note where the table is not compared."""
    try:
        with reader.reading():
            made = deploys.is_made(reader.db) and not deploys.is_current(reader.db)
            former = made and not deploys.is_empty(reader.db)
    except JournalError:
        return  # that the table cannot be read is found elsewhere
    if former:
        yield (
            "its table deploy has outcomes as an earlier version defined them, so they are not"
            " compared; the next daemon stores them anew"
        )


class StoredOutcomes:
    """Compares as the fold goes on. An empty table is not compared: no daemon has filled it."""

    def __init__(self, reader: Reader) -> None:
        self.error: JournalError | None = None  # the table cannot be read
        self._reader = reader
        self._found: dict[int, str] = {}
        self._compared = 0
        self._filled = False
        try:
            self._filled = reader.has_outcomes()
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
        computed = {deploy.seq: deploy for deploy in some}
        marks = ", ".join("?" * len(computed))
        rows = self._reader.fetch(
            f"SELECT {COLUMNS} FROM deploy WHERE seq IN ({marks}) ORDER BY seq",
            *computed,
        )
        self._compared += len(rows)
        for row in rows:
            deploy = computed.pop(row[0])
            if row != deploy.row and not (self._goes_on() and not deploy.settled):
                self._note(deploy.seq, _difference(row, deploy.row))
        for seq in computed:
            self._note(seq, "its outcome is missing")

    def _goes_on(self) -> bool:
        """Whether a daemon has gone on meanwhile: of a deploy that was open it knows more."""
        if not self._reader.files.live:
            return False
        ((last,),) = self._reader.fetch("SELECT max(seq) FROM event")
        return bool(last > self._reader.head.seq)

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


def _difference(stored: Row, computed: Row) -> str:
    """Why a row is not the one that was computed."""
    if stored[: len(_TOLD) + 1] != computed[: len(_TOLD) + 1]:
        return _OTHER
    pairs = zip(_MORE, stored[len(_TOLD) + 1 :], computed[len(_TOLD) + 1 :], strict=True)
    other = ", ".join(name for name, one, another in pairs if one != another)
    return f"its row is not what follows from the events ({other})"

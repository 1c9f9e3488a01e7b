"""The chain and the pages of a long journal are checked in a second process, beside the fold.

The two halves of ``verify`` need each other for damage only: events behind damage are not folded.
So the fold begins as if there were none. If the second process finds any, its work is thrown away,
and all is done again in one process, which says exactly what is wrong.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from ..journal.damage import Audit
from ..journal.errors import JournalError
from ..journal.files import Files
from ..journal.reading import Reader, Row, open_journal

LONG: Final = 50_000  # events from which on a second process is worth its start
_TELL: Final = 2_000  # events


class Audited(msgspec.Struct):
    """The result of the second process."""

    findings: int
    events: int
    intact_to: int | None
    notes: list[str]
    head: int


class Beside:
    """A check that is under way in another process."""

    def __init__(self, files: Files, head: int) -> None:
        self._head = head
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, files.path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def result(self) -> Audited | None:
        """Its findings; None if it could not be done, or was of another end of the journal."""
        said, _ = self._process.communicate()
        try:
            audited = msgspec.json.decode(said, type=Audited)
        except msgspec.DecodeError:
            return None
        return audited if audited.head == self._head else None

    def end(self) -> None:
        """It is of no use any more."""
        self._process.kill()
        self._process.communicate()


def begin(files: Files, reader: Reader) -> Beside | None:
    """Begin a check beside the fold; None where that is not worth it, or a daemon writes."""
    long = reader.head.seq - reader.anchor.seq >= LONG
    if not long or files.live or files.access == "copied":
        return None
    try:
        return Beside(files, reader.head.seq)
    except OSError:
        return None  # no process can be had: one does all


def rows(reader: Reader, progress: Callable[[int], None]) -> Iterator[Row]:
    """All events, for the fold that goes on beside."""
    for row in reader.rows():
        if row[0] % _TELL == 0:
            progress(row[0])
        yield row


def main(path: str) -> None:
    """Check one journal, and print the result as JSON."""
    audit = Audit()
    with open_journal(path) as reader:
        audit.check_structure(reader)
        for _ in audit.intact_events(reader):
            pass
        result = Audited(audit.count, audit.events, audit.intact_to, audit.notes, reader.head.seq)
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except JournalError:
        sys.exit(3)

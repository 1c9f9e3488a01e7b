"""Whether a journal may go on somewhere else than in the file that is read.

A daemon that left as told has written ``daemon_stopped`` last. A journal that ends otherwise is of
a daemon that runs or was killed, or it is a copy without its write-ahead log. SQLite cannot tell
that the log is missing. A daemon that runs holds the journal's lock.
"""

import os
from typing import Final

from ..journal.errors import JournalError
from ..journal.events import ARCHIVED
from ..journal.files import Files
from ..journal.reading import Reader

OPEN_END: Final = (
    "the last event is no daemon_stopped: running, killed, or -wal was not copied with it"
)


def note(reader: Reader) -> str | None:
    """A line that says so; None where the journal ends as it should, or its daemon runs."""
    if reader.head.seq == reader.anchor.seq or runs(reader.files):
        return None
    seq = reader.head.seq
    try:
        if reader.is_archive():
            return None
        row = reader.row(seq)
        while row is not None and row[2] == ARCHIVED:  # between two daemons
            seq -= 1
            row = reader.row(seq)
    except JournalError:
        return None  # damaged, which is said anyway
    if row is None or row[2] == "daemon_stopped":
        return None
    return f"{reader.path}: {OPEN_END}"


def runs(files: Files) -> bool:
    """Whether a process holds the lock of the journal, by /proc/locks: nothing is locked here."""
    try:
        status = os.stat(files.real + ".lock")
        with open("/proc/locks") as file:
            lines = file.read().splitlines()
    except OSError:
        return files.live
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    held = f"{device}:{status.st_ino}"
    return any(" FLOCK " in line and held in line.split() for line in lines)

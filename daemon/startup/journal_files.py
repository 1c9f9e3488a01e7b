"""Looks at the path of the journal, by a daemon that waits for it. All of this blocks."""

import contextlib
import os

from ...journal import lost_log
from ...journal.errors import Damaged, JournalError
from ...journal.store import Journal
from ..control.server import Refused


def files(path: str) -> object:
    """Which files a journal has, to see that they are others; None where there is none."""
    if lost_log.is_missing(path):
        return None
    found = []
    for suffix in ("", "-wal"):
        with contextlib.suppress(OSError):
            status = os.stat(path + suffix)
            found.append((suffix, status.st_ino, status.st_size, status.st_mtime_ns))
    return found


def strange(journal: Journal | None, *, replaced: bool) -> str | None:
    """Why the files of a journal are none that this daemon knows; None if it knows them.

    Others may have been copied onto them since they were opened, or, where ``replaced`` counts,
    been put in their place.
    """
    if journal is None:
        return None
    if not journal.in_place():
        what = "other files are there than the ones" if replaced else None
    else:
        what = "another program has written to the files" if journal.was_written_to() else None
    if what is None:
        return None
    return (
        f"{journal.path}: {what} that this daemon has opened; have it look at those"
        " ('emperor-ctl upgrade')"
    )


def make(path: str) -> Journal:
    """A new journal where there is none. Raises Refused."""
    try:
        if not lost_log.is_missing(path):
            raise Refused(f"{path}: a journal is there again; the daemon looks at it in a moment")
        return Journal.open(path)
    except (JournalError, OSError) as error:
        raise Refused(f"{path}: no journal can be made: {error}") from None


def can_be_opened(path: str) -> bool:
    """Whether a journal that is there can be opened, or is found to be damaged."""
    if lost_log.is_missing(path):
        return False  # opening it would make one
    try:
        Journal.open(path).leave()
    except Damaged:
        return True  # the next daemon says so
    except (JournalError, OSError):
        return False
    return True

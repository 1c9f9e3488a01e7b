"""Where a file begins whose older events went to an archive."""

import msgspec

from ..daemon.core.fleet import from_json
from ..journal import chain
from ..journal.damage import Audit
from ..journal.errors import JournalError
from ..journal.events import ARCHIVED, JournalArchived
from ..journal.reading import Reader
from ..journal.times import EventNumber, Moment
from ..monitors.names import shown

_ARCHIVED = "SELECT seq FROM event WHERE kind = ? AND seq > ? ORDER BY seq DESC"


def archived(reader: Reader) -> JournalArchived | None:
    """The event that says where older events went; None where there is none."""
    if reader.anchor.seq == 0:
        return None
    for (seq,) in reader.fetch(_ARCHIVED, ARCHIVED, reader.anchor.seq):
        row = reader.row(seq)
        body = None if row is None else reader.decode(row).body
        if isinstance(body, JournalArchived) and body.through == reader.anchor.seq:
            return body
    return None


def look_in_archive(reader: Reader) -> str:
    """The advice for an operator who needs older events."""
    try:
        body = archived(reader)
    except JournalError:
        body = None
    named = "the archive" if body is None else f"the archive {shown(body.file)}"
    return f"look in {named}: give it by another --journal, before this one"


def or_in_archive(reader: Reader, told: str) -> str:
    """The text, with the advice if the file does not begin with the first event of the journal.

    ``told`` says what this file does not have.
    """
    return f"{told}; {look_in_archive(reader)}" if reader.anchor.seq else told


def or_in_archive_since(reader: Reader, since: Moment | None, told: str) -> str:
    """The same for events from a time on, without advice if all of them are in this file."""
    has_all = since is not None and reader.anchor.seq and _has_all_since(reader, since)
    return told if has_all else or_in_archive(reader, told)


def _has_all_since(reader: Reader, since: Moment) -> bool:
    """Whether the last event before this file came before a moment."""
    if isinstance(since, EventNumber):
        return since.seq > reader.anchor.seq
    try:
        first = reader.anchor_snapshot()
        if first is not None:
            return since > from_json(first.fleet).at
    except (JournalError, msgspec.DecodeError):
        pass  # the time of that event is not known
    return reader.seq_before(since) > reader.anchor.seq


def compare(reader: Reader, audit: Audit) -> None:
    """Find where a file begins otherwise than the chain says."""
    try:
        body, first = archived(reader), reader.anchor_snapshot()
    except JournalError:
        return  # it is found where all events are looked at
    if body is None or first is None:
        return
    if body.hash != reader.anchor.hash.hex():
        audit.find(
            f"the file begins behind another event {body.through} than the one that was archived",
            body.through,
        )
    if body.fleet != chain.digest(first.fleet):
        audit.find(
            f"snapshot {body.through}: the file begins with another fleet than the archive ends"
            " with",
            body.through,
        )

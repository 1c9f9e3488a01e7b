"""``archive``: older events of a journal that no daemon has go to a file of their own.

The order makes a crash harmless. The archive is written under another name, synced and verified.
Then it gets its name. Only then one transaction takes its events out of the journal. A run that
finds an archive there, which a former run has written, goes on from there.
"""

import os
import stat
import time
from collections.abc import Callable
from typing import Final

import msgspec

from ..daemon.core.actions import recorded
from ..daemon.core.deploys import Deploys
from ..daemon.core.fleet import configs_of, to_json
from ..journal import archive_file, chain, deploys, lost_log
from ..journal.archive_file import LONGEST_STEP, STEP, UNFINISHED, Identity, Part, SnapshotRow
from ..journal.errors import JournalError, JournalLocked
from ..journal.events import ARCHIVED, Event, JournalArchived
from ..journal.locks import is_locked
from ..journal.opening import take
from ..journal.places import runtime_directory
from ..journal.quantities import size_text
from ..journal.reading import Link, Reader, identity_link, open_journal
from ..journal.rows import Snapshot
from ..journal.store import Journal
from ..journal.times import Moment
from ..journal.writing import snapshot_row
from ..monitors import trusted_folder
from ..monitors.names import shown
from . import intact_events
from .event_text import decode_actions
from .rebuild import base, fleet_at, fold_one
from .verify import verify

KEPT: Final = 100  # events that stay, at least: the next daemon reads how the last one ended
_SHORT: Final = 16  # hex digits of an identity in the name of its lock
_AT_ONCE: Final = 5_000  # outcomes of deploys
_ROOM_OF_ROW: Final = 200  # bytes of an event beside its texts, indexes and all
_ROOM_OF_FLEET: Final = 4  # times the bytes of a fleet, which the events up to the next one take
_MORE: Final = 1.1
_LEAST: Final = 64 << 10  # bytes of an archive with one event
_ADOPTED: Final = (
    "SELECT min(seq) FROM event WHERE kind = 'journal_adopted' AND json_extract(body, '$.seq') > ?"
)
_FLEETS: Final = "SELECT seq, hash, fleet, check_sum FROM snapshot ORDER BY seq"
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
Progress = Callable[[int, int], None]


class Archived(msgspec.Struct, frozen=True):
    """Events that went to an archive. ``compact``: the journal's file got smaller."""

    file: str
    first: int
    last: int
    event: int  # that says so
    bytes_before: int
    bytes_after: int
    compact: bool


class Cut(msgspec.Struct, frozen=True):
    """Where a journal is cut: the last event that goes, and why no later one; None if all go."""

    seq: int
    why: str | None


def archive(path: str, before: Moment, file: str, progress: Progress) -> Archived | Cut:
    """Move the events before a moment to the file of an archive, which is new.

    The answer is a ``Cut`` if there are none. Raises JournalError.
    """
    if lost_log.is_missing(path):
        raise JournalError(f"{path}: there is no journal; give the right --journal")
    archive_file.refuse(path)
    Journal.open(path).close()  # an older schema is brought up to date, and the log folded in
    size = os.stat(path).st_size
    taken = take(path)
    with taken.locks:
        with open_journal(path) as reader:
            _check_unused(reader)
            cut = cut_of(reader, before)
            if cut.seq <= reader.anchor.seq:
                return cut
            there = os.path.lexists(file)
            check_place(path, file)
            begin, end = span_of(reader, file, cut) if there else span(reader, cut)
            part = part_of(reader, begin, end)
            event, last = _event(reader, part, file), reader.head.hash
            if not there:
                archive_file.write(reader.files, file, part)
        verified = finish(part, path, file, there, progress)
        if identity(path, file) != verified:
            raise changed(file)
        compact = archive_file.shorten(taken, part, event, last)
    return Archived(
        file=file,
        first=part.begin.seq + 1,
        last=part.end.seq,
        event=event[0],
        bytes_before=size,
        bytes_after=os.stat(path).st_size,
        compact=compact,
    )


def cut_of(reader: Reader, before: Moment) -> Cut:
    """The last event that goes to an archive of those before a moment."""
    cut = Cut(reader.seq_before(before), None)
    head, identity = reader.head.seq, identity_link(reader.db)
    ((adopted,),) = reader.fetch(_ADOPTED, head)
    limits = [Cut(head - KEPT, f"the last {KEPT} events stay")]
    if identity is not None and identity.seq > 1:
        limits.append(
            Cut(identity.seq - 1, f"event {identity.seq} stays: it gives this copy its identity")
        )
    if adopted is not None:
        limits.append(
            Cut(adopted - 1, f"event {adopted} stays: the journal was adopted without events")
        )
    return min([cut, *limits], key=lambda each: each.seq)


def span(reader: Reader, cut: Cut) -> tuple[Link, Link]:
    """Behind which event a new archive begins, and with which one it ends."""
    hash_ = reader.hash_of(cut.seq)
    if hash_ is None:
        raise JournalError(f"{reader.path}: event {cut.seq} is missing; 'verify' says more")
    return reader.anchor, Link(cut.seq, hash_)


def _check_unused(reader: Reader) -> None:
    """Raise JournalLocked if a keeper waits for its next daemon."""
    identity = identity_link(reader.db)
    if identity is None:
        return
    lock = os.path.join(runtime_directory(), f"{identity.hash.hex()[:_SHORT]}.lock")
    try:
        locked = is_locked(lock)
    except OSError as error:
        raise JournalError(f"{lock}: cannot be looked at: {error.strerror}") from None
    if locked:
        raise JournalLocked(
            f"{reader.path}: an emperor has its identity ({lock}); end that emperor first"
        )


def span_of(reader: Reader, file: str, cut: Cut) -> tuple[Link, Link]:
    """The same of an archive that a former run has written, and has not come to the end.

    The journal may lack some of its events already. Raises JournalError where the file is anything
    else.
    """
    other = JournalError(
        f"{file}: is there already, and is no archive of these events; name another file"
    )
    try:
        with open_journal(file) as archived:
            begin, end, named = archived.anchor, archived.head, identity_link(archived.db)
            goes_on = archived.hash_of(reader.anchor.seq) == reader.anchor.hash
            ours = archived.is_archive()  # a copy of the journal may be as long
    except (JournalError, OSError):
        raise other from None
    if os.path.samefile(file, reader.path) or named != identity_link(reader.db):
        raise other
    if not ours or not goes_on or not begin.seq <= reader.anchor.seq < end.seq <= cut.seq:
        raise other
    if reader.hash_of(end.seq) != end.hash:
        raise other
    return begin, end


def part_of(reader: Reader, begin: Link, end: Link) -> Part:
    """The part that goes to the archive, by a fold of all its events that the journal has."""
    fleet, _ = base(reader, reader.anchor.seq, full=True)
    before = configs_of(fleet)
    follower, outcomes = Deploys(), dict[int, deploys.Row]()
    steps, size, last, since = list[SnapshotRow](), 0, fleet.seq, 0

    def keep() -> None:
        outcomes.update({deploy.seq: deploy.row for deploy in follower.touched.values()})
        follower.touched.clear()

    for event, row in intact_events.events(reader, fleet.seq, end.seq):
        follower.take(fleet, event, decode_actions(row[7]), fold_one)
        since += len(row[6]) + len(row[7]) + _ROOM_OF_ROW
        # A fleet takes less room than the events before it, or there are few of them.
        if event.seq - last >= STEP and (since >= size or event.seq - last >= LONGEST_STEP):
            steps.append(snapshot_row(Snapshot(event.seq, to_json(fleet)), row[8]))
            size, last, since = _ROOM_OF_FLEET * len(steps[-1][2]), event.seq, 0
        if len(follower.touched) > _AT_ONCE:
            keep()
    keep()
    return Part(
        begin=begin,
        end=end,
        fleet=to_json(fleet),
        before=frozenset(before),
        after=frozenset(configs_of(fleet)),
        outcomes=list(outcomes.values()),
        steps=steps,
        size=_size(reader, begin, end) + sum(len(each[2]) for each in steps),
    )


def _size(reader: Reader, begin: Link, end: Link) -> int:
    """Bytes that an archive of these events takes: their share of the journal's, and some more.

    Of an archive that a former run has begun, the journal has only a part.
    """
    first = max(begin.seq, reader.anchor.seq)
    share = (end.seq - first) / max(1, reader.head.seq - reader.anchor.seq)
    return int(share * archive_file.size_of(reader.db) * _MORE) + _LEAST


def _event(reader: Reader, part: Part, file: str) -> chain.Columns:
    """The event that says what went. Raises JournalError."""
    fleet, row = fleet_at(reader, reader.head.seq), reader.row(reader.head.seq)
    assert row is not None  # the last events stay
    seq, at = row[0] + 1, max(row[1] + 1, time.time_ns())
    body = JournalArchived(
        first=part.begin.seq + 1,
        through=part.end.seq,
        hash=part.end.hash.hex(),
        fleet=chain.digest(part.fleet),
        file=os.path.basename(file),
        uid=os.getuid(),
        pid=os.getpid(),
    )
    actions = fold_one(fleet, Event(seq, at, ARCHIVED, None, None, None, body))
    if actions:
        raise JournalError(
            f"{reader.path}: vassals wait for a daemon ({len(actions)} orders are due); start it"
            " and stop it, then archive"
        )
    return seq, at, ARCHIVED, None, None, None, chain.text(body), recorded([])


def finish(part: Part, path: str, file: str, there: bool, progress: Progress) -> Identity:
    """Verify an archive of the journal at ``path``, and have it on disk under its name.

    The answer is its identity. ``there``: a former run has written it, and was killed then. Raises
    JournalError.
    """
    place = file if there else file + UNFINISHED
    try:
        before = identity(path, place)
        check(part, place, progress)
    except JournalError:
        archive_file.discard(file)
        raise
    if there:
        archive_file.settle(file)
    else:
        archive_file.publish(file)
    archive_file.discard(file)  # the other name, where a run was killed between the two
    verified = identity(path, file)
    if not verified.has_same_content(before):
        raise changed(file)
    return verified


def check_place(path: str, file: str) -> None:
    """Raise JournalError where root must not write a file for the journal at ``path``.

    SQLite opens it by its name, and another user could put a symlink there.
    """
    try:
        os.close(trusted_folder.opened(os.path.abspath(file), owner=os.stat(path).st_uid))
    except FileNotFoundError:
        return  # it is told when the file is made
    except OSError as error:
        raise JournalError(f"{file}: is not written: {error.strerror}") from None


def identity(path: str, file: str) -> Identity:
    """By what an archive is known again. Raises JournalError.

    No other user than the journal's may write to it, not even by a descriptor.
    """
    try:
        status, journal = os.stat(file), os.stat(path)
    except OSError as error:
        raise JournalError(f"{file}: cannot be looked at: {error.strerror}") from None
    if status.st_uid not in (0, os.geteuid(), journal.st_uid) or status.st_mode & _OTHERS_WRITE:
        raise JournalError(f"{file}: other users can write to it, so no event leaves the journal")
    return Identity.of(status)


def changed(file: str) -> JournalError:
    """The error where an archive is not the one that was verified."""
    return JournalError(
        f"{file}: another program changed or replaced it after it was verified, so no more events"
        " leave the journal; name a file in a directory of your own"
    )


def rows_of(part: Part, file: str) -> list[tuple[int, str]]:
    """The fleets in an archive by which a daemon cuts its journal: events, and digests of the rows.

    One that is not what these events make is left out. Raises JournalError.
    """
    wanted = {each[0]: archive_file.row_digest(each) for each in part.rows}
    with open_journal(file) as archived, archived.reading():
        found = archived.db.execute(_FLEETS)
        there = {row[0]: archive_file.row_digest(row) for row in found}
    if there.get(part.end.seq) != wanted[part.end.seq]:
        raise changed(file)
    return [(seq, digest) for seq, digest in wanted.items() if there.get(seq) == digest]


def check(part: Part, file: str, progress: Progress) -> None:
    """Raise JournalError unless an archive holds the part, and verifies."""
    with open_journal(file) as archived:
        if (archived.anchor, archived.head) != (part.begin, part.end):
            raise JournalError(f"{file}: does not end with the events that it should have")
    verdict = verify(file, progress)
    if verdict.exit_code:
        found = [finding.what for finding in verdict.audit.findings]
        what = found[0] if found else "another fold than the recorded one"
        raise JournalError(
            f"{file}: the archive would not verify: {what}; nothing was moved. See what 'verify'"
            " says of the journal"
        )


def record(path: str, done: Archived | Cut) -> dict[str, object]:
    """The answer for programs."""
    if isinstance(done, Cut):
        return {"journal": path, "archive": None, "reason": reason(done)}
    return {
        "journal": path,
        "archive": done.file,
        "first": done.first,
        "last": done.last,
        "event": done.event,
        "bytes_before": done.bytes_before,
        "bytes_after": done.bytes_after,
    }


def line(path: str, done: Archived | Cut) -> str:
    """The same for people."""
    if isinstance(done, Cut):
        return f"{shown(path)}: nothing to archive: {reason(done)}"
    told = (
        f"{shown(done.file)}: events {done.first} to {done.last}, verified; {shown(path)} goes on"
        f" from event {done.last + 1}, and is {size_text(done.bytes_after)} (it was"
        f" {size_text(done.bytes_before)})"
    )
    if not done.compact:
        told += "; its disk has no room to make it smaller, so later events use the room in it"
    return told


def reason(cut: Cut) -> str:
    """Why nothing goes to an archive."""
    return cut.why or "no event is from before that time"

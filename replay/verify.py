"""``verify``: is the record what was written, and would today's code decide the same?

Two different questions with two different answers. *Damaged* is about the record: a row, a
config text, the file is not what it was. *Diverged* is about the code: the record is whole, but
folding it gives other actions than those recorded, or a fleet other than a snapshot. Events
behind damage are not folded, because nothing follows from a wrong event.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

import msgspec

from ..daemon.core.actions import recorded
from ..daemon.core.deploys import Deploys
from ..daemon.core.fleet import Fleet, configs_of, from_json, to_json
from ..journal import lost_log
from ..journal.damage import Audit, packed
from ..journal.errors import (
    SEE_VERIFY,
    VERIFY_SAYS_MORE,
    Damaged,
    JournalError,
    NewerFormat,
    SchemaDamaged,
)
from ..journal.events import Announced
from ..journal.files import Files
from ..journal.joined import files_of
from ..journal.reading import Reader, Row, Stored
from ..monitors.names import shown
from . import beginnings, open_end, segments, stored_outcomes
from .collecting import uncollected
from .divergence import Divergence, Divergences, of_fleets
from .event_text import decode_actions
from .rebuild import FoldFailed, fold_one
from .since_verified import Mark, Since
from .states import Comparison
from .stored_outcomes import StoredOutcomes
from .witnessed import Witness, compare

_LOOKS: Final = 5  # again, at files that a daemon begins to write to


class Verdict:
    """The findings of ``verify``."""

    def __init__(self) -> None:
        self.audit = Audit()
        self.head = (0, b"")
        self.events = self.snapshots = self.configs = 0
        self.divergences = Divergences()
        self.strange: dict[int, list[str]] = {}  # snapshots that differ from the full fold, how
        self.newer: str | None = None  # why nothing behind some event can be folded
        self.states = Comparison()
        self.open_end: str | None = None  # the journal may go on elsewhere
        self.mark: Mark | None = None  # up to it, nothing was folded
        self.next_mark: Mark | None = None
        self.notes = self.audit.notes

    def take(self, clean: segments.Clean, head: int) -> None:
        """There is nothing to be told but numbers."""
        self.audit.events, self.audit.intact_to = clean.events, head
        self.events, self.snapshots, self.configs = clean.events, clean.snapshots, clean.configs
        self.states.count, self.states.first = clean.checkpoints, clean.first
        self.next_mark = clean.mark

    @property
    def first(self) -> Divergence | None:
        """The first event that does not order what was recorded."""
        return self.divergences.first

    @property
    def diverged(self) -> int:
        """How many events do not."""
        return self.divergences.count

    @property
    def exit_code(self) -> int:
        """0 the same, 1 diverged, 3 damaged, or decided by newer rules."""
        if self.audit.findings:
            return 3
        if self.diverged or self.strange or self.states.parted:
            return 1
        return 0 if self.newer is None else 3


def verify(
    path: str,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    witness: Witness | None = None,
    since: Since | None = None,
    archives: Sequence[str] = (),
) -> Verdict:
    """Check everything. ``progress`` is called with the event reached and the last one.

    With ``since``, decisions that were compared before are not again. ``archives`` are checked as
    one with the journal.

    Raises JournalError where the file is no journal, cannot be opened, or is of a newer format.
    """
    files = files_of(path, archives)
    logs = lost_log.beside(files.real)
    verdict = _verify(files, progress, witness, since)
    looks_left = _LOOKS
    while verdict.exit_code == 3 and files.disturbed() and looks_left:
        # A daemon began to write to what we took for a still file: look again, with care.
        looks_left -= 1
        files = files_of(path, archives)
        verdict = _verify(files, progress, witness, since)
    if logs:
        verdict.notes.append(lost_log.advice(logs))
    if archives:
        verdict.notes.append(f"read as one with {', '.join(map(shown, archives))}")
    return verdict


def _verify(
    files: Files,
    progress: Callable[[int, int], None],
    witness: Witness | None,
    since: Since | None,
) -> Verdict:
    """Check everything, on all cores, or in order where anything may be to be told."""
    verdict = Verdict()
    audit = verdict.audit
    audit.check_log(files)
    with files.connection() as connection:
        reader = _reader(files, connection, audit)
        audit.check_schema(connection)
        if reader is None:
            return verdict
        verdict.open_end = open_end.note(reader)
        told = partial(_tell, progress, reader.head.seq)
        mark = _mark(reader, since, verdict)
        clean = None if audit.findings else segments.verified(files, reader, told, mark)
        folder = None
        if clean is not None:
            verdict.take(clean, reader.head.seq)
            verdict.mark = mark
        else:
            folder = _Folder(verdict, reader)
            audit.check_structure(reader)
            folder.run(audit.intact_events(reader, told))
            folder.compare_deploys()
            _find_outside(reader, audit)
        if witness is not None:
            compare(witness, reader, audit)
        if since is not None:
            since.compare(reader, audit)
        beginnings.compare(reader, audit)
        verdict.notes += stored_outcomes.notes(reader)
        verdict.notes += verdict.states.notes(reader.anchor.seq + 1)
        if folder is not None:
            verdict.configs = audit.check_configs(
                reader, folder.referred, all_known=reader.anchor.seq == 0 and not audit.findings
            )
        verdict.head = (reader.head.seq, reader.head.hash)
        verdict.events = audit.events
    return verdict


def _find_outside(reader: Reader, audit: Audit) -> None:
    """Find rows that are outside of the record."""
    try:
        with reader.reading():
            for what, seq in reader.outside():
                audit.find(what, seq)
    except JournalError as error:
        audit.find(_bare(reader.files, error))


def _mark(reader: Reader, since: Since | None, verdict: Verdict) -> Mark | None:
    """The mark up to which nothing is to be folded."""
    if since is None or verdict.audit.findings:
        return None
    try:
        return since.usable(reader, reader.has_outcomes(), verdict.notes)
    except Exception:  # whatever it is, the fold in order tells it
        return None


def _tell(progress: Callable[[int, int], None], last: int, done: int) -> None:
    progress(done, last)


def _reader(files: Files, connection: sqlite3.Connection, audit: Audit) -> Reader | None:
    """A reader, if need be one that does without the chain's ends; None if nothing helps."""
    for salvage in (False, True):
        try:
            return Reader(files, connection, salvage)
        except JournalError as error:
            if not audit.findings and not isinstance(error, Damaged):
                raise
            if not salvage and not isinstance(error, SchemaDamaged):
                audit.find(_bare(files, error))
            if connection.in_transaction:
                connection.execute("ROLLBACK")
    return None


def _bare(files: Files, error: JournalError) -> str:
    """An error's text without what is said anyway."""
    text = str(error).removeprefix(f"{files.path}: ")
    return text.removesuffix(SEE_VERIFY).removesuffix(VERIFY_SAYS_MORE)


class _Folder:
    """Folds what is intact, and compares."""

    def __init__(self, verdict: Verdict, reader: Reader) -> None:
        self.verdict = verdict
        self.reader = reader
        self.referred: set[bytes] = set()  # digests of configs
        self.fleet: Fleet | None = Fleet()  # None when it cannot go on
        self.differed = False  # it differed from the record since the last snapshot
        self.follower = Deploys()
        self.outcomes = StoredOutcomes(reader)
        self._begin()

    def _begin(self) -> None:
        try:
            first = self.reader.anchor_snapshot()
            if first is not None:
                self.fleet = from_json(first.fleet)
        except Damaged as error:
            self.verdict.audit.find(_bare(self.reader.files, error), error.seq)
            self.fleet = None
        except msgspec.DecodeError as error:
            self.verdict.notes.append(
                f"not folded: the snapshot it begins with does not fit: {error}"
            )
            self.fleet = None
        if self.fleet is not None:
            self.referred.update(map(packed, configs_of(self.fleet)))

    def run(self, rows: Iterator[Row]) -> None:
        """Fold these rows, which are intact, and compare."""
        audit = self.verdict.audit
        snapshots = audit.snapshots(self.reader)
        snapshot = next(snapshots, None)
        with uncollected():
            for row in rows:
                if self.fleet is not None:
                    self._fold(self.fleet, row)
                while snapshot is not None and snapshot.seq <= row[0]:
                    self._compare(snapshot)
                    snapshot = next(snapshots, None)
        self._rest(snapshot, snapshots)

    def _rest(self, snapshot: Stored | None, snapshots: Iterator[Stored]) -> None:
        while snapshot is not None:  # behind damage; only their checksums are looked at
            self.verdict.snapshots += 1
            snapshot = next(snapshots, None)

    def _fold(self, fleet: Fleet, row: Row) -> None:
        event, before = None, None
        try:
            event = self.reader.decode(row)
            vassal = fleet.vassals.get(row[4] or "")
            before = None if vassal is None else vassal.phase
            orders = decode_actions(row[7])
            states = self.verdict.states
            self.differed |= states.before(fleet, event)
            actions = self.follower.take(fleet, event, orders, fold_one)
            states.after(fleet, event, actions)
            computed = recorded(actions, failed=event.failed)
        except NewerFormat as error:
            self.verdict.newer = _bare(self.reader.files, error)
            self.fleet = None
        except FoldFailed as error:
            self.verdict.divergences.differ(row, f"none: {error}", fleet, before, False)
            self.fleet = None
            self.verdict.notes.append(f"nothing behind event {row[0]} was folded")
        except Damaged as error:
            # The chain says that it was written so; what wrote it was no emperord.
            self.verdict.audit.find(_bare(self.reader.files, error), row[0])
            self.fleet = None
        else:
            if computed != row[7]:
                self.verdict.divergences.differ(row, computed, fleet, before)
                self.differed = True
        self.verdict.divergences.note(row, event)
        self.outcomes.look(self.follower)
        body = None if event is None else event.body
        if isinstance(body, Announced) and body.spec.config and not body.over_budget:
            self.referred.add(packed(body.spec.config))

    def _compare(self, snapshot: Stored) -> None:
        self.verdict.snapshots += 1
        fleet = self.fleet
        if fleet is None or fleet.seq != snapshot.seq or snapshot.fleet is None:
            return
        try:
            # Decoded and encoded again: an older version may have left out what is default.
            stored = from_json(snapshot.fleet)
            same = to_json(stored) == to_json(fleet)
        except msgspec.DecodeError as error:
            self.verdict.notes.append(f"snapshot {snapshot.seq} is not of this version: {error}")
            return
        if not same:
            self.verdict.strange[snapshot.seq] = of_fleets(stored, fleet)
        if self.differed:
            self._resume(snapshot.seq, stored)

    def _resume(self, seq: int, fleet: Fleet) -> None:
        """Go on with the recorded fleet: of what differed before, nothing has an effect then."""
        self.fleet, self.differed = fleet, False
        self.follower = Deploys()
        self.verdict.states.replaced()
        self.verdict.divergences.resume(seq)

    def compare_deploys(self) -> None:
        """Compare the table ``deploy`` with what the full fold knows."""
        fleet = self.fleet
        if fleet is None or fleet.seq != self.reader.head.seq or self.verdict.diverged:
            return
        if self.verdict.divergences.resumed is not None:
            return  # the fold left out what was between
        audit = self.verdict.audit
        self.outcomes.end(self.follower, audit)
        if self.outcomes.error is not None:
            audit.find(_bare(self.reader.files, self.outcomes.error))


def lines(path: str, verdict: Verdict) -> Iterator[str]:
    """The verdict for people."""
    audit = verdict.audit
    if audit.findings:
        yield f"{path}: damaged"
        for finding in audit.findings:
            yield f"  {finding.what}"
        if audit.count > len(audit.findings):
            yield f"  and {audit.count - len(audit.findings)} more like these"
        yield f"  what can be saved: {audit.saved()}"
    if verdict.newer is not None:
        yield f"{path}: newer rules: {verdict.newer}"
        seq, hash_ = verdict.head
        yield (
            f"  not diverged: events before it are the same, and nothing behind it was folded; the"
            f" chain is whole up to {seq}, head {hash_.hex()}"
        )
    yield from _divergence(path, verdict)
    if verdict.exit_code == 0:
        seq, hash_ = verdict.head
        count = verdict.states.count
        checkpoints = f", {count} checkpoints" if count else ""
        mark = verdict.mark
        yield (
            f"{path}: {'verified' if mark is None else 'chain verified'}: {verdict.events} events"
            f" up to {seq}, {verdict.snapshots} snapshots, {verdict.configs} configs{checkpoints};"
            f" head {hash_.hex()}"
        )
        if mark is not None:
            yield (
                f"  decisions verified from event {mark.seq + 1} on; those up to event {mark.seq}"
                f" were compared {mark.when}, and are not folded again"
            )
    for note in verdict.notes:
        yield f"  note: {note}"


def _divergence(path: str, verdict: Verdict) -> Iterator[str]:
    yield from verdict.divergences.lines(path)
    if verdict.strange:
        some = ", ".join(map(str, list(verdict.strange)[:10]))
        more = ", ..." if len(verdict.strange) > 10 else ""
        yield f"{path}: diverged: snapshots that differ from a full fold: {some}{more}"
        seq, fields = next(iter(verdict.strange.items()))
        for field in fields:
            yield f"  snapshot {seq}: {field}"
    for line in verdict.states.lines():
        yield line if line.startswith(" ") else f"{path}: diverged: {line}"

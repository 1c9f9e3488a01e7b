"""Opening the journal at a start: it must be the one that the vassals run for, and no copy.

| the keeper, or the runtime directory, knows | the journal | the daemon |
|---|---|---|
| nothing | has no events | begins |
| nothing | is not there, and ``--restore`` is given | refuses to start |
| nothing | is not there, and another emperor runs on this path | refuses to start |
| nothing | its identity is not locked | locks it and begins |
| nothing | another emperor has its identity | refuses to start; with ``--restore``, renames it |
| a last event | holds that event | goes on |
| a last event, by signs (``missing_events.py``) | lacks that event | is estranged, too |
| a last event | does not, or cannot be read or opened | is estranged until an operator decides |
| anything | lacks the last event of its witness, or has another one | is estranged as well |
"""

import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import trio

from ...journal import archive_file, chain, lost_log
from ...journal.errors import (
    Damaged,
    JournalError,
    JournalLocked,
    JournalMissing,
    JournalPaused,
    NewerFormat,
)
from ...journal.events import FORKED, Event, JournalForked
from ...journal.reserve import Reserve, Reserved
from ...journal.store import Head, Journal
from ..control import server as control
from ..control import takeover
from ..core import attempts
from ..core.actions import recorded
from ..core.draft import Draft
from ..core.fleet import Fleet
from ..core.fold import fold
from ..host import procfs
from ..keeper.link import KeeperLink, finish
from ..keeper.protocol import RENEW
from ..loop.clock import Clock
from ..loop.systemd import Notifier
from . import in_use, missing_events
from .identity import Holder, estrangement, short
from .witnessed import difference

if TYPE_CHECKING:
    from ..witness.targets import Target

log = logging.getLogger("emperor")

_CANNOT_GO_ON = 3
_RETRY = 1.0  # seconds until a journal that cannot be written is tried again


class Opened(NamedTuple):
    """A journal to go on with, what it says, and the control socket."""

    journal: Journal
    fleet: Fleet
    holder: Holder
    listener: socket.socket


class Opening:
    """Opens the journal at ``path``; ``rebuild`` folds it. ``fork`` is what ``--restore`` asks."""

    def __init__(
        self,
        path: str,
        control_path: str,
        keeper: KeeperLink,
        notifier: Notifier,
        rebuild: Callable[[Journal], Fleet],
        *,
        fork: bool = False,
        max_clock_step: int | None = None,
        reserve: int = 0,
        witness: "Target | None" = None,
        control_group: int | None = None,
    ) -> None:
        self._given = os.path.abspath(path)
        self._path = os.path.realpath(path)
        self._control_path = control_path
        self._keeper = keeper
        self._notifier = notifier
        self._rebuild = rebuild
        self._fork = fork
        self._max_clock_step = max_clock_step
        self._reserve = reserve
        self._witness = witness
        self._control_group = control_group
        self.adopted = False  # an operator decided that this is the journal
        self._holder = Holder(keeper, path)
        self._journal: Journal | None = None
        self._error: JournalError | None = None

    def run(self) -> Opened:
        """Return when there is a journal to go on with; the program may end instead.

        Raises JournalError, OSError.
        """
        try:
            return self._run()
        except BaseException:
            if self._journal is not None:
                self._journal.leave()
            raise

    def _run(self) -> Opened:
        self._keeper.receive_all()
        _refuse_archive(self._given, self._holder)
        fleet = self._read()
        head = None if self._journal is None else self._journal.head
        known = self._holder.inherit() or self._holder.recall(head.identity if head else None)
        if (
            known is None
            and fleet is None
            and takeover.from_estranged(self._control_path, self._keeper)
        ):
            known = self._holder.inherit()
        drafts: list[Draft] = []
        if known is None:
            if fleet is None:
                assert self._error is not None
                raise self._error
            lacks = missing_events.lacking(self._journal, fleet, self._holder)
            drafts = self._first_start(fleet)
            known = None if drafts else lacks  # a copy that goes its own way lacks nothing
        else:
            self._holder.take(known.identity)
            if self._fork and _can_fork(self._journal, self._path):
                log.warning("--restore does nothing, because vassals of this journal run")
        listener = control.inherit(self._control_path, self._keeper, self._control_group)
        reason = None if known is None else self._reason(known)
        if reason is None and not drafts and self._journal is not None:
            known, reason = difference(self._witness, self._journal) or (known, None)
        if reason is not None and known is not None:
            self._holder.take(known.identity)
            self._holder.tell(known)  # a new keeper does not know it yet
            drafts = self._wait(known, fleet, reason, listener)
            assert self._journal is not None
            fleet = self._rebuild(self._journal)
        assert self._journal is not None
        assert fleet is not None
        self._journal.when_durable = self._holder.tell
        head = self._journal.head
        if head is not None and not drafts:  # else the keeper learns of it with the record
            self._holder.tell(head)
        for draft in drafts:
            self._record(self._journal, fleet, draft)
        return Opened(self._journal, fleet, self._holder, listener)

    def _record(self, journal: Journal, fleet: Fleet, draft: Draft) -> None:
        """Append one event before the daemon's first turn, when there is room for it."""
        booted = fleet.booted if fleet.boot == procfs.boot_id() else 0
        last = max(journal.last_at, fleet.at)
        at = Clock(last, booted=booted, most=self._max_clock_step).stamp()
        event = Event(fleet.seq + 1, at, draft.kind, None, None, None, draft.body)
        actions, body = recorded(fold(fleet, event)), chain.text(event.body)
        row = (event.seq, at, event.kind, None, None, None, body, actions)
        append = Reserved(journal, Reserve(journal.path, self._reserve)).append
        self._write(lambda: append([row]))

    def _write(self, step: Callable[[], None]) -> None:
        """Try to write to the journal until that can be done: the vassals run on meanwhile."""
        said = False
        while True:
            try:
                step()
            except JournalPaused as pause:
                if not said:
                    log.error("paused: %s; that decision waits to be recorded", pause)
                    self._notifier.tell(f"STATUS=paused: {pause}")
                said = True
                time.sleep(_RETRY)
            else:
                return

    def _read(self) -> Fleet | None:
        """Open the journal and fold it; None if that cannot be done now.

        Raises JournalLocked, JournalPaused: those pass.
        """
        try:
            self._journal = self._open()
            return self._rebuild(self._journal)
        except (JournalLocked, JournalPaused):
            raise
        except JournalError as error:
            self._error = error
            if self._journal is not None:
                self._journal.leave()
                self._journal = None
            return None

    def _open(self) -> Journal:
        return takeover.open_journal(
            self._given, self._control_path, self._keeper, self._open_there
        )

    def _open_there(self, given: str) -> Journal:
        """Open the journal; none is made where one should be.

        Raises JournalMissing, JournalLocked.
        """
        folder = os.path.dirname(self._path)
        unmounted = os.path.islink(given) and not os.path.isdir(folder)
        if lost_log.is_missing(self._path) and not unmounted:
            known = self._holder.inherit()
            if known is None:
                in_use.check_path(self._path, self._holder.directory)
                known = self._holder.recall(None)
            if known is not None:
                raise _missing(self._path, known)
            if self._fork:
                raise _no_copy(self._path)
        return Journal.open(given)

    def _reason(self, known: Head) -> str | None:
        if self._journal is None:
            assert self._error is not None
            return reason_of(self._error)
        return estrangement(self._journal, known)

    def _first_start(self, fleet: Fleet) -> list[Draft]:
        """Begin on a journal of which no keeper knew. Raises IdentityInUse."""
        assert self._journal is not None
        head = self._journal.head
        if head is None:
            return []
        if self._fork and _can_fork(self._journal, self._path):
            status = os.stat(self._path)
            body = JournalForked(
                identity=head.identity.hex(),
                path=self._path,
                device=status.st_dev,
                inode=status.st_ino,
            )
            return [Draft(FORKED, body)]
        started = {
            vassal.pid: vassal.start_time
            for each in fleet.vassals.values()
            for vassal in attempts.up(each)
            if vassal.pid is not None and vassal.start_time is not None
        }
        policy = fleet.policy
        # Then each vassal may do what the daemon may, so none gains by imitating an emperor.
        any_user = not policy.tyrant and policy.user is None
        self._holder.take(head.identity, any_user=any_user)
        in_use.check_processes(
            self._journal,
            started if fleet.boot == procfs.boot_id() else {},
            marks=None if policy.tyrant else short(head.identity),
            any_user=any_user,
        )
        return []

    def _wait(
        self, known: Head, fleet: Fleet | None, reason: str, listener: socket.socket
    ) -> list[Draft]:
        """Be estranged until it is decided how to go on; the events that are to say so."""
        from .estranged import Estranged  # few starts need it

        looked: str | None = reason
        while looked is not None:
            passing = type(self._error) is JournalError or isinstance(
                self._error, JournalMissing | JournalLocked | JournalPaused
            )
            life = Estranged(
                self._path,
                self._journal,
                fleet,
                known,
                looked,
                self._keeper,
                self._holder,
                passing=passing,  # neither damaged nor of a newer version
                missing=isinstance(self._error, JournalMissing),
                group=self._control_group,
            )
            decision = trio.run(life.run, listener, self._notifier)
            self._journal = life.journal
            if decision.do == "renew" and self._keeper.alive:
                _leave(listener, RENEW, self._keeper)
            if decision.do == "give way":
                _leave(listener, 0)
            if decision.do == "leave":
                _leave(listener, _CANNOT_GO_ON)
            if decision.do in ("look", "renew"):
                fleet = self._look()
                looked = self._reason(known)
                continue
            by = "-" if decision.by is None else decision.by.uid
            self.adopted = True
            log.warning("no longer estranged: uid %s asked to %s", by, decision.do)
            if decision.do == "adopt":
                return life.adopted(decision, self._write)
            self._journal, draft = life.restored(decision, self._open)
            return [draft]
        log.warning("no longer estranged: the journal holds the last event that was durable")
        return []

    def _look(self) -> Fleet | None:
        """Open the journal anew, where no keeper could start the next daemon for that."""
        if self._journal is not None:
            self._journal.leave()
            self._journal = None
        self._error = None
        try:
            return self._read()
        except (JournalLocked, JournalPaused) as error:
            self._error = error
            return None


def _refuse_archive(path: str, holder: Holder) -> None:
    """Raise JournalError where an archive is given. Nothing is written beside it.

    Where vassals run for a journal at this path, an operator decides.
    """
    try:
        archive_file.refuse(path)
    except JournalError:
        if holder.inherit() is None and holder.recall(None) is None:
            raise


def _leave(listener: socket.socket, code: int, renews: KeeperLink | None = None) -> NoReturn:
    """End this process. The keeper, if there is one, has the control socket as well.

    The keeper that ``renews`` it is told all before.
    """
    if renews is not None:
        finish(renews)
    listener.close()
    sys.exit(code)


def _missing(path: str, known: Head) -> JournalMissing:
    return JournalMissing(
        f"{path} is not there, or is empty, but vassals run on for a journal with {known.seq}"
        " events"
    )


def _no_copy(path: str) -> JournalMissing:
    return JournalMissing(
        f"{path} is not there, or is empty, so --restore finds no copy to go on with; put the copy"
        " there, or leave --restore out to start a new journal"
    )


def _can_fork(journal: Journal | None, path: str) -> bool:
    """Whether this copy does not go its own way yet: so ``--restore`` may stay in a unit."""
    event = None if journal is None else journal.identity_event()
    if event is None or not isinstance(event.body, JournalForked):
        return journal is not None
    status = os.stat(path)
    copy = (event.body.path, event.body.device, event.body.inode)
    return copy != (path, status.st_dev, status.st_ino)


def reason_of(error: JournalError) -> str:
    """An error without its advice, which is for those who give a --journal."""
    return str(error) if isinstance(error, Damaged | NewerFormat) else str(error).partition("; ")[0]

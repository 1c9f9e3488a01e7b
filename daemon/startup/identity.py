"""The identity of a journal: which one the vassals were started for, and that it is used once.

The identity is the hash of the journal's first event, so a copy has that of its original. The
daemon locks a file of that name in the runtime directory and entrusts the open file to its keeper.
A BSD lock belongs to the open file. So the keeper holds it while there is no daemon, and over its
own renewal. The keeper of a successor that takes over holds it next. A start looks for the open
file in all processes as well, because a copy may be given another runtime directory.

Beside the lock the keeper knows the last event that is durable. The daemon tells it after each
commit and before it acts, and writes the same into the locked file. A daemon whose journal does not
hold that event is *estranged* (see ``estranged.py``): its journal was lost, replaced or cut.

The runtime directory is ``$RUNTIME_DIRECTORY`` (systemd's, the first that it names), else
/run/emperord for root, else ``$XDG_RUNTIME_DIR/emperord``, else ``emperord/run`` in the user's
state directory. Where no file can be made there, the daemon says so and goes on without the lock.
"""

import contextlib
import fcntl
import json
import logging
import os
import time
from collections.abc import Mapping
from typing import Any, Final

from ...journal import lost_log
from ...journal.chain import GENESIS
from ...journal.places import runtime_directory
from ...journal.rows import IN_ARCHIVE
from ...journal.store import Head, Journal
from ..host import procfs
from ..keeper.link import KeeperLink
from ..keeper.protocol import JOURNAL
from . import in_use
from .in_use import IdentityInUse

log = logging.getLogger("emperor")

UNKNOWN: Final = GENESIS  # the hash of an event that is known by its number and time only
_SHORT: Final = 16  # hex digits that tell one identity from another


def short(identity: bytes) -> str:
    """An identity as it stands in names and environments."""
    return identity.hex()[:_SHORT]


class Holder:
    """Holds the lock of a journal's identity, and tells the keeper how far the journal is."""

    def __init__(self, keeper: KeeperLink, path: str, directory: str | None = None) -> None:
        self._keeper = keeper
        self._path = os.path.realpath(path)
        self.directory = runtime_directory() if directory is None else directory
        self._identity: bytes | None = None
        self._lock: int | None = None
        self._entrusted = False

    @property
    def locked(self) -> tuple[int, ...]:
        """The descriptor of the lock, if there is one."""
        return () if self._lock is None else (self._lock,)

    def inherit(self) -> Head | None:
        """The last event that a former daemon told the keeper; its lock is held on.

        None where the keeper knows of none.
        """
        kept = self._keeper.take(JOURNAL)
        if kept is None:
            return None
        self._lock, self._entrusted = kept.descriptors[0], True
        head = _head(kept.about)
        self._identity = None if head is None else head.identity
        return head

    def recall(self, identity: bytes | None) -> Head | None:
        """The last event that a file says of this path or identity, if vassals of it still run.

        That is for a new keeper: the one before has died with its daemon.
        """
        for name in in_use.names(self.directory):
            about = in_use.read(os.path.join(self.directory, name))
            head = _head(about)
            if head is None:
                continue
            if about.get("journal") != self._path and head.identity != identity:
                continue
            if in_use.stays_locked(os.path.join(self.directory, name)):
                continue  # another emperor has it, so what is here is a copy
            if any(procfs.foreign(pid) is None for pid in procfs.of_journal(short(head.identity))):
                return head
        return None

    def told(self, identity: bytes) -> Head | None:
        """The last event that a file says of the journal with this path and identity."""
        about = in_use.read(_file_of(self.directory, identity))
        head = _head(about)
        ours = head is not None and head.identity == identity
        return head if ours and about.get("journal") == self._path else None

    def take(self, identity: bytes, *, any_user: bool = False) -> None:
        """Lock this identity instead of the one before. Raises IdentityInUse.

        ``any_user``: an emperor of any user may have it, as there are no tenants who could imitate
        one.
        """
        if identity == self._identity:
            return
        try:
            lock = _locked(self.directory, identity, self._path)
        except OSError as error:
            log.warning(
                "%s: no lock can be made there (%s); it is kept in memory, so nothing knows how far"
                " the journal was when daemon and keeper have died; set RUNTIME_DIRECTORY to a"
                " directory that can be written",
                self.directory,
                error.strerror,
            )
            lock = os.memfd_create(f"{short(identity)}.lock", os.MFD_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            in_use.check(short(identity), self._path, lock, any_user=any_user)
        except IdentityInUse:
            with contextlib.suppress(OSError):  # there is none
                os.unlink(_file_of(self.directory, identity))
            os.close(lock)
            raise
        before, self._lock, self._identity = self._lock, lock, identity
        self._entrusted = False
        if before is not None:
            os.close(before)

    def tell(self, head: Head) -> None:
        """Let the keeper know the last event that is durable. Called in the journal's thread."""
        if head.identity != self._identity:
            # A new journal, or a copy that has gone its own way: no other process can have it.
            with contextlib.suppress(IdentityInUse):
                self.take(head.identity)
        assert self._lock is not None
        about = {
            "identity": head.identity.hex(),
            "seq": head.seq,
            "hash": head.hash.hex(),
            "at": head.at,
        }
        if self._entrusted:
            self._keeper.tell_about(JOURNAL, about)
        else:
            self._keeper.keep(JOURNAL, [self._lock], about)
            self._entrusted = True
        pid = os.getppid() if self._keeper.alive else os.getpid()
        said = json.dumps({"journal": self._path, "pid": pid, **about}).encode()
        with contextlib.suppress(OSError):  # a full disk: the keeper knows it
            os.pwrite(self._lock, said, 0)
            os.ftruncate(self._lock, len(said))

    def forget(self) -> None:
        """The daemon has stopped all that it started: its lock's file goes."""
        if self._identity is not None:
            with contextlib.suppress(OSError):
                os.unlink(_file_of(self.directory, self._identity))


def estrangement(journal: Journal, known: Head) -> str | None:
    """Why this journal cannot be the one that the keeper knows; None if it can.

    A daemon may have died before it told its last events, so the journal may be longer.
    """
    head = journal.head
    if head is None:
        logs = lost_log.beside(journal.path)
        lost = f"; the lost one's log is {logs[-1]}" if logs else ""
        return (
            f"{journal.path} has no events, but vassals run on for a journal with {known.seq}{lost}"
        )
    if head.identity != known.identity:
        return (
            f"{journal.path} is another journal (identity {short(head.identity)}) than the one that"
            f" vassals run on for ({short(known.identity)})"
        )
    if head.seq < known.seq:
        return f"{journal.path} ends with event {head.seq}, but event {known.seq} was durable"
    if known.hash == UNKNOWN:
        other = journal.time_of(known.seq) not in (known.at, 0, IN_ARCHIVE)
    else:
        other = known.seq >= journal.begin and journal.hash_of(known.seq) != known.hash
    if other:
        return f"{journal.path} has another event {known.seq} than the one that was durable"
    return None


def _locked(directory: str, identity: bytes, path: str) -> int:
    """The locked file of an identity. Raises IdentityInUse, OSError."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    file = _file_of(directory, identity)
    until = time.monotonic() + in_use.LAST_CHILD
    while True:
        lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(file).st_ino == os.fstat(lock).st_ino:
                return lock
        except FileNotFoundError:
            pass  # its holder has just removed it
        except BlockingIOError:
            about = in_use.read(file)
            pid = about.get("pid")
            # A child of a dead daemon, on its way to exec, holds it for a moment.
            if procfs.start_time(pid if isinstance(pid, int) else 0) is not None:
                os.close(lock)
                raise IdentityInUse(path, f"{about.get('journal')}, emperor {pid}") from None
            if time.monotonic() > until:
                os.close(lock)
                raise IdentityInUse(path, f"{file} is locked") from None
        os.close(lock)
        time.sleep(0.01)


def _file_of(directory: str, identity: bytes) -> str:
    return os.path.join(directory, f"{short(identity)}.lock")


def _head(about: Mapping[str, Any]) -> Head | None:
    try:
        identity, hash_ = bytes.fromhex(about["identity"]), bytes.fromhex(about["hash"])
        return Head(identity, int(about["seq"]), hash_, int(about["at"]))
    except (KeyError, TypeError, ValueError):
        return None

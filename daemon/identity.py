"""The identity of a journal: which one the vassals were started for, and that it is used once.

The identity is the hash of the journal's first event, so a copy has that of its original. The
daemon locks a file of that name in the runtime directory and entrusts the open file to its keeper.
A BSD lock belongs to the open file. So the keeper holds it while there is no daemon, and over its
own renewal; the keeper of a newcomer that takes over holds it next. A start looks for the open file
in all processes as well, because a copy may be given another runtime directory.

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
import stat
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..journal.errors import JournalLocked
from ..journal.store import Head, Journal
from . import process
from .keeper_link import KeeperLink
from .keeping import JOURNAL

log = logging.getLogger("emperor")

_LAST_CHILD: Final = 5.0  # seconds that a dead daemon's last child may take to its exec
_SHORT: Final = 16  # hex digits that tell one identity from another
_LONGEST: Final = 8192  # bytes of what a locked file says


class IdentityInUse(JournalLocked):
    """Another emperor runs on a journal with this identity: this one is a copy of it."""


def short(identity: bytes) -> str:
    """An identity as it stands in names and environments."""
    return identity.hex()[:_SHORT]


def runtime_directory(environ: Mapping[str, str] = os.environ) -> str:
    """Where the locks are."""
    given = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if os.path.isabs(given):
        return given
    if os.geteuid() == 0:
        return "/run/emperord"
    session = environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(session):
        return os.path.join(session, "emperord")
    state = environ.get("XDG_STATE_HOME", "")
    home = state if os.path.isabs(state) else os.path.expanduser("~/.local/state")
    return os.path.join(home, "emperord", "run")


class Holder:
    """Holds the lock of a journal's identity, and tells the keeper how far the journal is."""

    def __init__(self, keeper: KeeperLink, path: str, directory: str | None = None) -> None:
        self._keeper = keeper
        self._path = os.path.realpath(path)
        self._directory = runtime_directory() if directory is None else directory
        self._identity: bytes | None = None
        self._lock: int | None = None
        self._entrusted = False

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
        for name in _names(self._directory):
            about = _read(os.path.join(self._directory, name))
            head = _head(about)
            if head is None:
                continue
            if about.get("journal") != self._path and head.identity != identity:
                continue
            if any(
                process.foreign(pid) is None for pid in process.of_journal(short(head.identity))
            ):
                return head
        return None

    def take(self, identity: bytes) -> None:
        """Lock this identity instead of the one before. Raises IdentityInUse."""
        if identity == self._identity:
            return
        try:
            lock = _locked(self._directory, identity, self._path)
        except OSError as error:
            log.warning(
                "%s: no lock can be made there (%s): an emperor on a copy of this journal would not"
                " be refused; set RUNTIME_DIRECTORY to a directory that can be written",
                self._directory,
                error.strerror,
            )
            lock = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check_elsewhere(identity, self._path, lock)
        except IdentityInUse:
            with contextlib.suppress(OSError):  # there is none
                os.unlink(_file_of(self._directory, identity))
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
        with contextlib.suppress(OSError):  # /dev/null, or a full disk: the keeper knows it
            os.pwrite(self._lock, said, 0)
            os.ftruncate(self._lock, len(said))

    def forget(self) -> None:
        """The daemon has stopped all that it started: its lock's file goes."""
        if self._identity is not None:
            with contextlib.suppress(OSError):
                os.unlink(_file_of(self._directory, self._identity))


def estrangement(journal: Journal, known: Head) -> str | None:
    """Why this journal cannot be the one that the keeper knows; None if it can.

    A daemon may have died before it told its last events, so the journal may be longer.
    """
    head = journal.head
    if head is None:
        return f"{journal.path} has no events, but vassals run on for a journal with {known.seq}"
    if head.identity != known.identity:
        return (
            f"{journal.path} is another journal (identity {short(head.identity)}) than the one that"
            f" vassals run on for ({short(known.identity)})"
        )
    if head.seq < known.seq:
        return f"{journal.path} ends with event {head.seq}, but event {known.seq} was durable"
    if known.seq >= journal.begin and journal.hash_of(known.seq) != known.hash:
        return f"{journal.path} has another event {known.seq} than the one that was durable"
    return None


def check_original(journal: Journal, attempts: Mapping[int, int], *, marks: bool) -> None:
    """Raise IdentityInUse if processes of this journal run below another living emperor.

    ``attempts`` are those that the journal knows to be under way, pid to start time. With
    ``marks``, others that carry its identity count too; in tyrant mode a user could imitate that.
    So a copy is known where no lock is: none could be made, or the original is of 0.1.0, which
    has none.
    """
    head = journal.head
    pids = [pid for pid, start in attempts.items() if process.start_time(pid) == start]
    if head is not None and marks:
        pids += process.of_journal(short(head.identity))
    for pid in pids:
        other = process.foreign(pid)
        if other is not None:
            raise IdentityInUse(_in_use(journal.path, f"process {pid} runs below emperor {other}"))


def _in_use(path: str, by: str) -> str:
    return (
        f"{path}: a copy of a journal that is in use ({by}); give it an identity of its own with"
        " --restore, which starts all vassals anew, or end the other emperor"
    )


def _locked(directory: str, identity: bytes, path: str) -> int:
    """The locked file of an identity. Raises IdentityInUse, OSError."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    file = _file_of(directory, identity)
    until = time.monotonic() + _LAST_CHILD
    while True:
        lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(file).st_ino == os.fstat(lock).st_ino:
                return lock
        except FileNotFoundError:
            pass  # its holder has just removed it
        except BlockingIOError:
            about = _read(file)
            pid = about.get("pid")
            # A child of a dead daemon, on its way to exec, holds it for a moment.
            if process.start_time(pid if isinstance(pid, int) else 0) is not None:
                os.close(lock)
                by = f"{about.get('journal')}, emperor {pid}"
                raise IdentityInUse(_in_use(path, by)) from None
            if time.monotonic() > until:
                os.close(lock)
                raise IdentityInUse(_in_use(path, f"{file} is locked")) from None
        os.close(lock)
        time.sleep(0.01)


def _check_elsewhere(identity: bytes, path: str, own: int) -> None:
    """Raise IdentityInUse if another process holds a lock of this identity in another directory.

    So a copy is refused though its RUNTIME_DIRECTORY is not the original's, or the original's lock
    was removed. This comes after the own lock: of two that start at once, at least one sees the
    other. Processes of other users than root and ours do not count, because a tenant could hold
    such a file.
    """
    until = time.monotonic() + _LAST_CHILD
    while (found := _held_elsewhere(identity, own)) is not None:
        pid, about = found
        emperor = about.get("pid")
        # As in _locked: a child of a dead daemon, on its way to exec, holds it for a moment.
        lives = isinstance(emperor, int) and process.start_time(emperor) is not None
        if lives or time.monotonic() > until:
            by = f"{about.get('journal')}, emperor {emperor if lives else pid}"
            raise IdentityInUse(_in_use(path, by))
        time.sleep(0.01)


def _held_elsewhere(identity: bytes, own: int) -> tuple[int, dict[str, Any]] | None:
    """A process that holds a lock of this identity in a file other than ``own``, and its text."""
    end = f"/{short(identity)}.lock"
    ours = os.fstat(own)
    for pid in process.all_pids():
        if pid == os.getpid() or process.owner(pid) not in (0, os.geteuid()):
            continue
        for file, target in process.open_files(pid):
            if target.removesuffix(" (deleted)").endswith(end) and _is_locked(file, ours):
                return pid, _read(file)
    return None


def _is_locked(file: str, ours: os.stat_result) -> bool:
    """Whether another than ours is locked. ``file`` leads to it by /proc, removed or not."""
    try:
        status = os.stat(file)
        if not stat.S_ISREG(status.st_mode) or os.path.samestat(status, ours):
            return False
        opened = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:  # closed meanwhile
        return False
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(opened)
    return False


def _file_of(directory: str, identity: bytes) -> str:
    return os.path.join(directory, f"{short(identity)}.lock")


def _names(directory: str) -> Iterator[str]:
    with contextlib.suppress(OSError):
        yield from (name for name in sorted(os.listdir(directory)) if name.endswith(".lock"))


def _read(file: str) -> dict[str, Any]:
    """What a locked file says; nothing where it makes no sense."""
    try:
        with open(file, "rb") as opened:
            about = json.loads(opened.read(_LONGEST))
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def _head(about: Mapping[str, Any]) -> Head | None:
    try:
        identity, hash_ = bytes.fromhex(about["identity"]), bytes.fromhex(about["hash"])
        return Head(identity, int(about["seq"]), hash_, int(about["at"]))
    except (KeyError, TypeError, ValueError):
        return None

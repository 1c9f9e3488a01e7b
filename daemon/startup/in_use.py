"""Whether another emperor uses a journal of the same identity: then this journal is a copy of it.

A lock in the own runtime directory is asked for first (``identity.py``). The other emperor may have
another directory, and its lock may have been removed. So the open files of all processes are looked
through for the lock of this identity, wherever it is, removed or not. Keeper and daemon have it
open. Where no file can be made for it, it is one in memory (memfd_create(2)). No other file of
another emperor is opened, because its disk may hang.

Processes of other users than root and ours count only where there are no tenants. A tenant could
hold such a file to keep the emperor from starting.
"""

import contextlib
import fcntl
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ...journal.errors import JournalLocked
from ...journal.store import Journal
from ..host import procfs

LAST_CHILD: Final = 5.0  # seconds that a dead daemon's last child may take to its exec
_AGAIN: Final = 0.01  # seconds between looks
_LONGEST: Final = 8192  # bytes of what a locked file says
_ANY_LOCK: Final = re.compile(r"[/:][0-9a-f]{16}\.lock$")
_GONE: Final = " (deleted)"  # behind the name of an open file that was removed, see proc(5)


class IdentityInUse(JournalLocked):
    """Another emperor runs on a journal with this identity: this one is a copy of it."""

    def __init__(self, path: str, by: str) -> None:
        self.by = by
        super().__init__(
            f"{path}: a copy of a journal that is in use ({by}); give it an identity of its own"
            " with --restore, which starts all vassals anew, or end the other emperor"
        )


def check(identity: str, path: str, own: int, *, any_user: bool = False) -> None:
    """Raise IdentityInUse if another process uses a journal of this identity.

    ``identity`` is its short form, ``path`` the own journal, ``own`` a descriptor of the own lock.
    The own lock is taken before: of two that start at once, at least one sees the other.
    """
    ours, wanted = os.fstat(own), re.compile(rf"[/:]{identity}\.lock$")
    found = _lasting_user(lambda: _users(wanted, ours, any_user))
    if found is not None:
        _, emperor, about = found
        raise IdentityInUse(path, f"{about.get('journal')}, emperor {emperor}")


def check_path(path: str, directory: str) -> None:
    """Raise JournalLocked if another emperor has its journal at this path, where none is now.

    Its journal was moved away. A new one in its place would start all vassals a second time.
    """
    found = _lasting_user(lambda: _users_of_path(path, directory))
    if found is not None:
        holder, emperor, _ = found
        raise JournalLocked(
            f"{path}: not there, but a running emperor (pid {emperor}) has a journal of that name;"
            " put the journal back, end that emperor, or give this one another --journal",
            holder,
        )


def check_processes(
    journal: Journal, attempts: Mapping[int, int], *, marks: str | None, any_user: bool
) -> None:
    """Raise IdentityInUse if vassals of this journal run below another living emperor.

    ``attempts`` are those that the journal knows to be under way, pid to start time. ``marks`` is
    the identity by which other processes count too; None in tyrant mode, where a user could
    imitate it.
    """
    pids = [pid for pid, start in attempts.items() if procfs.start_time(pid) == start]
    if marks is not None:
        pids += procfs.of_journal(marks)
    for pid in pids:
        other = procfs.foreign(pid, any_user=any_user)
        if other is not None:
            raise IdentityInUse(journal.path, f"process {pid} runs below emperor {other}")


def _lasting_user(
    users: Callable[[], Iterator[tuple[int, dict[str, Any]]]],
) -> tuple[int, int, dict[str, Any]] | None:
    """The first user that stays: the process with the lock, its emperor, and the lock's content.

    A child of a dead daemon, on its way to exec, holds its lock for a moment.
    """
    until = time.monotonic() + LAST_CHILD
    while (found := next(users(), None)) is not None:
        pid, about = found
        emperor = about.get("pid")
        if isinstance(emperor, int) and procfs.start_time(emperor) is not None:
            return pid, emperor, about
        if time.monotonic() > until:
            return pid, pid, about
        time.sleep(_AGAIN)
    return None


def stays_locked(file: str) -> bool:
    """Whether another process has locked a file, and for longer than a child takes to its exec."""
    until = time.monotonic() + LAST_CHILD
    while _is_locked(file, None):
        if time.monotonic() > until:
            return True
        time.sleep(_AGAIN)
    return False


def _users_of_path(path: str, directory: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for pid, about in _users(_ANY_LOCK, None, any_user=False):
        if about.get("journal") == path and _sees_our_files(pid):
            yield pid, about
    for name in names(directory):
        file = os.path.join(directory, name)
        about = read(file)
        if about.get("journal") == path and _is_locked(file, None):
            yield 0, about


def _sees_our_files(pid: int) -> bool:
    """Whether a path leads a process where it leads us, as none does from another container."""
    with contextlib.suppress(OSError):
        return os.path.samestat(os.stat(f"/proc/{pid}/ns/mnt"), os.stat("/proc/self/ns/mnt"))
    return False


def names(directory: str) -> Iterator[str]:
    """The names of the locks in a runtime directory."""
    with contextlib.suppress(OSError):
        yield from (name for name in sorted(os.listdir(directory)) if name.endswith(".lock"))


def _users(
    lock: re.Pattern[str], ours: os.stat_result | None, any_user: bool
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The processes that hold such a lock, and what is known of each."""
    trusted = (0, os.geteuid())
    for pid in procfs.all_pids():
        if pid == os.getpid() or not (any_user or procfs.owner(pid) in trusted):
            continue
        for file, target in procfs.open_files(pid):
            name = target.removesuffix(_GONE)
            if lock.search(name) and _is_locked(file, ours):
                yield pid, read(file)


def _is_locked(file: str, ours: os.stat_result | None) -> bool:
    """Whether another process has locked a file; ``ours`` is the own lock, which does not count."""
    try:
        status = os.stat(file)
        if not stat.S_ISREG(status.st_mode) or (ours and os.path.samestat(status, ours)):
            return False
        opened = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:  # closed meanwhile, or not for us
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


def read(file: str) -> dict[str, Any]:
    """The content of a locked file; empty where it cannot be read or makes no sense."""
    try:
        with open(file, "rb") as opened:
            about = json.loads(opened.read(_LONGEST))
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}

"""The two locks of a journal, so that only one process writes it.

The process that holds the lock writes; a second writer is refused. The lock is a BSD lock on a
file beside the journal, which also says whose it is. A BSD lock belongs to the open file and not
to the process, so a child between fork and exec still holds it. When a new daemon gets the lock, no
child of the dead one is still on its way to exec. The recovery relies on that.

A journal with a second name (a hard link, a bind mount) has a second such file beside that name. So
the journal itself is locked as well. Such a lock and SQLite's own, which are POSIX ones, do not see
each other. But SQLite's are lost whenever the process closes any descriptor of the file. So ours
stays open until SQLite has closed the file.
"""

import contextlib
import fcntl
import os
import stat
import time
from typing import Final

from . import schema
from .errors import NOT_OURS, JournalError, JournalLocked, NotAJournal

_SAME_CHILD: Final = 0.5  # seconds; as it executes, it lets go of one lock after the other
_LAST_CHILD: Final = 5.0  # seconds that a dead daemon's last child may take to its exec


def take_lock(path: str) -> int:
    """Lock the file ``path``, which is made if there is none, and write our pid into it.

    Raises JournalLocked, OSError.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock_exclusively(lock, path)
        os.ftruncate(lock, 0)
        with open(lock, "wb", closefd=False) as file:  # a write may be cut short
            file.write(f"{os.getpid()}\n".encode())
    except BaseException:
        os.close(lock)
        raise
    return lock


def take_file(path: str) -> int:
    """Lock the journal itself, whatever it is called, making it if there is none.

    Raises JournalLocked, NotAJournal, JournalError, OSError.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise NotAJournal(f"{path}: not a regular file; {NOT_OURS}")
        start = os.pread(file, len(schema.MAGIC), 0)
        if start and start != schema.MAGIC:
            raise NotAJournal(f"{path}: not an SQLite database; {NOT_OURS}")
        _lock_file(path, file)
        # SQLite keeps a log beside the name that it was given, and finds only that one.
        if (names := os.fstat(file).st_nlink) > 1:
            raise JournalError(
                f"{path}: the file has {names} names (hard links), and events may be in a -wal file"
                " beside each of them; remove all but the one that was in use"
            )
    except BaseException:
        os.close(file)
        raise
    return file


def let_go(lock: int) -> None:
    """Close a locked file, which ends its lock."""
    with contextlib.suppress(OSError):  # close(2) may say what writing it had to say
        os.close(lock)


def _lock_exclusively(lock: int, path: str) -> None:
    until = time.monotonic() + _LAST_CHILD
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        if time.monotonic() > until or not _has_died(owner):
            raise JournalLocked(
                f"{path.removesuffix('.lock')}: in use by a running emperor (pid {owner}); "
                "stop that one, or give this one another --journal"
            )
        time.sleep(0.01)


def _lock_file(path: str, file: int) -> None:
    until = time.monotonic() + _SAME_CHILD
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise JournalLocked(
                    f"{path}: in use by a running emperor, to which it has another name;"
                    " stop that one, or give this one another --journal"
                ) from None
        time.sleep(0.01)


def _has_died(owner: str) -> bool:
    """Whether it is only a child on its way to exec that still holds a dead daemon's lock."""
    if not owner.isdigit():
        return False
    try:
        with open(f"/proc/{owner}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def is_locked(path: str) -> bool:
    """Whether another process holds the lock of a file. Raises OSError."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False

"""Putting a copy of a journal in the place of one that was lost, after the copy was verified."""

import contextlib
import os
import sqlite3
import time

import msgspec

from ...journal import lost_log
from ...journal.errors import GIVE_THE_RIGHT_ONE, NOT_OURS, JournalError
from ...journal.files import Files
from ...journal.locked_files import LockedFiles
from ...journal.store import Head, Journal
from ..control.server import Refused
from .identity import short

_SUFFIXES = ("", "-wal", "-shm")


class Copy(msgspec.Struct, frozen=True):
    """A verified copy beside the journal, ready to be put in its place."""

    staged: str
    file: str  # that it was made from
    head: Head


def verify(file: str, path: str, known: Head) -> Copy:
    """Copy a file beside the journal at ``path`` and verify the copy. Blocks; raises Refused.

    It must be a journal with the identity that is known, and its whole chain must hold.
    """
    staged = path + ".restoring"
    if _is_one_of(file, [*LockedFiles.of(path).paths]):
        raise Refused(f"{file} is a file of the journal itself; give a copy of the lost one")
    if _is_one_of(file, _staged_names(staged)):
        raise Refused(
            f"{file} is where a copy is made, which removes what is there; give it another name"
            " first"
        )
    if not os.path.isdir(os.path.dirname(path)):
        raise Refused(
            f"{os.path.dirname(path)}: the journal's directory is not there; make it first"
        )
    try:
        _copy(file, staged)
        with Journal.open(staged) as journal:
            head = journal.head
            if head is None:
                raise Refused(f"{file} has no events")
            if head.identity != known.identity:
                raise Refused(
                    f"{file} is a copy of another journal: its identity is {short(head.identity)},"
                    f" and the vassals run for {short(known.identity)}"
                )
            for _ in journal.tail(journal.begin):
                pass
    except (JournalError, OSError, sqlite3.Error) as error:
        discard(staged)
        # The text is about the copy, and its advice for those who give a --journal.
        text = str(error).replace(staged, file)
        for advice in (GIVE_THE_RIGHT_ONE, f"; {NOT_OURS}"):
            text = text.removesuffix(advice)
        raise Refused(f"{file} cannot be restored: {text}") from None
    except BaseException:
        discard(staged)
        raise
    with contextlib.suppress(OSError):
        os.unlink(staged + ".lock")
    return Copy(staged=staged, file=file, head=head)


def put(copy: Copy, path: str, empty: os.stat_result | None) -> str | None:
    """Put the copy in the journal's place; where that is now, None if nothing was there.

    ``empty`` is the file of a journal that has no events. Another may be there by now.
    """
    if lost_log.is_missing(path):
        lost_log.secure(path)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = lost_log.unused(f"{path}.replaced-{stamp}")
    for suffix in _SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            os.rename(path + suffix, aside + suffix)
    nothing = _holds_nothing(aside, empty)
    if nothing:
        discard(aside)
    os.rename(copy.staged, path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return None if nothing else aside


def _holds_nothing(path: str, empty: os.stat_result | None) -> bool:
    with contextlib.suppress(FileNotFoundError):
        if os.stat(path + "-wal").st_size:
            return False
    if lost_log.is_missing(path):
        return True
    return empty is not None and os.path.samestat(os.stat(path), empty)


def discard(staged: str) -> None:
    """Remove a copy that is not to be used."""
    for name in _staged_names(staged):
        with contextlib.suppress(OSError):
            os.unlink(name)


def _staged_names(staged: str) -> list[str]:
    """The files of a copy that is verified."""
    return [staged + suffix for suffix in (*_SUFFIXES, ".lock")]


def _is_one_of(file: str, paths: list[str]) -> bool:
    """Whether it is one of these by its name, by a symlink, or as the same inode."""
    for path in paths:
        if os.path.realpath(file) == os.path.realpath(path):
            return True
        with contextlib.suppress(OSError):  # one of the two is not there
            if os.path.samefile(file, path):
                return True
    return False


def _copy(file: str, staged: str) -> None:
    discard(staged)
    descriptor = os.open(staged, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with (
            Files(file).connection() as source,
            contextlib.closing(sqlite3.connect(staged)) as target,
        ):
            source.backup(target)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

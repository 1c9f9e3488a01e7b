"""A journal before SQLite opens it: its folder, its locks, and the log beside it."""

import contextlib
import os
from typing import NamedTuple

from . import lost_log
from .advice import advice
from .errors import GIVE_ANOTHER, JournalError
from .locks import let_go, take_file, take_lock


class Taken(NamedTuple):
    """A journal that no other process writes, until ``locks`` is closed."""

    path: str
    file: int  # the journal itself, as it was found
    made: bool  # there was none before
    locks: contextlib.ExitStack
    locked: tuple[int, int]  # the descriptors that have the locks


def take(given: str) -> Taken:
    """Lock the journal at a path, creating it (0600) and its folder if need be.

    Raises JournalLocked, NotAJournal, Damaged, JournalError.
    """
    path = os.path.realpath(given)
    made = lost_log.is_missing(path)
    with contextlib.ExitStack() as locks:
        try:
            if os.path.islink(given) and not os.path.isdir(os.path.dirname(path)):
                raise JournalError(
                    f"{given}: leads to {path}, and that directory is not there; mount its file"
                    " system, or make the directory"
                )
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            lock = take_lock(path + ".lock")
            locks.callback(let_go, lock)
            if made:  # before there is a file
                lost_log.secure(path)
            file = take_file(path)
            locks.callback(let_go, file)
            lost_log.secure(path)
        except (FileExistsError, NotADirectoryError):
            raise JournalError(f"{path}: its folder is a file; {GIVE_ANOTHER}") from None
        except OSError as error:
            raise JournalError(
                f"{path}: cannot be opened: {error.strerror}; {advice(error)}"
            ) from None
        return Taken(path, file, made, locks.pop_all(), (lock, file))

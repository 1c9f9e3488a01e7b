"""The errors of a journal, one for each way in which an operator has to act."""

from typing import Final

SEE_VERIFY: Final = "; 'emperor-replay verify' says what can be saved"
VERIFY_SAYS_MORE: Final = "; 'verify' says more"
GIVE_THE_RIGHT_ONE: Final = "; give the right --journal"
GIVE_ANOTHER: Final = "give another --journal"
NOT_OURS: Final = "give the --journal of an emperor, or a path where nothing is yet"


class JournalError(Exception):
    """Base of all. The text says what happened, to what, and what to do."""


class NotAJournal(JournalError):
    """The file is not a journal, or not one that can be opened at all."""


class NewerFormat(JournalError):
    """Written by a newer version; nothing is wrong with it, but this program cannot read it."""


class JournalMissing(JournalError):
    """There is no journal at the path, and there should be one."""


class JournalLocked(JournalError):
    """Another process writes this journal. ``pid`` is one that has it, 0 where that is not known"""

    def __init__(self, message: str, pid: int = 0) -> None:
        super().__init__(message)
        self.pid = pid


class Damaged(JournalError):
    """The record is not what was written. ``seq`` is the row, where one can be named."""

    def __init__(self, message: str, seq: int | None = None, intact_to: int | None = None) -> None:
        super().__init__(message)
        self.seq = seq
        self.intact_to = intact_to  # last event that is still proven, None if unknown


class SchemaDamaged(Damaged):
    """A table, a column, an index is missing or changed, or there is what should not be."""


class UnreadableEvent(Damaged):
    """A row whose body does not fit its kind."""


class JournalPaused(JournalError):
    """The journal cannot be written now (disk full, I/O error); try again later."""

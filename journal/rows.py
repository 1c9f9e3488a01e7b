"""The values that a daemon appends to its journal beside events. They need no SQLite."""

from typing import Final

IN_ARCHIVE: Final = -1  # in place of the time of an event that went to an archive
DEPLOYED: Final = ("vassal_added", "vassal_changed")
DEPLOYS: Final = (*DEPLOYED, "vassal_removed", "vassal_destroyed")

# seq, previous, outcome, outcome_seq, attempt, ordered, trial, settled
Deploy = tuple[int, str | None, str, int | None, int | None, int | None, int | None, bool]
"""A row of the table ``deploy``."""


class Snapshot:
    """The fleet as it stood after event ``seq``, as canonical JSON."""

    def __init__(self, seq: int, fleet: bytes) -> None:
        self.seq = seq
        self.fleet = fleet

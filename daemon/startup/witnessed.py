"""Whether a journal is the one that its witness has seen, where the witness can be read back."""

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from ...journal.events import JournalForked
from ...journal.store import Head, Journal
from ...journal.witness import Line, flaw

if TYPE_CHECKING:
    from ..witness.targets import Target

log = logging.getLogger("emperor")

_PATIENCE: Final = 5.0  # seconds for the witness to be read


def difference(target: "Target | None", journal: Journal) -> tuple[Head, str] | None:
    """The head that was witnessed last, and why the journal cannot have it; None if it can."""
    if target is None:
        return None
    if not target.reads_back:
        log.info(
            "the journal is not compared with its witness, which cannot be read back:"
            " 'emperor-replay verify --witness' compares them"
        )
        return None
    line = _last(target)
    if line is None or _is_of_original(line, journal):
        return None
    what = flaw(line, journal.begin, journal.seq, journal.hash_of)
    if what is None:
        return None
    head = Head(bytes.fromhex(line.identity), line.seq, bytes.fromhex(line.hash), time.time_ns())
    return head, f"rewritten or rolled back: {what} (by its witness, {line.time})"


def _is_of_original(line: Line, journal: Journal) -> bool:
    """Whether a line is of the journal that this one was copied from, after the copy was made."""
    event = journal.identity_event()
    if event is None or not isinstance(event.body, JournalForked):
        return False
    return line.identity == event.body.identity and line.seq >= event.seq


def _last(target: "Target") -> Line | None:
    """The last line. A witness that does not answer in time is none."""
    found: list[Line | None] = []
    reasons: list[str] = []

    def read() -> None:
        try:
            found.append(target.last())
        except OSError as error:
            reasons.append(error.strerror or str(error))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    if not found:
        reason = reasons[0] if reasons else f"it was not read within {_PATIENCE:g} s"
        log.error("the journal is not compared with its witness: %s", reason)
        return None
    return found[0]

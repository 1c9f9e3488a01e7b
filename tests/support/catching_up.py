"""Waits until a daemon has folded what its journal has.

A test that waits for an event reads the journal. The daemon folds an event a moment after it is
durable there, on a busy machine a long one. In between it answers as if the event were not there.
"""

import contextlib
import time
from pathlib import Path

from emperord.daemon.client.asking import Unanswered, exchanged

from .journal_reader import JournalReader
from .waiting import breathe

_PATIENCE = 1.0  # seconds; a daemon that is stopped, or has lost its journal, never catches up


class AskedDaemon(JournalReader):
    """A daemon that is asked after its journal was read."""

    @property
    def control(self) -> Path:
        """The control socket."""
        return self.journal.with_name(f"{self.journal.name}.sock")

    def catch_up(self) -> None:
        """Return when the daemon has folded what the test has seen of its journal.

        Returns at once where no daemon answers, and after a second in any case.
        """
        deadline = time.monotonic() + _PATIENCE
        with contextlib.suppress(Unanswered):
            while self.seen and time.monotonic() < deadline:
                answer = exchanged(str(self.control), {"do": "status"}, _PATIENCE)
                if answer is None or not answer["ok"] or answer["status"]["seq"] >= self.seen:
                    return
                breathe()

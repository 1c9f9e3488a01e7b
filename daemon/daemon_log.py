"""The daemon's own log on standard error: lines of text, or what the systemd journal takes."""

import logging
import sys
import time
from typing import Final, TextIO

from ..monitors.names import shown
from . import stdio

_log: Final = logging.getLogger("emperor")
_SLOW_READER: Final = 1.0  # seconds


def set_up() -> None:
    """Log to standard error, in the form that fits what it is connected to."""
    stdio.remember()
    handler = _Handler(sys.stderr)
    handler.setFormatter(ForJournal() if stdio.is_journal() else _Lines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def reopen() -> None:
    """Go on in a new file, if standard error is a file that was renamed."""
    if stdio.reopen(_log.error):
        _log.info("the log was renamed; this is the new one")


def complain(text: str) -> None:
    """Say why the daemon does not run: one line on standard error."""
    priority = "<3>" if stdio.is_journal() else ""
    print(f"{priority}emperor: {shown(text)}", file=sys.stderr, flush=True)


class _Handler(logging.StreamHandler[TextIO]):
    """The log on standard error. If nobody reads it lines are lost, but the daemon goes on."""

    _lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        # Wait for a slow reader. After a line was dropped, do not wait until there is room again.
        if not stdio.has_room(2, 0.0 if self._lost else _SLOW_READER):
            self._lost += 1
            return
        if self._lost:
            lost = f"{self._lost} lines before this one are lost, as nobody read them"
            record.msg, record.args, self._lost = f"{record.getMessage()} ({lost})", (), 0
        super().emit(record)


class _Lines(logging.Formatter):
    """One line each, in which nothing upsets a terminal: names and reasons can be anybody's."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        form = "%(asctime)s.%(msecs)03dZ %(name)s: %(message)s"
        super().__init__(form, "%Y-%m-%dT%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        record.message = shown(record.message)
        return super().formatMessage(record)


class ForJournal(_Lines):
    """As sd-daemon(3) has it: a priority before each line, and no time, which journald adds."""

    def __init__(self) -> None:
        logging.Formatter.__init__(self, "%(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        priority = f"<{_priority(record.levelno)}>"
        # journald makes an entry of each line, so each line of a traceback has its priority.
        return "\n".join(priority + line for line in super().format(record).split("\n"))


def _priority(level: int) -> int:
    """The priority of syslog(3) that stands for a level."""
    for least, priority in ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4)):
        if level >= least:
            return priority
    return 6 if level >= logging.INFO else 7

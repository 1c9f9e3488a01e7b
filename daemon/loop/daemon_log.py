"""The daemon's own log on standard error: lines of text, of JSON, or as journald takes them."""

import logging
import sys
from typing import Final, TextIO

from ...monitors.names import shown
from ..keeper import stdio

_log: Final = logging.getLogger("emperor")
_SLOW_READER: Final = 1.0  # seconds


def set_up(form: str | None) -> None:
    """Log to standard error, in this form or in that which fits what it is connected to."""
    stdio.remember()
    stdio.choose(form)
    handler = _Handler(sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def reopen() -> None:
    """Go on in a new file, if standard error is a file that was renamed."""
    if stdio.reopen(_log.error):
        _log.info("the log was renamed; this is the new one")


def complain(text: str) -> None:
    """Say why the daemon does not run: one line on standard error."""
    text = shown(text)
    line = f"emperor: {text}" if stdio.form() == "text" else stdio.written("emperor", 3, text)
    print(line, file=sys.stderr, flush=True)


class _Handler(logging.StreamHandler[TextIO]):
    """The log on standard error. Without a reader lines are lost, but the daemon goes on."""

    _lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        # Wait for a slow reader. After a line was dropped, do not wait until there is room again.
        if not stdio.has_room(2, 0.0 if self._lost else _SLOW_READER):
            self._lost += 1
            return
        if self._lost:
            lost = f"{self._lost} lines before this one are lost, as stderr was not read"
            record.msg, record.args, self._lost = f"{record.getMessage()} ({lost})", (), 0
        super().emit(record)


class LineFormatter(logging.Formatter):
    """LineFormatter in which nothing upsets a terminal: tenants choose names and reasons."""

    def format(self, record: logging.LogRecord) -> str:
        trace = self.formatException(record.exc_info).split("\n") if record.exc_info else []
        priority, message = _priority(record.levelno), record.getMessage()

        def written(text: str) -> str:
            return stdio.written(record.name, priority, text, record.created)

        if stdio.form() == "json":
            return written("\n".join([message, *trace]))
        if stdio.form() == "journal":
            # journald makes an entry of each line, so each line of a traceback has its priority.
            return "\n".join(written(shown(line)) for line in [message, *trace])
        return "\n".join([written(shown(message)), *map(shown, trace)])


def _priority(level: int) -> int:
    """The priority of syslog(3) that stands for a level."""
    for least, priority in ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4)):
        if level >= least:
            return priority
    return 6 if level >= logging.INFO else 7

"""The daemon's own log on standard error: lines of text, of JSON, or as journald takes them."""

import contextlib
import logging
import os
import select
import sys
from collections.abc import Iterable
from typing import Final, TextIO

from ...monitors.names import shown
from ..keeper import stdio

_log: Final = logging.getLogger("emperor")
_SLOW_READER: Final = 1.0  # seconds


class _Console:
    """Standard error before it became a file: it is told why the daemon does not start."""

    def __init__(self) -> None:
        self._descriptor: int | None = None

    def keep(self) -> None:
        self._descriptor = os.dup(2)

    def say(self, line: str) -> None:
        if self._descriptor is None or os.path.sameopenfile(self._descriptor, 2):
            return
        with contextlib.suppress(OSError):
            if stdio.has_room(self._descriptor):
                os.write(self._descriptor, f"{line}\n".encode())

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


_console: Final = _Console()


def set_up(form: str | None, file: str | None = None) -> None:
    """Log to this file, or to standard error. Raises OSError.

    ``form`` is that of the lines; None is that which fits what standard error is connected to.
    """
    stdio.remember()
    former = os.environ.get(stdio.FOLLOWED)
    if file is not None:
        _console.keep()
        try:
            stdio.follow(file)
        except OSError:
            # A former daemon had it open, and so has this one: its vassals come first.
            if former != os.path.abspath(file):
                raise
            os.environ[stdio.FOLLOWED] = former
    stdio.choose(form)
    handler = _Handler(sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def write(logger: logging.Logger, lines: Iterable[tuple[int, str]]) -> None:
    """Log lines, each with its level, in few writes: the lines of a turn may be thousands."""
    handlers = [each for each in logging.root.handlers if isinstance(each, _Handler)]
    for handler in handlers:
        handler.hold_back()
    try:
        for level, text in lines:
            if logger.isEnabledFor(level):  # ``log`` would look for its caller, at half of its cost
                logger.handle(logger.makeRecord(logger.name, level, __file__, 0, text, (), None))
    finally:
        for handler in handlers:
            handler.write_held()


def reopen() -> None:
    """Go on in a new file, if standard error is a file that was renamed."""
    if stdio.reopen(_log.error):
        _log.info("the log was renamed; this is the new one")


def complain(text: str) -> None:
    """Say why the daemon does not run: one line on standard error."""
    text = shown(text)
    line = f"emperor: {text}" if stdio.form() == "text" else stdio.written("emperor", 3, text)
    print(line, file=sys.stderr, flush=True)
    _console.say(line)


def in_charge() -> None:
    """The daemon runs. It leaves the terminal that it was started from, if its log is a file."""
    _console.close()


def flaw(file: str | None) -> str | None:
    """Why the log cannot be this file, None if it can. It makes none."""
    if file is None or file in stdio.STREAMS:
        return None
    why = stdio.flaw(file)
    return None if why is None else f"the log cannot be {file}: {why}"


class _Handler(logging.StreamHandler[TextIO]):
    """The log on standard error. Without a reader lines are lost, but the daemon goes on."""

    _lost = 0
    _held: list[logging.LogRecord] | None = None  # those of a turn, which are written together

    def hold_back(self) -> None:
        """Hold lines back until ``write_held``."""
        self._held = []

    def write_held(self) -> None:
        """Write the lines that were held back."""
        with self.lock or contextlib.nullcontext():
            held, self._held = self._held or [], None
            self._write(held)

    def emit(self, record: logging.LogRecord) -> None:
        if self._held is None:
            self._write([record])
        else:
            self._held.append(record)

    def _write(self, records: Iterable[logging.LogRecord]) -> None:
        """Write lines, as many at once as a pipe takes that has room."""
        together: list[logging.LogRecord] = []
        text = ""
        for record in records:
            line = self._line(record)
            if together and len((text + line).encode(errors="replace")) > select.PIPE_BUF:
                self._put(together, text)
                together, text = [], ""
            together.append(record)
            text += line
        if together:
            self._put(together, text)

    def _line(self, record: logging.LogRecord) -> str:
        try:
            return f"{self.format(record)}\n"
        except Exception:
            self.handleError(record)
            return ""

    def _put(self, records: list[logging.LogRecord], text: str) -> None:
        # Wait for a slow reader. After a line was dropped, do not wait until there is room again.
        if not stdio.has_room(2, 0.0 if self._lost else _SLOW_READER):
            self._lost += len(records)
            return
        if self._lost:
            first = records[0]
            lost = f"{self._lost} lines before this one are lost, as stderr was not read"
            first.msg, first.args, self._lost = f"{first.getMessage()} ({lost})", (), 0
            text = "".join(map(self._line, records))
        try:
            self.stream.write(text)
            self.flush()
        except Exception:
            self.handleError(records[0])


class LineFormatter(logging.Formatter):
    """LineFormatter in which nothing upsets a terminal: tenants choose names and reasons."""

    def format(self, record: logging.LogRecord) -> str:
        trace = self.formatException(record.exc_info).split("\n") if record.exc_info else []
        priority, message = _priority(record.levelno), record.getMessage()
        form = stdio.form()

        def written(text: str) -> str:
            return stdio.written(record.name, priority, text, record.created, form)

        if form == "json":
            return written("\n".join([message, *trace]))
        if form == "journal":
            # journald makes an entry of each line, so each line of a traceback has its priority.
            return "\n".join(written(shown(line)) for line in [message, *trace])
        return "\n".join([written(shown(message)), *map(shown, trace)])


def _priority(level: int) -> int:
    """The priority of syslog(3) that stands for a level."""
    for least, priority in ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4)):
        if level >= least:
            return priority
    return 6 if level >= logging.INFO else 7

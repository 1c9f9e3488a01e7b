"""The daemon's own log on standard error: lines of text, of JSON, or as journald takes them."""

import contextlib
import logging
import os
import select
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TextIO

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


def set_up_for(chosen: Mapping[str, Any]) -> None:
    """Log as the options say. A run that only looks writes to no file. Raises OSError."""
    looks = chosen["check"] or chosen["try_start"]
    set_up(
        "text" if chosen["try_start"] else chosen["log_format"],
        None if looks else chosen["log_file"] or chosen["daemonize"],
    )


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
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def write(logger: logging.Logger, lines: Iterable[tuple[int, str]]) -> None:
    """Log lines, each with its level, in few writes: the lines of a turn may be thousands.

    A record of ``logging`` for each of them would take most of the time.
    """
    at = stdio.stamp(time.time())
    told = [Line(logger.name, level, text, at) for level, text in lines]
    handlers = [each for each in logging.root.handlers if isinstance(each, _Handler)]
    for handler in handlers:
        handler.write(told)
    if not handlers:  # another program has set up its own log
        for line in told:
            logger.log(line.level, "%s", line.text)


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


class Line(NamedTuple):
    """A line of the log: its logger, level, text, time as a stamp, and the lines of a traceback."""

    logger: str
    level: int
    text: str
    at: str
    trace: Sequence[str] = ()


class _Handler(logging.StreamHandler[TextIO]):
    """The log on standard error. Without a reader lines are lost, but the daemon goes on."""

    _lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = line_of(record)
        except Exception:  # its arguments do not fit its text
            self.handleError(record)
        else:
            self.write([line])

    def write(self, lines: Sequence[Line]) -> None:
        """Write lines, as many at once as a pipe takes that has room."""
        form = stdio.form()
        together: list[Line] = []
        text, size = "", 0
        with self.lock or contextlib.nullcontext():
            for line in lines:
                more = f"{written(line, form)}\n"
                length = len(more.encode(errors="replace"))
                if together and size + length > select.PIPE_BUF:
                    self._put(together, text, form)
                    together, text, size = [], "", 0
                together.append(line)
                text += more
                size += length
            if together:
                self._put(together, text, form)

    def _put(self, lines: Sequence[Line], text: str, form: str) -> None:
        # Wait for a slow reader. After a line was dropped, do not wait until there is room again.
        if not stdio.has_room(2, 0.0 if self._lost else _SLOW_READER):
            self._lost += len(lines)
            return
        if self._lost:
            lost = f"{self._lost} lines before this one are lost, as stderr was not read"
            first = lines[0]._replace(text=f"{lines[0].text} ({lost})")
            text = "".join(f"{written(each, form)}\n" for each in (first, *lines[1:]))
            self._lost = 0
        try:
            self.stream.write(text)
            self.flush()
        except Exception:
            self.handleError(_record(lines[0]))


def line_of(record: logging.LogRecord) -> Line:
    """The line of a record. Raises where its arguments do not fit its text."""
    trace: Sequence[str] = ()
    if record.exc_info:
        trace = logging.Formatter().formatException(record.exc_info).split("\n")
    at = stdio.stamp(record.created)
    return Line(record.name, record.levelno, record.getMessage(), at, trace)


def _record(line: Line) -> logging.LogRecord:
    return logging.LogRecord(line.logger, line.level, __file__, 0, line.text, (), None)


def written(line: Line, form: str) -> str:
    """A line in a form in which nothing upsets a terminal: tenants choose names and reasons."""
    logger, level, text, at, trace = line
    priority = _priority(level)
    if form == "json":
        return stdio.written(logger, priority, "\n".join([text, *trace]), at, form)
    first = stdio.written(logger, priority, shown(text), at, form)
    if not trace:
        return first
    more: Iterable[str] = map(shown, trace)
    if form == "journal":
        # journald makes an entry of each line, so each line of a traceback has its priority.
        more = (stdio.written(logger, priority, each, at, form) for each in more)
    return "\n".join([first, *more])


def _priority(level: int) -> int:
    """The priority of syslog(3) that stands for a level."""
    for least, priority in ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4)):
        if level >= least:
            return priority
    return 6 if level >= logging.INFO else 7

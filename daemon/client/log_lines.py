"""Lines of several logs in one output: whole lines, each named where there are several logs.

A line without an end is held for a second, because its rest may follow. It ends where another file
of the log begins: the rest cannot follow there, because a process writes to one file. In a pipe
bytes are unchanged but for that. On a terminal all that is not printable is escaped.
"""

import sys
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from ...monitors.names import shown
from ..cli import escapes, terminal

_PATIENCE: Final = 1.0  # seconds that a line without an end is held
_MOST: Final = 1 << 20  # bytes of it
_STYLES: Final = ("idle", "good", "busy", "held")
_WIDEST: Final = 24  # cells of a name on a terminal


class _Held(NamedTuple):
    """A line without an end, the file that it is in, and since when."""

    text: bytes
    file: int
    since: float


class LogLines:
    """Takes what logs have, and prints it as lines."""

    def __init__(self, names: Sequence[str], raw: bool) -> None:
        self._escaping = terminal.is_terminal() and not raw
        self._at_terminal = terminal.is_terminal()
        self._prefixes = _prefixes(names) if len(names) > 1 else {}
        self._held = dict[str, _Held]()
        self._unended = dict[str, int]()  # files whose last line was printed without an end

    def begin(self, name: str, part: int | None) -> None:
        """Note of which part of a log the next lines are; only JSON tells it."""

    def add(self, name: str, block: bytes, file: int = 0) -> None:
        """Take what a file of a log has next. The number of a file tells it from the others."""
        if (held := self._held.pop(name, None)) is not None and held.file != file:
            self._print(name, held.text, held.file)
            held = None
        text, since = (b"", 0.0) if held is None else (held.text, held.since)
        lines, end, rest = block.rpartition(b"\n")
        if end:
            self._print(name, text + lines + end, file)
            text, since = b"", 0.0
        if len(text) + len(rest) > _MOST:
            self._print(name, text + rest, file)
        elif text or rest:
            self._held[name] = _Held(text + rest, file, since or time.monotonic())

    def flush(self, *, every: bool = False) -> None:
        """Print lines whose end does not come, or ``every`` line that is held."""
        late = time.monotonic() - _PATIENCE
        for name, (text, file, since) in list(self._held.items()):
            if every or since <= late:
                del self._held[name]
                self._print(name, text + (b"\n" if every and self._at_terminal else b""), file)
        sys.stdout.flush()

    def _print(self, name: str, text: bytes, file: int) -> None:
        """Print the text of a file, not in the line that another file has begun."""
        if self._unended.pop(name, file) != file:
            self._end_line()
        if not text.endswith(b"\n"):
            self._unended[name] = file
        self._write(name, text)

    def _end_line(self) -> None:
        """End a line that was printed as it was. With a prefix each one has an end."""
        if not self._prefixes:
            self._write("", b"\n")

    def _write(self, name: str, text: bytes) -> None:
        prefix = self._prefixes.get(name)
        if self._escaping:
            sys.stdout.write(_with_prefix(prefix, escapes.for_terminal(text)))
            return
        if prefix is not None:
            head = prefix.encode(sys.stdout.encoding, "backslashreplace")
            lines = text.removesuffix(b"\n").split(b"\n")
            text = b"".join(head + line + b"\n" for line in lines)
        sys.stdout.buffer.write(text)


def _with_prefix(prefix: str | None, text: str) -> str:
    if prefix is None:
        return text
    return "".join(f"{prefix}{line}\n" for line in text.removesuffix("\n").split("\n"))


def _prefixes(names: Sequence[str]) -> dict[str, str]:
    """The name before each line of a vassal, on a terminal aligned and in a colour."""
    if not terminal.is_terminal() and not terminal.is_coloured():
        return {name: f"{shown(name)}: " for name in names}
    told = {name: terminal.cut(shown(name), _WIDEST) for name in names}
    width = max(map(terminal.cells, told.values()))
    return {
        name: terminal.painted(
            text + " " * (width - terminal.cells(text)) + " | ", _STYLES[place % len(_STYLES)]
        )
        for place, (name, text) in enumerate(told.items())
    }

"""Lines of several logs in one output: whole lines, each named where there are several logs.

A line without an end is held for a second, because its rest may follow. In a pipe bytes are
unchanged. On a terminal all that is not printable is escaped.
"""

import sys
import time
from collections.abc import Sequence
from typing import Final

from ...monitors.names import shown
from ..cli import escapes, terminal

_PATIENCE: Final = 1.0  # seconds that a line without an end is held
_MOST: Final = 1 << 20  # bytes of it
_STYLES: Final = ("idle", "good", "busy", "held")
_WIDEST: Final = 24  # cells of a name on a terminal


class LogLines:
    """Takes what logs have, and prints it as lines."""

    def __init__(self, names: Sequence[str], raw: bool) -> None:
        self._escaping = terminal.is_terminal() and not raw
        self._at_terminal = terminal.is_terminal()
        self._prefixes = _prefixes(names) if len(names) > 1 else {}
        self._held = dict[str, tuple[float, bytes]]()  # lines without an end, and since when

    def begin(self, name: str, part: int | None) -> None:
        """Note of which part of a log the next lines are; only JSON tells it."""

    def add(self, name: str, block: bytes) -> None:
        """Take what a log has next."""
        since, held = self._held.pop(name, (0.0, b""))
        lines, end, rest = block.rpartition(b"\n")
        if end:
            self._write(name, held + lines + end)
            since, held = 0.0, b""
        if len(held) + len(rest) > _MOST:
            self._write(name, held + rest)
        elif held or rest:
            self._held[name] = (since or time.monotonic(), held + rest)

    def flush(self, *, every: bool = False) -> None:
        """Print lines whose end does not come, or ``every`` line that is held."""
        late = time.monotonic() - _PATIENCE
        for name, (since, held) in list(self._held.items()):
            if every or since <= late:
                del self._held[name]
                self._write(name, held + (b"\n" if every and self._at_terminal else b""))
        sys.stdout.flush()

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

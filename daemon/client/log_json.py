"""Lines of logs for programs: an object a line, with the vassal and the part of its log."""

import sys
import time
from collections.abc import Sequence

from ...journal.times import rfc3339
from ..cli import escapes
from .log_lines import LogLines


class JsonLines(LogLines):
    """Prints each line as JSON. Bytes that are no UTF-8 are ``\\xNN`` in its text.

    A line has no time of its own. ``at`` is when a followed line was read, null for earlier ones.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(names, raw=True)
        self._parts = dict[str, int | None]()

    def begin(self, name: str, part: int | None) -> None:
        """Say of which part of the log the next lines are; None where they are followed."""
        self._parts[name] = part

    def _end_line(self) -> None:
        """Each object has its own line."""

    def _write(self, name: str, text: bytes) -> None:
        part = self._parts.get(name)
        at = rfc3339(time.time_ns()) if part is None else None
        for line in text.removesuffix(b"\n").split(b"\n"):
            told = {"vassal": name, "part": part or 0, "at": at}
            words = line.decode("utf-8", "backslashreplace")
            sys.stdout.buffer.write(escapes.encode({**told, "text": words}) + b"\n")

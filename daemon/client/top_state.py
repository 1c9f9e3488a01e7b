"""An operator's choice at ``emperor-ctl top``, which keys change: order, filter, cursor."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from .top_rows import NAMES, Row, ordered

# As in htop and top.
_ORDERS: Final = {"P": "cpu", "M": "memory", "T": "time", "N": "pid", "R": "restarts"}
_STEPS: Final = {"up": -1, "k": -1, "down": 1, "j": 1}
_END: Final = 1 << 30


@dataclass
class Choice:
    """``prompt`` is the text being typed, None while keys are commands."""

    by: str = "cpu"
    reverse: bool = False
    filter: str = ""
    cursor: int = 0
    first: int = 0  # the row at the top of the screen
    prompt: str | None = None
    asked: str = ""  # "search" or "filter": the meaning of the prompt
    searched: str = ""
    help: bool = False
    ended: bool = False
    again: bool = False  # whether all should be looked at now
    names: list[str] = field(default_factory=list)  # of the rows, as they are shown

    def rows(self, rows: Sequence[Row]) -> list[Row]:
        """The rows that are shown, in their order."""
        wanted = self.filter.casefold()
        found = [row for row in rows if wanted in row.name.casefold()] if wanted else rows
        shown = ordered(found, self.by, self.reverse)
        self.names = [row.name for row in shown]
        return shown

    def scroll(self, room: int) -> None:
        """Move what is shown so that the cursor is among ``room`` rows."""
        count = len(self.names)
        self.cursor = max(0, min(self.cursor, count - 1))
        if self.cursor < self.first:
            self.first = self.cursor
        if self.cursor >= self.first + room:
            self.first = self.cursor - room + 1
        self.first = max(0, min(self.first, count - room))

    def press(self, key: str, room: int) -> None:
        """Do what a key is for."""
        if self.help:
            self.help = False
        elif self.prompt is not None:
            self._type(key)
        elif key in ("q", "F10"):
            self.ended = True
        elif key in _ORDERS:
            self._sort(_ORDERS[key])
        elif not self._move(key, room):
            self._command(key)

    def _command(self, key: str) -> None:
        if key in (">", ".", "F6"):
            self._sort(NAMES[(NAMES.index(self.by) + 1) % len(NAMES)])
        elif key in ("<", ","):
            self._sort(NAMES[(NAMES.index(self.by) - 1) % len(NAMES)])
        elif key == "I":
            self.reverse = not self.reverse
        elif key in ("/", "F3"):
            self.prompt, self.asked = "", "search"
        elif key in ("\\", "F4"):
            self.prompt, self.asked = self.filter, "filter"
        elif key == "n":
            self._search(self.cursor + 1)
        elif key == "escape":
            self.filter = ""
        elif key in ("?", "h", "F1"):
            self.help = True
        elif key in (" ", "redraw"):
            self.again = True

    def _sort(self, by: str) -> None:
        self.by, self.reverse, self.cursor = by, False, 0

    def _move(self, key: str, room: int) -> bool:
        step = {
            **_STEPS, "page up": -room, "page down": room, "home": -_END, "g": -_END, "end": _END,
            "G": _END,
        }.get(key)  # fmt: skip
        if step is None:
            return False
        self.cursor = max(0, min(self.cursor + step, len(self.names) - 1))
        return True

    def _type(self, key: str) -> None:
        assert self.prompt is not None
        if key == "enter":
            self.prompt = None
            return
        if key == "escape":
            self.prompt = None
            self.filter = "" if self.asked == "filter" else self.filter
            return
        if key == "backspace":
            self.prompt = self.prompt[:-1]
        elif len(key) == 1:
            self.prompt += key
        if self.asked == "filter":
            self.filter = self.prompt
        else:
            self.searched = self.prompt
            self._search(self.cursor)

    def _search(self, start: int) -> None:
        """Put the cursor on the next row with the text in its name."""
        wanted = self.searched.casefold()
        for place in range(len(self.names)):
            at = (start + place) % len(self.names)
            if wanted and wanted in self.names[at].casefold():
                self.cursor = at
                return

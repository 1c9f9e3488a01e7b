"""Deploys on a terminal: a row each, within its width, while they are still being found.

A table as of ``aligned`` knows all its rows first. History may be long, and ``-f`` has no end, so
the widths of these columns follow from the terminal's alone. The vassal stands before the configs,
because the columns on the right are those that a narrow terminal cuts.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from ..daemon.cli import terminal
from ..journal import times
from ..monitors.names import shown
from . import altered_rows, clocks
from .deploys import DeployText

_HEAD: Final = ("SEQ", "AT", "WHAT", "VASSAL", "CONFIG", "OUTCOME", "MONITOR, BY")
_NARROW: Final = 110  # columns of a terminal; below, only the new config and the bare outcome
_GAP: Final = 2
_OF_OUTCOMES: Final = {
    "accepting": "good", "running": "good", "died": "bad", "barred": "bad", "refused": "bad",
    "rolled_back": "bad", "held": "held", "pending": "busy",
}  # fmt: skip


class Rows:
    """The rows of a terminal of ``most`` columns; ``hosts`` are named where there are several."""

    def __init__(self, most: int, hosts: Sequence[str]) -> None:
        self._now = times.now()
        self._narrow = most < _NARROW
        vassal = max(16, min(40, most // 4))
        wide = [8, 12, 9, vassal, *((12, 11) if self._narrow else (28, 22)), most]
        if hosts:
            wide.insert(0, max(map(terminal.cells, map(shown, hosts))))
        self._hosted = bool(hosts)
        self._widths = list(_within(wide, most))

    def head(self) -> str:
        """The head of the table."""
        at = f"AT ({clocks.zone(self._now)})"
        return self._row("HOST", (f"{_HEAD[0]:>8}", at, *_HEAD[2:]), "head")

    def row(self, host: str | None, told: DeployText, *, altered: bool) -> str:
        """A deploy."""
        config, outcome = told.config, told.outcome
        if self._narrow:
            config = config.rpartition(" -> ")[2]
        elif told.after:
            outcome = f"{outcome} after {told.after}"
        style = _OF_OUTCOMES.get(told.outcome, "")
        seq = altered_rows.marked(told.seq) if altered else told.seq
        at = clocks.cell(told.at, self._now)
        cells = (seq, at, told.what, told.vassal, config, terminal.Styled(outcome, style))
        return self._row(shown(host or ""), (*cells, told.source))

    def _row(self, host: str, cells: Sequence[str], style: str = "") -> str:
        every = (host, *cells) if self._hosted else cells
        return terminal.row(every[: len(self._widths)], self._widths, style)


def _within(wide: Sequence[int], most: int) -> Iterator[int]:
    """Widths that a terminal has room for; the last one is what is left."""
    left = most
    for each in wide:
        if left <= 0:
            return
        yield min(each, left)
        left -= each + _GAP

"""How output looks: on a terminal coloured, cut at its width, in local time; in a pipe plain.

The library rich draws colours and measures wide characters. It is imported when the first colour
is drawn, so output to a pipe never waits for it. Its tables take a millisecond a row, which is
2.7 s for 2,000 vassals. So ``tables.py`` lays tables out itself.
"""

import os
import shutil
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from rich.style import Style

COLORS: Final = ("auto", "always", "never")
_COLOR: Final = "emperord.cli.color"  # in a context's meta: one of COLORS
_PAGER: Final = "emperord.cli.pager"  # in a context's meta: whether a pager may be used
_STYLES: Final = {
    "head": "bold", "good": "green", "busy": "yellow", "bad": "bold red", "held": "magenta",
    "idle": "cyan", "dim": "dim", "chosen": "reverse", "bar": "black on green",
    "sorted": "black on cyan",
}  # fmt: skip
_OF_PHASES: Final = {
    "accepting": "good", "ready": "good", "listening": "idle", "queued": "busy", "starting": "busy",
    "reloading": "busy", "stopping": "busy", "throttled": "bad", "barred": "bad", "held": "held",
}  # fmt: skip
_ELLIPSIS: Final = "…"
_LEAST: Final = 6  # cells of a column that is cut
_GAP: Final = 2
_DAY: Final = 86_400 * 10**9


class Styled(str):
    """A cell of a table, or another text, with the name of its style."""

    __slots__ = ("style",)

    def __new__(cls, text: str, style: str) -> "Styled":
        styled = super().__new__(cls, text)
        styled.style = style
        return styled

    style: str


def options(hidden: bool = False) -> list[click.Parameter]:
    """``--color`` and ``--no-pager``, which stand before or behind the name of a command."""
    return [
        click.Option(
            ["--color"], type=click.Choice(COLORS), callback=_note_color, expose_value=False,
            hidden=hidden, metavar="WHEN",
            help="auto (the default: on a terminal, unless NO_COLOR is set), always or never.",
        ),
        click.Option(
            ["--no-pager"], is_flag=True, callback=_note_pager, expose_value=False, hidden=hidden,
            help="Do not show what is longer than the terminal in a pager (PAGER).",
        ),
    ]  # fmt: skip


def _note_color(context: click.Context, _: click.Parameter, told: str | None) -> None:
    if told is not None:
        context.meta[_COLOR] = told


def _note_pager(context: click.Context, _: click.Parameter, told: bool) -> None:
    if told:
        context.meta[_PAGER] = False


def _told(key: str, default: Any) -> Any:
    context = click.get_current_context(silent=True)
    return default if context is None else context.meta.get(key, default)


def is_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def may_page() -> bool:
    """Whether long output may go to a pager."""
    return is_terminal() and bool(_told(_PAGER, True)) and not is_dumb()


def is_dumb() -> bool:
    """Whether the terminal knows no colours and no cursor."""
    return os.environ.get("TERM", "") in ("", "dumb")


def is_coloured() -> bool:
    """Whether output has colours (https://no-color.org)."""
    told = _told(_COLOR, "auto")
    if told != "auto":
        return bool(told == "always")
    return is_terminal() and not os.environ.get("NO_COLOR") and not is_dumb()


def width() -> int | None:
    """Columns of the terminal; None where output is whole: it goes to a pipe or a file."""
    return shutil.get_terminal_size().columns if is_terminal() else None


def painted(text: str, style: str) -> str:
    """The text in a style of ours, where output has colours."""
    if not style or not text or not is_coloured():
        return text
    from rich.color import ColorSystem  # 40 ms, for the first colour

    return str(_style(style).render(text, color_system=ColorSystem.STANDARD))


@cache
def _style(name: str) -> "Style":
    from rich.style import Style

    return Style.parse(_STYLES[name])


def of_phase(phase: str) -> str:
    """The style of a vassal's phase."""
    return _OF_PHASES.get(phase, "")


def cells(text: str) -> int:
    """The columns that a text takes: East Asian characters take two on a terminal."""
    if text.isascii() or not is_terminal():
        return len(text)
    from rich.cells import cell_len

    return int(cell_len(text))


def cut(text: str, most: int) -> str:
    """The text within so many columns; an ellipsis stands for what is cut off."""
    if cells(text) <= most:
        return text
    kept = text[: max(0, most - 1)]
    while cells(kept) > most - 1:
        kept = kept[:-1]
    return kept + _ELLIPSIS if most > 0 else ""


def fitted(natural: Sequence[int], most: int) -> list[int]:
    """Widths of a table's columns within ``most`` columns; the widest are cut first.

    The first column, which names a row, keeps a fourth. Columns on the right that have no room are
    left out.
    """
    room = most - _GAP * (len(natural) - 1)
    if sum(natural) <= room:
        return list(natural)
    name = min(natural[0], most // 4)
    least = [name, *(min(each, _LEAST) for each in natural[1:])]
    if sum(least) > room and len(natural) > 1:
        return fitted(natural[:-1], most)
    widths = least
    while True:
        narrow = [i for i, each in enumerate(natural) if widths[i] < each]
        if not narrow or sum(widths) >= room:
            return widths
        widths[min(narrow, key=widths.__getitem__)] += 1


def row(cells_: Sequence[str], widths: Sequence[int], style: str = "") -> str:
    """A line of a table, each cell in its style; the last one is not padded."""
    if not is_terminal() and not is_coloured():
        return _plain_row(cells_, widths)
    told = []
    last = len(cells_) - 1
    for place, (cell, wide) in enumerate(zip(cells_, widths, strict=True)):
        text = cut(cell, wide)
        padding = "" if place == last else " " * (wide - cells(text))
        told.append(painted(text, getattr(cell, "style", style)) + padding)
    return (" " * _GAP).join(told).rstrip()


def _plain_row(cells_: Sequence[str], widths: Sequence[int]) -> str:
    """A line for a pipe: lists have thousands of rows, and each character counts as one column."""
    pairs = zip(cells_, widths, strict=True)
    padded = [cell.ljust(wide) if len(cell) <= wide else cut(cell, wide) for cell, wide in pairs]
    return (" " * _GAP).join(padded).rstrip()


def clock(at: int) -> str:
    """A time of UTC nanoseconds: local with its zone on a terminal, else UTC as RFC 3339."""
    if not is_terminal():
        return f"{datetime.fromtimestamp(at // 10**9, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return f"{datetime.fromtimestamp(at // 10**9):%Y-%m-%d %H:%M:%S} {zone(at)}"


def brief_clock(at: int, now: int) -> str:
    """A local time in a table whose head names the zone: the clock, or the date if it is old."""
    then = datetime.fromtimestamp(at // 10**9)
    form = "%H:%M:%S" if now - at < _DAY else "%b %d %H:%M" if now - at < 180 * _DAY else "%Y-%m-%d"
    return then.strftime(form)


def zone(at: int) -> str:
    """The name of the local zone at that time: ``CET``."""
    return time.localtime(at // 10**9).tm_zone

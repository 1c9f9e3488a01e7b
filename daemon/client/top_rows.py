"""The rows of ``emperor-ctl top``: what each tells, in which order, and how it looks."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from ...journal.times import age
from ...monitors.names import shown
from ..cli import terminal
from .usage import Usage

GAP: Final = " "
_UNKNOWN: Final = "-"
_LEAST_NAME: Final = 12


class Row(NamedTuple):
    """A vassal as the daemon tells it, and how much it uses."""

    vassal: Mapping[str, Any]
    use: Usage | None

    @property
    def name(self) -> str:
        return str(self.vassal["name"])

    def record(self) -> dict[str, Any]:
        """The row for programs."""
        sample = None if self.use is None else self.use.sample
        share = None if self.use is None else self.use.share
        return {
            "name": self.name,
            "phase": self.vassal["phase"],
            "pid": self.vassal.get("pid"),
            "processes": None if sample is None else sample.processes,
            "cpu_percent": None if share is None else round(share * 100, 1),
            "memory_bytes": None if sample is None else sample.memory,
            "cpu_s": None if sample is None else round(sample.cpu, 2),
            "restarts": self.vassal.get("restarts"),
            "uptime_s": self.vassal.get("uptime_s"),
        }


class Column(NamedTuple):
    """``key`` sorts, the largest first unless ``ascending``. A width of 0 is for what is left."""

    name: str
    head: str
    width: int
    text: Callable[[Row], str]
    key: Callable[[Row], Any]
    ascending: bool = False


def _size(row: Row) -> str:
    return _UNKNOWN if row.use is None else size_text(row.use.sample.memory)


def size_text(size: float) -> str:
    """A size in four characters: ``512K``, ``3.2G``."""
    for unit in "BKMGT":
        if size < 1000 or unit == "T":
            return f"{size:.1f}{unit}" if size < 9.95 and unit not in "BK" else f"{size:.0f}{unit}"
        size /= 1024
    raise AssertionError(size)


def _share(row: Row) -> str:
    share = None if row.use is None else row.use.share
    return _UNKNOWN if share is None else f"{share * 100:.1f}"


def time_text(seconds: float) -> str:
    """CPU time as in top: ``0:05.32``, ``7h12m``, ``3d04h``."""
    if seconds < 6000:
        minutes, rest = divmod(seconds, 60)
        return f"{int(minutes)}:{int(rest * 100) // 100:02d}.{int(rest * 100) % 100:02d}"
    hours = int(seconds) // 3600
    if hours < 100:
        return f"{hours}h{int(seconds) % 3600 // 60:02d}m"
    return f"{hours // 24}d{hours % 24:02d}h"


def _number(value: Any) -> str:
    return _UNKNOWN if value is None else str(value)


def _up(row: Row) -> str:
    uptime = row.vassal.get("uptime_s")
    return _UNKNOWN if uptime is None else age(int(uptime * 1e9)).replace(" ", "")


def _of_use(part: Callable[[Usage], Any]) -> Callable[[Row], Any]:
    def key(row: Row) -> Any:
        told = None if row.use is None else part(row.use)
        return -1 if told is None else told

    return key


COLUMNS: Final = (
    Column("name", "VASSAL", 0, lambda row: shown(row.name), lambda row: row.name, ascending=True),
    Column("phase", "PHASE", 9, lambda row: row.vassal["phase"],
           lambda row: row.vassal["phase"], ascending=True),
    Column("pid", "PID", 7, lambda row: _number(row.vassal.get("pid")),
           lambda row: row.vassal.get("pid") or 0, ascending=True),
    Column("processes", "PRC", 4,
           lambda row: _UNKNOWN if row.use is None else str(row.use.sample.processes),
           _of_use(lambda use: use.sample.processes)),
    Column("cpu", "CPU%", 6, _share, _of_use(lambda use: use.share)),
    Column("memory", "MEM", 5, _size, _of_use(lambda use: use.sample.memory)),
    Column("time", "TIME+", 8,
           lambda row: _UNKNOWN if row.use is None else time_text(row.use.sample.cpu),
           _of_use(lambda use: use.sample.cpu)),
    Column("restarts", "RST", 3, lambda row: _number(row.vassal.get("restarts")),
           lambda row: row.vassal.get("restarts") or 0),
    Column("uptime", "UP", 5, _up, lambda row: row.vassal.get("uptime_s") or 0),
)  # fmt: skip
NAMES: Final = tuple(column.name for column in COLUMNS)


def ordered(rows: Iterable[Row], by: str, reverse: bool) -> list[Row]:
    """The rows in an order; equal ones by name."""
    column = COLUMNS[NAMES.index(by)]
    found = sorted(rows, key=lambda row: row.name)
    found.sort(key=column.key, reverse=column.ascending == reverse)
    return found


def line(row: Row, columns: int, *, chosen: bool = False) -> str:
    """A row as a line of so many columns."""
    phase = terminal.of_phase(row.vassal["phase"])
    cells = []
    for column, width in zip(COLUMNS, widths(columns), strict=True):
        text = _fitted(column.text(row), width, right=column.width > 0 and column.name != "phase")
        styled = not chosen and column.name == "phase"
        cells.append(terminal.painted(text, phase) if styled else text)
    text = terminal_cut(cells, columns)
    return terminal.painted(text, "chosen") if chosen else text


def head(columns: int, by: str) -> str:
    """The line above the rows; the column that they are sorted by stands out."""
    cells = []
    for column, width in zip(COLUMNS, widths(columns), strict=True):
        text = _fitted(column.head, width, right=column.width > 0 and column.name != "phase")
        cells.append(terminal.painted(text, "sorted" if column.name == by else "bar"))
    return terminal.painted(GAP, "bar").join(cells[: _count(columns)])


def widths(columns: int) -> list[int]:
    """The widths of all columns; the name has what is left."""
    fixed = sum(column.width for column in COLUMNS[: _count(columns)])
    left = columns - fixed - len(GAP) * (_count(columns) - 1)
    return [column.width or max(1, left) for column in COLUMNS]


def terminal_cut(cells: Sequence[str], columns: int) -> str:
    """The cells that have room beside a name."""
    return GAP.join(cells[: _count(columns)])


def _count(columns: int) -> int:
    """How many columns of the table have room, the name's included."""
    used = _LEAST_NAME
    for place, column in enumerate(COLUMNS):
        used += column.width + (len(GAP) if place else 0)
        if used > columns:
            return max(1, place)
    return len(COLUMNS)


def _fitted(text: str, width: int, *, right: bool) -> str:
    text = terminal.cut(text, width)
    padding = " " * (width - terminal.cells(text))
    return padding + text if right else text + padding

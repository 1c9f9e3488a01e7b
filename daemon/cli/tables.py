"""Lists in the formats that the commands share: ``-o short|wide|json|jsonl|csv``.

``short`` is a command's own: lines for people. The others tell all that is known. ``wide`` is a
table for people, ``json`` an array, ``jsonl`` an object a line. ``csv`` has a header; in it unknown
values are empty, and lists and objects are JSON.
"""

import csv
import io
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from itertools import islice
from typing import Any, Final

import click

from ...monitors.names import shown
from . import commandline, escapes, terminal

FORMATS: Final = ("short", "wide", "json", "jsonl", "csv")
Record = Mapping[str, Any]
_AT_ONCE: Final = 500  # records; a list may be longer than memory
_NOTHING: Final = ("", "-")  # cells
_encode: Final = escapes.encode


def listing(json: str = "json") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options ``-o`` and ``--json``, and the function the parameter ``form``.

    ``json`` is the format that ``--json`` means.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def run(*args: Any, form: str | None, as_json: bool, **kwargs: Any) -> Any:
            if as_json and form not in (None, json):
                raise click.UsageError(f"--json is -o {json}; give one of them")
            told = form or (json if as_json else "short")
            return function(*args, form=told, **kwargs)

        run = click.option("--json", "as_json", is_flag=True, help=f"For programs: -o {json}.")(run)
        return click.option(
            "-o", "--output", "form", type=click.Choice(FORMATS), metavar="FORMAT",
            help="short (the default), wide, json, jsonl (an object a line) or csv.",
        )(run)  # fmt: skip

    return decorate


def formatted(form: str, columns: Sequence[str], records: Iterable[Record]) -> Iterator[bytes]:
    """Records in any format but ``short``, as UTF-8, some at a time."""
    return _FORMATTED[form](columns, records)


def write(pieces: Iterable[bytes], *, raw: bool = False, paged: bool = True) -> None:
    """Write to standard output, whatever the locale; on a terminal escaped unless ``raw``.

    Output that has no end is not ``paged``.
    """
    if paged and not raw:
        commandline.page()
    sys.stdout.flush()
    escaped = terminal.is_terminal() and not raw
    for piece in pieces:
        if escaped:
            sys.stdout.write(escapes.for_terminal(piece))
        else:
            sys.stdout.buffer.write(piece)
    sys.stdout.flush()


def aligned(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, whole: bool = False
) -> Iterator[str]:
    """Lines of aligned columns; the last column may be as long as it likes.

    On a terminal a line ends at its width, unless it shall be ``whole``.
    """
    if not terminal.is_terminal() and not terminal.is_coloured():
        yield from _for_pipe(head, rows)
        return
    most = None if whole else terminal.width()
    widths = [max(map(terminal.cells, column)) for column in zip(head, *rows, strict=True)]
    if most is not None:
        head, rows, widths = _for_terminal(head, rows, widths, most)
    yield terminal.row(head, widths, "head")
    for row in rows:
        yield terminal.row(row, widths)


def _for_pipe(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines without colours, where each character is a column. Lists have thousands of rows."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    line = "  ".join(f"%-{width}s" for width in widths)
    for row in (head, *rows):
        yield (line % tuple(row)).rstrip()


def _for_terminal(
    head: Sequence[str], rows: Sequence[Sequence[str]], widths: list[int], most: int
) -> tuple[Sequence[str], Sequence[Sequence[str]], list[int]]:
    """A table within ``most`` columns: those that say nothing go first."""
    if sum(widths) + 2 * (len(widths) - 1) <= most:
        return head, rows, widths
    said = [i for i in range(len(head)) if not i or any(row[i] not in _NOTHING for row in rows)]
    head, rows = [head[i] for i in said], [[row[i] for i in said] for row in rows]
    widths = terminal.fitted([widths[i] for i in said], most)
    count = len(widths)
    return head[:count], [row[:count] for row in rows], widths


def _json(_: Sequence[str], records: Iterable[Record]) -> Iterator[bytes]:
    """A JSON array, one element a line."""
    before = b"["
    for one in records:
        yield before + _encode(one)
        before = b",\n"
    yield b"[]\n" if before == b"[" else b"]\n"


def _jsonl(_: Sequence[str], records: Iterable[Record]) -> Iterator[bytes]:
    for one in records:
        yield _encode(one) + b"\n"


def _csv(columns: Sequence[str], records: Iterable[Record]) -> Iterator[bytes]:
    text = io.StringIO()
    # Not CRLF: a carriage return would stick to the last field in cut, awk and read.
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for one in records:
        if text.tell() > 1 << 16:
            yield _taken(text)
        writer.writerow([_plain(one.get(name)) for name in columns])
    yield _taken(text)


def _taken(text: io.StringIO) -> bytes:
    """The text written so far; the buffer is empty afterwards."""
    written = text.getvalue().encode("utf-8", "backslashreplace")
    text.seek(0)
    text.truncate()
    return written


def _wide(columns: Sequence[str], records: Iterable[Record]) -> Iterator[bytes]:
    """A table; columns are as wide as the first records need."""
    head = [name.upper() for name in columns]
    rest = iter(records)
    while rows := [_shown_cells(columns, one) for one in islice(rest, _AT_ONCE)]:
        widest = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
        lines = list(aligned(head, rows, whole=True))
        yield "".join(line + "\n" for line in (lines if head[0].strip() else lines[1:])).encode()
        head = [" " * width for width in widest]


def _shown_cells(columns: Sequence[str], one: Record) -> list[str]:
    # A daemon of another version may know other keys.
    values = [one.get(name) for name in columns]
    return ["-" if value is None else shown(str(_plain(value))) for value in values]


def _plain(value: Any) -> Any:
    """A value as one field."""
    if isinstance(value, bool | dict | list | tuple):
        return _encode(value).decode()
    return "" if value is None else value


_FORMATTED: Final = {"wide": _wide, "json": _json, "jsonl": _jsonl, "csv": _csv}

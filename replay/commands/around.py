"""``around``: all that was recorded at a time."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import click
import msgspec

from ...daemon.cli.commandline import TIME, Command
from ...daemon.cli.name_arguments import vassals_of
from ...daemon.cli.option_types import duration
from ...daemon.cli.tables import formatted, listing, write
from ...journal.events import KINDS
from ...journal.reading import Row
from ...journal.times import EventNumber, Moment
from .. import around, line_styles
from ..altered_rows import complaint
from ..completing import VASSALS
from ..hosts import HostReader, columns, lines, merged, records, timed
from ..selecting import Selection, filters
from ..shared import (
    UNREADABLE,
    Unreadable,
    check_times,
    complain,
    in_any,
    print_lines,
    reading_all,
)

Tell = Callable[[Row], tuple[Any, bool]]

_NUMBER: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_SIGNS: Final = re.compile(r"±|\+-|\+/-|\+|-")
_SPAN: Final = re.compile(
    rf"(?:{_SIGNS.pattern}).*|\d+(?:\.\d+)?\s*[a-zA-Z]*", re.ASCII | re.DOTALL
)


def _moment(context: click.Context, parameter: click.Parameter, told: str) -> Moment:
    if _NUMBER.fullmatch(told):
        return EventNumber(int(told))
    moment: Moment = TIME.convert(told, parameter, context)
    return moment


def _span(words: Sequence[str]) -> tuple[tuple[int, int], tuple[str, ...]]:
    """How long before and after, in nanoseconds, and the words behind that: names."""
    told, names = "±30s", tuple(words)
    if words and _SPAN.fullmatch(words[0]):
        told, names = words[0], tuple(words[1:])
    found = _SIGNS.match(told)
    sign = found[0] if found else ""
    length = int(duration(0.001)(told.removeprefix(sign)) * 1e9)
    return (0 if sign == "+" else length, 0 if sign == "-" else length), names


def _words(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.argument(
        "names", metavar="[±30s] [NAME]...", nargs=-1, callback=vassals_of, shell_complete=VASSALS
    )(command)


@click.command("around", cls=Command)
@click.argument("when", metavar="SEQ|T", callback=_moment)
@filters(tuple(KINDS), requests=True, argument=_words)
@listing(json="jsonl")
@reading_all
def command(
    hosts: Sequence[HostReader],
    when: Moment,
    which: Selection,
    form: str,
) -> int:
    """All that was recorded around a time, in one stream.

    Each event has its distance from that time or event, and the event that led to it (<-). The
    span is 30 s before and after unless told: 5m, ±5m or +-5m; +5m is after only, -5m before.
    Names, patterns and options leave out others.
    """
    check_times(hosts, when)
    span, names_told = _span(which.names)
    chosen = msgspec.structs.replace(which, names=names_told).of(hosts)
    filter_of = {id(each.reader): each.which for each in chosen}
    windows = in_any(chosen, lambda each: around.Window(each.reader, when, *span))
    names = {id(each.reader): each.host for each in hosts}
    unreadable = [Unreadable(each.reader, filter_of[id(each.reader)]) for each in windows]

    def told(tell: Callable[[around.Window], Tell]) -> Iterator[tuple[str | None, Any]]:
        return merged(
            (
                names[id(window.reader)],
                bad.seen(window.rows(filter_of[id(window.reader)]), timed(tell(window))),
            )
            for window, bad in zip(windows, unreadable, strict=True)
        )

    if form == "short":
        texts = lines(hosts, told(lambda window: window.line))
        print_lines(line_styles.fitted(texts, line_styles.AROUND))
    else:
        found = records(told(lambda window: window.record))
        write(formatted(form, columns(hosts, around.COLUMNS), found))
    codes = [each.code() for each in unreadable]
    codes += [
        complain(complaint(window.reader, window.altered), UNREADABLE)
        for window in windows
        if window.altered
    ]
    return max(codes)

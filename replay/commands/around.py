"""``around``: all that was recorded at a time."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import click

from ...daemon.cli.commandline import TIME, Command
from ...daemon.cli.option_types import duration
from ...daemon.cli.tables import formatted, listing, write
from ...journal.events import KINDS
from ...journal.reading import Row
from ...journal.selection import Filter
from ...journal.times import EventNumber, Moment
from .. import around
from ..hosts import HostReader, columns, lines, merged, records, timed
from ..shared import (
    UNREADABLE,
    Unreadable,
    check_times,
    complain,
    in_any,
    kinds_option,
    print_lines,
    reading_all,
)
from ..trust import complaint

Tell = Callable[[Row], tuple[Any, bool]]

_NUMBER: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_SIGNS: Final = re.compile(r"±|\+-|\+/-|\+|-")


def _moment(context: click.Context, parameter: click.Parameter, told: str) -> Moment:
    if _NUMBER.fullmatch(told):
        return EventNumber(int(told))
    moment: Moment = TIME.convert(told, parameter, context)
    return moment


def _span(_: click.Context, __: click.Parameter, told: str) -> tuple[int, int]:
    """How long before and after, in nanoseconds."""
    found = _SIGNS.match(told)
    sign = found[0] if found else ""
    length = int(duration(0.001)(told.removeprefix(sign)) * 1e9)
    return (0 if sign == "+" else length, 0 if sign == "-" else length)


@click.command("around", cls=Command)
@click.argument("when", metavar="SEQ|T", callback=_moment)
@click.argument("span", metavar="[±30s]", default="±30s", callback=_span)
@kinds_option(tuple(KINDS))
@listing(json="jsonl")
@reading_all
def command(
    hosts: Sequence[HostReader],
    when: Moment,
    span: tuple[int, int],
    chosen: tuple[str, ...],
    form: str,
) -> int:
    """Everything at that time in one stream: all kinds, all vassals, all sources.

    Each event has its distance from that time or event, and the event that led to it (<-). The
    span is 30 s before and after unless told: 5m, ±5m or +-5m; +5m is after only, -5m before.
    """
    check_times(hosts, when)
    windows = in_any(hosts, lambda each: around.Window(each.reader, when, *span))
    names = {id(each.reader): each.host for each in hosts}
    unreadable = [Unreadable(window.reader) for window in windows]

    def told(tell: Callable[[around.Window], Tell]) -> Iterator[tuple[str | None, Any]]:
        return merged(
            (
                names[id(window.reader)],
                bad.seen(window.rows(Filter(kinds=chosen)), timed(tell(window))),
            )
            for window, bad in zip(windows, unreadable, strict=True)
        )

    if form == "short":
        print_lines(lines(hosts, told(lambda window: window.line)))
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

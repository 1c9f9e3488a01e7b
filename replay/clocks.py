"""Times in texts for people: local on a terminal, with their zone; UTC in a pipe.

A page or picture for others, as of ``incident``, has UTC on a terminal, too: its command says
``keep_utc``.
"""

from datetime import datetime
from functools import lru_cache
from typing import Final

import click

from ..daemon.cli import terminal
from ..journal import times

_UTC: Final = "emperord.replay.utc"  # in the context: whether times stay UTC
_SECOND: Final = 1_000_000_000


def keep_utc() -> None:
    """Have all times of this command in UTC."""
    click.get_current_context().meta[_UTC] = True


def is_local() -> bool:
    """Whether times are those of the local zone."""
    if not terminal.is_terminal():  # first: it is asked for each cell of a list
        return False
    context = click.get_current_context(silent=True)
    return not (context is not None and context.meta.get(_UTC))


def told(at: int) -> str:
    """To the millisecond, without a zone: its line, day or table has ``zone``."""
    if is_local():
        try:
            return f"{_local(at // _SECOND)}.{at % _SECOND // 1_000_000:03}"
        except (OverflowError, OSError, ValueError):  # past all calendars: only in a damaged row
            pass
    return times.for_people(at)


def zone(at: int) -> str:
    """The zone of a time: ``CET``."""
    return terminal.zone(at) if is_local() else "UTC"


def stamp(at: int) -> str:
    """To the millisecond, with its zone: ``2026-11-24 07:31:03.532 CET``."""
    return f"{told(at)} {zone(at)}"


def in_line(at: int) -> str:
    """In a line that has no zone in a pipe, where all are UTC: on a terminal as ``stamp``."""
    return stamp(at) if is_local() else times.for_people(at)


def cell(at: int, now: int, most: int | None = None) -> str:
    """In a table whose head has ``zone(now)``: on a terminal short, as ``emperor-ctl list`` has it.

    Else it has ``most`` characters. A time of another zone, as of summer, has its own.
    """
    if not is_local():
        return times.for_people(at)[:most]
    text = terminal.brief_clock(at, now)
    return text if zone(at) == zone(now) else f"{text} {zone(at)}"


def exact(at: int) -> str:
    """To the nanosecond as in JSON; on a terminal as ``stamp``."""
    return stamp(at) if is_local() else times.rfc3339(at)


@lru_cache(maxsize=64)
def _local(seconds: int) -> str:
    return datetime.fromtimestamp(seconds).isoformat(" ")

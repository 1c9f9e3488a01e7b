"""The options ``--since`` and ``--until`` of commands that tell how something stands at a moment.

The moment is the end of the period. So ``--until`` means the same as ``--at`` here, and each
command says in its help how ``--since`` changes its answer.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import click

from ..daemon.cli.commandline import TIME
from ..journal.reading import Reader
from ..journal.times import EventNumber, Moment
from .rebuild import moment
from .shared import check_order


class Period(NamedTuple):
    """The events behind ``after`` and up to ``upto``. Without a beginning, ``after`` is None.

    ``since`` is the beginning as it was told. It may be from before this file.
    """

    after: int | None
    upto: int
    since: Moment | None = None

    def has(self, seq: int) -> bool:
        """Whether an event is in it."""
        return seq <= self.upto and (self.after is None or seq > self.after)

    def __str__(self) -> str:
        if self.after is None:
            return f"up to event {self.upto}"
        if self.after >= self.upto:
            return "in the period, in which no event is"
        return f"in the period (events {self.after + 1} to {self.upto})"


def period_options(since: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options; ``since`` is the help of ``--since``."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        until = "As --at: later events are not looked at."
        command = click.option("--until", type=TIME, metavar="T", help=until)(command)
        return click.option("--since", type=TIME, metavar="T", help=since)(command)

    return decorate


def period_of(
    reader: Reader, since: Moment | None, until: Moment | None, at: Moment | None,
    seq: int | None = None,
) -> Period:  # fmt: skip
    """The period that the options mean. Raises NotFound, UsageError."""
    ends = {
        "--at": at,
        "--seq": None if seq is None else EventNumber(seq),
        "--until": until,
    }
    given = [option for option, told in ends.items() if told is not None]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given[:2])} both say when; give one of them")
    end = ends[given[0]] if given else None
    if given:
        check_order(reader, since, end, given[0])
    upto = moment(reader, end, None)
    if until is not None:
        upto = min(upto, reader.head.seq)
    return Period(None if since is None else reader.seq_before(since), upto, since)

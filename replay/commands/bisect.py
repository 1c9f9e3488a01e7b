"""``bisect``: the deploy that first made a vassal fail."""

import os
from itertools import chain
from typing import get_args

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import Command
from ...daemon.cli.tables import write
from ...daemon.core.deploys import Outcome
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import bisection
from ..periods import period_of, period_options
from ..rebuild import NotFound
from ..several import of_each
from ..shared import (
    complain,
    moments,
    name_argument,
    print_lines,
    raw_option,
    reading,
)


@click.command("bisect", cls=Command)
@name_argument
@moments
@period_options("Only a deploy since then; the last good one may be older.")
@click.option(
    "--outcome", "outcomes", multiple=True, type=click.Choice(get_args(Outcome)), metavar="O",
    help="Bad are deploys with this outcome.  [default: died, rolled_back, barred]",
)  # fmt: skip
@click.option("--line", metavar="TEXT", help="Bad are deploys whose config has this text.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@raw_option
@reading
def command(
    reader: Reader, name: str, at: Moment | None, seq: int | None, since: Moment | None,
    until: Moment | None, outcomes: tuple[str, ...], line: str | None, as_json: bool, raw: bool,
) -> None:  # fmt: skip
    """The deploy that first made a vassal fail.

    It prints the last good one, too, and the difference. The outcomes of its deploys tell. A deploy
    that tells nothing, as another came first or it still waits, is skipped. With --since and
    --until it looks for the change that broke the vassal between the two. Exits with 1 if no deploy
    is bad, or if it was bad before --since already. NAME may be a pattern ('app-*').
    """
    if line is not None and outcomes:
        raise click.UsageError("--line and --outcome both say which deploys are bad; give one")
    if line == "":
        raise click.UsageError("--line is empty; say which text a bad config has")
    if line is None:
        judge = bisection.by_outcome(outcomes or bisection.BAD)
    else:
        judge = bisection.by_line(reader, os.fsencode(line))
    period = period_of(reader, since, until, at, seq)
    all_found, several = of_each(
        reader, (name,), lambda each: (each, bisection.bisect(reader, each, period, judge))
    )
    if as_json:
        records = [bisection.record(reader, each, found) for each, found in all_found]
        write([escapes.encode(records if several else records[0]), b"\n"])
        return
    for place, (each, found) in enumerate(all_found):
        print_lines(chain([""] if place else [], bisection.lines(reader, each, found)))
        try:
            write(bisection.difference(reader, each, found), raw=raw)
        except NotFound as error:
            complain(error)

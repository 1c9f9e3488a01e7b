"""``bisect``: the deploy that first made a vassal fail."""

import os
from typing import get_args

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import Command
from ...daemon.cli.tables import write
from ...daemon.core.deploys import Outcome
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import bisection
from ..rebuild import NotFound
from ..shared import complain, moment_of, moments, name_argument, print_lines, raw_option, reading


@click.command("bisect", cls=Command)
@name_argument
@moments
@click.option(
    "--outcome", "outcomes", multiple=True, type=click.Choice(get_args(Outcome)), metavar="O",
    help="Bad are deploys with this outcome.  [default: died, barred]",
)  # fmt: skip
@click.option("--line", metavar="TEXT", help="Bad are deploys whose config has this text.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@raw_option
@reading
def command(
    reader: Reader, name: str, at: Moment | None, seq: int | None, outcomes: tuple[str, ...],
    line: str | None, as_json: bool, raw: bool,
) -> None:  # fmt: skip
    """The deploy that first made a vassal fail, the last good one, and the difference.

    The outcomes of its deploys tell. A deploy that tells nothing, as another came first or it
    still waits, is skipped. Exits with 1 if no deploy is bad.
    """
    if line is not None and outcomes:
        raise click.UsageError("--line and --outcome both say which deploys are bad; give one")
    if line == "":
        raise click.UsageError("--line is empty; say which text a bad config has")
    if line is None:
        judge = bisection.by_outcome(outcomes or bisection.BAD)
    else:
        judge = bisection.by_line(reader, os.fsencode(line))
    found = bisection.bisect(reader, name, moment_of(reader, at, seq), judge)
    if as_json:
        write([escapes.encode(bisection.record(reader, name, found)), b"\n"])
        return
    print_lines(bisection.lines(name, found))
    try:
        write(bisection.difference(reader, name, found), raw=raw)
    except NotFound as error:
        complain(error)

"""``why``: the chain of causes that led to a vassal's phase."""

import time
from collections.abc import Iterator, Sequence
from itertools import chain

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import TIME, Command
from ...daemon.cli.nearest import is_pattern
from ...daemon.cli.tables import formatted, write
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import line_styles, why
from ..altered_rows import complaint
from ..clocks import keep_utc
from ..completing import VASSALS
from ..names import chosen
from ..rebuild import NotFound, moment
from ..shared import UNREADABLE, complain, names_of, print_lines, reading
from ..story import Story


@click.command("why", cls=Command)
@click.argument(
    "names", metavar="NAME...", nargs=-1, required=True, callback=names_of, shell_complete=VASSALS
)
@click.option("--at", "--until", "at", type=TIME, metavar="T", help="As it was at this time.")
@click.option("--json", "as_json", is_flag=True, help="For programs; several are an array.")
@click.option("--live", is_flag=True, hidden=True)  # a daemon goes on with it: control/stories.py
@reading
def command(
    reader: Reader, names: Sequence[str], at: Moment | None, as_json: bool, live: bool
) -> int:
    """The chain of causes that led to a vassal's present phase. NAME may be a pattern ('app-*').

    After a crash loop it says since when the vassal is down, and which deploy broke it. It lists
    the repairs that were tried: ✓ helped, ✗ died, - came too late.
    """
    if as_json:
        keep_utc()
    seq = moment(reader, at, None)
    now = time.time_ns() if live else None
    altered = set[int]()
    if len(names) == 1 and (not is_pattern(names[0]) or reader.first_of(names[0])):
        told = why.tell(reader, names[0], seq, now)
        altered.update(told.altered)
        if as_json:
            write([escapes.encode(why.record(reader, told)), b"\n"])
        else:
            print_lines(line_styles.story(why.lines(reader, told)))
    else:
        stories = _each(reader, chosen(reader, names), seq, now, altered)
        if as_json:
            write(formatted("json", (), (why.record(reader, told) for told in stories)))
        else:
            for place, told in enumerate(stories):
                print_lines(
                    line_styles.story(chain([""] if place else [], why.lines(reader, told)))
                )
    return complain(complaint(reader, sorted(altered)), UNREADABLE) if altered else 0


def _each(
    reader: Reader, names: Sequence[str], seq: int, now: int | None, altered: set[int]
) -> Iterator[Story]:
    """The story of each that was known then, one at a time; of the others a complaint."""
    for name in names:
        try:
            told = why.tell(reader, name, seq, now)
        except NotFound as error:
            complain(error)
            continue
        altered.update(told.altered)
        yield told

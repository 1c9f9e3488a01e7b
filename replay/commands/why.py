"""``why``: the chain of causes that led to a vassal's phase."""

import time
from collections.abc import Iterator, Sequence
from itertools import chain

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import TIME, Command
from ...daemon.cli.tables import formatted, write
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import line_styles, why
from ..altered_rows import complaint
from ..clocks import keep_utc
from ..of_source import monitor_option
from ..rebuild import moment
from ..several import answers, meant
from ..shared import UNREADABLE, complain, print_lines, reading, some_names_argument
from ..story import Story


@click.command("why", cls=Command)
@some_names_argument
@click.option("--at", "--until", "at", type=TIME, metavar="T", help="As it was at this time.")
@monitor_option
@click.option("--json", "as_json", is_flag=True, help="For programs; several are an array.")
@click.option("--live", is_flag=True, hidden=True)  # a daemon goes on with it: control/stories.py
@reading
def command(
    reader: Reader, names: Sequence[str], at: Moment | None, monitor: str | None, as_json: bool,
    live: bool,
) -> int:  # fmt: skip
    """The chain of causes that led to a vassal's present phase. NAME may be a pattern ('app-*').

    After a crash loop it says since when the vassal is down, and which deploy broke it. It lists
    the repairs that were tried: ✓ helped, ✗ died, - came too late.
    """
    if as_json:
        keep_utc()
    seq = moment(reader, at, None)
    now = time.time_ns() if live else None
    altered = set[int]()
    found, several = meant(reader, names, monitor)
    stories = _noting(answers(found, why.Stories(reader, found, seq, now).tell), altered)
    if as_json and several:
        write(formatted("json", (), (why.record(reader, told) for told in stories)))
    elif as_json:
        write([escapes.encode(why.record(reader, next(stories))), b"\n"])
    else:
        for place, told in enumerate(stories):
            print_lines(line_styles.story(chain([""] if place else [], why.lines(reader, told))))
    return complain(complaint(reader, sorted(altered)), UNREADABLE) if altered else 0


def _noting(stories: Iterator[Story], altered: set[int]) -> Iterator[Story]:
    for told in stories:
        altered.update(told.altered)
        yield told

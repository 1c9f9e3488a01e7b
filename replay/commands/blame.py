"""``blame``: the deploy that brought each line of a config."""

from itertools import chain

import click

from ...daemon.cli.commandline import Command
from ...daemon.cli.tables import formatted, listing, write
from ...journal.deploys import DEPLOYED, DEPLOYS
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import blame
from ..altered_rows import altered, complaint
from ..periods import period_of, period_options
from ..several import of_each
from ..shared import (
    UNREADABLE,
    complain,
    moments,
    name_argument,
    print_lines,
    raw_option,
    reading,
)


@click.command("blame", cls=Command)
@name_argument
@moments
@period_options("Mark lines that did not change since then with ^, as git blame does.")
@listing()
@raw_option
@reading
def command(
    reader: Reader, name: str, at: Moment | None, seq: int | None, since: Moment | None,
    until: Moment | None, form: str, raw: bool,
) -> int:  # fmt: skip
    """Each line of a config with the deploy that brought it.

    The author is there where one is known. A removal does not end a line's history, and neither
    does a rename, where one vassal is removed and another comes with the same text. ^ marks a line
    that may be older: the journal does not go back further, or the line did not change since
    --since. Such a line is told with the deploy that was there then. NAME may be a pattern
    ('app-*').
    """
    period = period_of(reader, since, until, at, seq)
    found, several = of_each(
        reader, (name,), lambda each: (each, blame.blame(reader, each, period.upto, period.after))
    )
    if form == "short":
        for place, (each, lines) in enumerate(found):
            if several:
                print_lines([*([""] if place else []), blame.title(each)])
            write(blame.told(reader, each, lines), raw=raw)
    else:
        records = chain.from_iterable(blame.records(reader, lines) for _, lines in found)
        write(formatted(form, blame.COLUMNS, records), raw=raw)
    for each, _ in found:
        last = reader.last_of(each, DEPLOYS, period.upto)
        if last is not None and last[2] not in DEPLOYED:
            complain(f"{each} is not there any more: event {last[0]} removed it")
    bad = altered(reader, (line.version.seq for _, lines in found for line in lines))
    return complain(complaint(reader, bad), UNREADABLE) if bad else 0

"""``blame``: the deploy that brought each line of a config."""

import click

from ...daemon.cli.commandline import Command
from ...daemon.cli.tables import formatted, listing, write
from ...journal.deploys import DEPLOYED, DEPLOYS
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import blame
from ..shared import UNREADABLE, complain, moment_of, moments, name_argument, raw_option, reading
from ..trust import altered, complaint


@click.command("blame", cls=Command)
@name_argument
@moments
@listing()
@raw_option
@reading
def command(
    reader: Reader, name: str, at: Moment | None, seq: int | None, form: str, raw: bool
) -> int:
    """Each line of the config with the deploy that brought it, and its author where one is known.

    A removal does not end a line's history, and neither does a rename, where one vassal is removed
    and another comes with the same text. ^ marks a line that may be older: the journal does not go
    back further.
    """
    moment = moment_of(reader, at, seq)
    lines = blame.blame(reader, name, moment)
    if form == "short":
        write(blame.told(reader, name, lines), raw=raw)
    else:
        write(formatted(form, blame.COLUMNS, blame.records(reader, lines)), raw=raw)
    last = reader.last_of(name, DEPLOYS, moment)
    if last is not None and last[2] not in DEPLOYED:
        complain(f"{name} is not there any more: event {last[0]} removed it")
    bad = altered(reader, (line.version.seq for line in lines))
    return complain(complaint(reader, bad), UNREADABLE) if bad else 0

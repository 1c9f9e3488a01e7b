"""``state``: the fleet as it stood."""

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import Command
from ...daemon.cli.tables import formatted, listing, write
from ...daemon.core.records import fleet_record, vassal_columns
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import state
from ..rebuild import fleet_at
from ..shared import moment_of, moments, print_lines, reading


@click.command("state", cls=Command)
@moments
@click.option("--full", is_flag=True, help="Fold from the beginning, without snapshots.")
@listing()
@reading
def command(reader: Reader, at: Moment | None, seq: int | None, full: bool, form: str) -> None:
    """The fleet as it stood."""
    fleet = fleet_at(reader, moment_of(reader, at, seq), full)
    if form == "short":
        print_lines(state.lines(fleet))
    elif form == "json":
        write([escapes.encode(fleet_record(fleet)), b"\n"])
    else:
        write(formatted(form, vassal_columns(), fleet_record(fleet)["vassals"]))

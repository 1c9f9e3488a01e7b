"""``state``: the fleet as it stood."""

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import TIME, Command
from ...daemon.cli.tables import formatted, listing, write
from ...daemon.core.fleet import Fleet
from ...daemon.core.records import fleet_record, vassal_columns
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import state, state_diff
from ..rebuild import fleet_at
from ..shared import moment_of, moments, print_lines, reading


@click.command("state", cls=Command)
@moments
@click.option(
    "--diff", "since", type=TIME, metavar="T1",
    help="What differs from then to T2; to --at, --seq or the present where there is no T2.",
)  # fmt: skip
@click.argument("until", metavar="[T2]", required=False, type=TIME)
@click.option("--full", is_flag=True, help="Fold from the beginning, without snapshots.")
@listing()
@reading
def command(
    reader: Reader, at: Moment | None, seq: int | None, since: Moment | None,
    until: Moment | None, full: bool, form: str,
) -> None:  # fmt: skip
    """The fleet as it stood, or what differs between two moments."""
    if until is not None:
        if since is None:
            raise click.UsageError("a second moment is for --diff; to see the fleet, say --at")
        if at is not None or seq is not None:
            raise click.UsageError("T2, --at and --seq all say the second moment; give one of them")
        at = until
    fleet = fleet_at(reader, moment_of(reader, at, seq), full)
    if since is not None:
        _print_diff(fleet_at(reader, moment_of(reader, since, None), full), fleet, form)
    elif form == "short":
        print_lines(state.lines(fleet))
    elif form == "json":
        write([escapes.encode(fleet_record(fleet)), b"\n"])
    else:
        write(formatted(form, vassal_columns(), fleet_record(fleet)["vassals"]))


def _print_diff(old: Fleet, new: Fleet, form: str) -> None:
    if form == "short":
        print_lines(state_diff.lines(old, new))
    elif form == "json":
        write([escapes.encode(state_diff.record(old, new)), b"\n"])
    else:
        write(formatted(form, state_diff.COLUMNS, state_diff.differences(old, new)))

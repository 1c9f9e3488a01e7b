"""``runs``: which config each vassal ran, from when to when."""

from collections.abc import Sequence

import click

from ...daemon.cli.commandline import TIME, Command
from ...daemon.cli.tables import aligned, formatted, listing, write
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import runs
from ..names import chosen
from ..rebuild import NotFound
from ..shared import check_order, names_argument, print_lines, reading


@click.command("runs", cls=Command)
@names_argument
@click.option("--config", metavar="DIGEST", help="Only this config: the beginning of its digest.")
@click.option("--behind", is_flag=True, help="Only where another config was wanted meanwhile.")
@click.option("--since", type=TIME, metavar="T", help="Only what ran then or later.")
@click.option("--until", type=TIME, metavar="T", help="Only what ran then or before.")
@listing()
@reading
def command(
    reader: Reader, names: Sequence[str], config: str | None, behind: bool,
    since: Moment | None, until: Moment | None, form: str,
) -> None:  # fmt: skip
    """The configs that each vassal ran, from when to when.

    A line says as well for how long another config was wanted meanwhile.
    """
    check_order(reader, since, until)
    among = set(chosen(reader, names)) if names else None
    first = reader.anchor.seq + 1 if since is None else reader.seq_before(since) + 1
    last = reader.head.seq if until is None else reader.seq_of(until)
    now = _end(reader, last, until)
    told = [
        run
        for run in runs.runs(reader, among, first, last, now)
        if (config is None or (run.config or "").startswith(config.lower()))
        and (run.behind or not behind)
    ]
    if form != "short":
        write(formatted(form, runs.COLUMNS, (runs.run_record(run, now) for run in told)))
        return
    if not told:
        raise NotFound("no vassal ran such a config then; 'emperor-replay runs' has all")
    print_lines(aligned(runs.head(now), [runs.cells(run, now) for run in told]))


def _end(reader: Reader, last: int, until: Moment | None) -> int:
    """When the answer ends: at T, yet no later than the record; else with the last event."""
    row = reader.row(reader.head.seq if isinstance(until, int) else last)
    at = 0 if row is None else row[1]
    return min(until, at) if isinstance(until, int) else at

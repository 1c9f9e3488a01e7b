"""``emperor-ctl archive``: older events leave the journal of the running daemon."""

import click

from ...journal.quantities import size_text
from ...journal.times import EventNumber, Moment, rfc3339
from ...monitors.names import shown
from ..cli.commandline import TIME, Command
from .asking import ask
from .format import as_json as json_option
from .format import print_json
from .output_path import absolute

_LONG = 7 * 24 * 3600.0  # seconds: it ends with its daemon


@click.command("archive", cls=Command)
@click.option(
    "--before", "before", type=TIME, metavar="T", required=True,
    help="Move the events from before this time.",
)  # fmt: skip
@click.option(
    "-o", "--output", "file", type=click.Path(dir_okay=False), metavar="FILE.db",
    help="Write the archive to this file, which is new."
    "  [default: the journal's path + .archives/FIRST-LAST.db]",
)  # fmt: skip
@json_option
@click.pass_obj
def command(path: str, before: Moment, file: str | None, as_json: bool) -> None:
    """Move older events to an archive; the daemon runs on.

    Another process writes and verifies the archive. Then the daemon removes its events from the
    journal, some thousand at a time. A run that was ended is gone on with by the same command. The
    last 100 events stay. Exits with 0 also where no event is to be moved.
    """
    when = f"@{before.seq}" if isinstance(before, EventNumber) else rfc3339(before)
    request = {"do": "archive", "before": when}
    if file is not None:
        request["file"] = absolute(file, "--output")
    answer = ask(path, request, _LONG)
    if as_json:
        print_json(answer)
    elif answer["archive"] is None:
        print(f"{shown(answer['journal'])}: nothing to archive: {shown(answer['reason'])}")
    else:
        print(
            f"{shown(answer['archive'])}: events {answer['first']} to {answer['last']}, verified;"
            f" {shown(answer['journal'])} goes on from event {answer['last'] + 1}, and is"
            f" {size_text(answer['bytes_after'])} (it was {size_text(answer['bytes_before'])})"
        )

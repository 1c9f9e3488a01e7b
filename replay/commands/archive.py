"""``archive``: older events go to a file of their own, where no daemon has the journal."""

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import FAILED, TIME, Command
from ...daemon.cli.tables import write
from ...journal.errors import JournalError
from ...journal.times import Moment
from .. import archiving
from ..event_text import Progress
from ..shared import SOURCES, complain


@click.command("archive", cls=Command)
@click.option(
    "--before", "before", type=TIME, metavar="T", required=True,
    help="Move the events from before this time.",
)  # fmt: skip
@click.option(
    "-o", "--output", "file", type=click.Path(dir_okay=False), metavar="FILE.db", required=True,
    help="Write the archive to this file, which is new.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def command(context: click.Context, before: Moment, file: str, as_json: bool) -> None:
    """Move older events to an archive.

    No daemon may have the journal meanwhile. The archive is a journal of its own. It is verified
    before anything is removed. All commands read it alone, or as one with the journal:
    --journal FILE.db --journal JOURNAL.

    The last 100 events stay. Exits with 0 also where no event is to be moved.
    """
    path = context.obj
    if context.meta[SOURCES][0].archives:
        raise click.UsageError("--journal names the journal alone, without its archives")
    progress = Progress()
    try:
        done = archiving.archive(path, before, file, progress)
    except JournalError as error:
        progress.done()
        context.exit(complain(error, FAILED))
    progress.done()
    if as_json:
        write([escapes.encode(archiving.record(path, done)), b"\n"])
    else:
        write([f"{archiving.line(path, done)}\n".encode()])

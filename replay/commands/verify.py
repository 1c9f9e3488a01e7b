"""``verify``: is the record whole, and does the fold come to the same?"""

import sys

import click

from ...daemon.cli.commandline import Command
from ...journal.errors import JournalError
from .. import verify
from ..shared import UNREADABLE, complain, print_lines
from ..words import Progress


@click.command("verify", cls=Command)
@click.pass_obj
def command(path: str) -> None:
    """Check and fold everything: are chain, actions and snapshots the same?

    Exits with 0 if they are, 1 if the fold diverged from the record, 3 if the record is damaged.
    """
    progress = Progress()
    try:
        verdict = verify.verify(path, progress)
    except JournalError as error:
        progress.done()
        sys.exit(complain(error, UNREADABLE))
    progress.done()
    if verdict.open_end is not None:
        complain(verdict.open_end)
    print_lines(verify.lines(path, verdict))
    sys.stdout.flush()
    sys.exit(verdict.exit_code)

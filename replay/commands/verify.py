"""``verify``: is the record whole, and does the fold come to the same?"""

import sys

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import Command
from ...daemon.cli.tables import write
from ...journal.errors import JournalError
from .. import verdict_record, verify, witnessed
from ..shared import UNREADABLE, complain, print_lines
from ..words import Progress


@click.command("verify", cls=Command)
@click.option(
    "--witness",
    metavar="FILE",
    help="Compare with what 'emperor --witness' wrote there; - reads standard input.",
)
@click.option(
    "--witness-key", metavar="FILE", help="Check its signatures by this public key (PEM)."
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def command(path: str, witness: str | None, witness_key: str | None, as_json: bool) -> None:
    """Check and fold everything: are chain, actions and states the same?

    Exits with 0 if they are, 1 if the fold diverged from the record, 3 if the record is damaged, or
    is not what a witness has of it.
    """
    progress = Progress()
    if witness_key is not None and witness is None:
        raise click.UsageError("--witness-key checks the lines of --witness; give that, too")
    try:
        # Before the journal: what a daemon writes meanwhile is in both.
        lines = None if witness is None else witnessed.read(witness, witness_key)
        verdict = verify.verify(path, progress, lines)
    except JournalError as error:
        progress.done()
        sys.exit(complain(error, UNREADABLE))
    progress.done()
    if verdict.open_end is not None:
        complain(verdict.open_end)
    if as_json:
        write([escapes.encode(verdict_record.record(path, verdict)), b"\n"])
    else:
        print_lines(verify.lines(path, verdict))
    sys.stdout.flush()
    sys.exit(verdict.exit_code)

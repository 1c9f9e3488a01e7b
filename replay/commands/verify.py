"""``verify``: is the record whole, and does the fold come to the same?"""

import sys
from collections.abc import Sequence
from itertools import chain

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import Command
from ...daemon.cli.tables import write
from ...journal.errors import JournalError
from ...journal.reading import open_journal
from .. import against, verdict_record, verify, witnessed
from ..event_text import Progress
from ..shared import SOURCES, UNREADABLE, complain, print_lines
from ..since_verified import Since
from ..verify import Verdict


@click.command("verify", cls=Command)
@click.option(
    "--witness",
    metavar="FILE",
    help="Compare with what 'emperor --witness' wrote there; - reads standard input.",
)
@click.option(
    "--witness-key", "witness_keys", metavar="FILE", multiple=True,
    help="Check its signatures by this public key (PEM); again for a key that was replaced.",
)  # fmt: skip
@click.option(
    "--since-verified", "mark", metavar="FILE",
    help="Fold only the events behind those that a former run compared, as FILE says, and write"
    " to FILE how far it came. Without FILE, all is folded.",
)  # fmt: skip
@click.option(
    "--against", "copy", metavar="COPY.db",
    help="Compare with another copy of this journal: events and texts that differ.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def command(
    context: click.Context, witness: str | None, witness_keys: Sequence[str], mark: str | None,
    copy: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Check chain, actions and states, by folding all again.

    Exits with 0 if chain, actions and states are, and with 1 if the fold diverged from the record.
    Exits with 3 if the record is damaged, or is not what a witness or another copy has of it.
    """
    progress = Progress()
    path, archives = context.obj, context.meta[SOURCES][0].archives
    if archives and (mark is not None or copy is not None):
        raise click.UsageError("--since-verified and --against take a journal without archives")
    if witness_keys and witness is None:
        raise click.UsageError("--witness-key checks the lines of --witness; give --witness, too")
    try:
        # Before the journal: what a daemon writes meanwhile is in both.
        lines = None if witness is None else witnessed.read(witness, witness_keys)
        since = None if mark is None else Since(mark)
        verdict = verify.verify(path, progress, lines, since, archives)
        found = None if copy is None else _compared(path, copy)
    except JournalError as error:
        progress.done()
        sys.exit(complain(error, UNREADABLE))
    progress.done()
    if verdict.open_end is not None:
        complain(verdict.open_end)
    if as_json:
        told = verdict_record.record(path, verdict)
        more = {} if found is None else {"against": against.record(found)}
        write([escapes.encode({**told, **more}), b"\n"])
    else:
        print_lines(
            chain(verify.lines(path, verdict), () if found is None else against.lines(found))
        )
    sys.stdout.flush()
    if since is not None and verdict.exit_code == 0:
        _note_how_far(since, verdict)
    sys.exit(verdict.exit_code if found is None or not found.count else UNREADABLE)


def _note_how_far(since: Since, verdict: Verdict) -> None:
    """Write the file of the next run. Exits where it cannot be written."""
    if verdict.next_mark is None:
        complain(
            f"{since.path}: not written: only a journal of 50,000 events and more can be verified"
            " from there on, and while no daemon writes to it"
        )
        return
    try:
        since.write(verdict.next_mark)
    except JournalError as error:
        sys.exit(complain(error, UNREADABLE))


def _compared(path: str, copy: str) -> against.Against:
    with open_journal(path) as here, open_journal(copy) as there:
        return against.compare(here, there)

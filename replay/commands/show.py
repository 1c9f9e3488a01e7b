"""``show``: a config text as deployed."""

from hashlib import sha256

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import Command
from ...daemon.cli.tables import write
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import bisection, texts
from ..shared import moment_of, moments_or_until, name_argument, raw_option, reading


@click.command("show", cls=Command)
@name_argument
@moments_or_until
@click.option("--running", is_flag=True, help="The text that its process has, not the wanted one.")
@click.option("--last-good", "good", is_flag=True, help="The last text before the bad deploys.")
@click.option("--json", "as_json", is_flag=True, help="For programs: with its digest.")
@raw_option
@reading
def command(
    reader: Reader, name: str, at: Moment | None, seq: int | None, running: bool, good: bool,
    as_json: bool, raw: bool,
) -> None:  # fmt: skip
    """The config text as deployed, which its process may not have yet: see --running.

    Its bytes are unchanged in a pipe. On a terminal what is not printable is escaped.
    """
    if running and good:
        raise click.UsageError("--running and --last-good both say which text; give one")
    text = bisection.last_good if good else texts.running if running else texts.deployed
    found = text(reader, name, moment_of(reader, at, seq))
    if as_json:
        digest = sha256(found).hexdigest()
        one = {"vassal": name, "config": digest, "text": found.decode("utf-8", "backslashreplace")}
        found = escapes.encode(one) + b"\n"
    write([found], raw=raw)

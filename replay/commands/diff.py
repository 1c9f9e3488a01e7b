"""``diff``: the difference between two config texts of a vassal."""

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import Command
from ...daemon.cli.tables import write
from ...journal.reading import Reader
from .. import texts
from ..shared import name_argument, raw_option, reading


@click.command("diff", cls=Command)
@name_argument
@click.argument("from_", metavar="[FROM]", required=False)
@click.argument("to", metavar="[TO]", required=False)
@click.option(
    "--running",
    is_flag=True,
    help="From the config that its process has, or had last, to the one that is wanted.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@raw_option
@reading
def command(
    reader: Reader, name: str, from_: str | None, to: str | None, running: bool, as_json: bool,
    raw: bool,
) -> None:  # fmt: skip
    """Unified diff between two deployed configs; the last two unless told.

    FROM and TO are numbers of events, digests (4 characters or more of one) or times (T).
    """
    if running and from_ is not None:
        raise click.UsageError("--running says which configs are compared; give no FROM and TO")
    lines = texts.diff_to_wanted(reader, name) if running else texts.diff(reader, name, from_, to)
    try:
        if as_json:
            told = b"".join(lines).decode("utf-8", "backslashreplace")
            lines = iter([escapes.encode({"vassal": name, "diff": told}), b"\n"])
        write(lines, raw=raw)
    except ValueError as error:
        raise click.UsageError(str(error)) from None

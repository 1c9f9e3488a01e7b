"""``diff``: the difference between two config texts of a vassal."""

from collections.abc import Sequence

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import Command
from ...daemon.cli.name_arguments import vassals_of
from ...daemon.cli.nearest import is_pattern
from ...daemon.cli.tables import write
from ...journal.reading import Reader
from .. import texts
from ..completing import VASSALS
from ..of_source import monitor_option
from ..rebuild import fleet_at
from ..several import of_each
from ..shared import raw_option, reading


@click.command("diff", cls=Command)
@click.argument(
    "words", metavar="NAME... [FROM] [TO]", nargs=-1, required=True, callback=vassals_of,
    shell_complete=VASSALS,
)  # fmt: skip
@click.option(
    "--running",
    is_flag=True,
    help="From the config that its process has, or had last, to the one that is wanted.",
)
@monitor_option
@click.option("--json", "as_json", is_flag=True, help="For programs; several are an array.")
@raw_option
@reading
def command(
    reader: Reader, words: Sequence[str], running: bool, monitor: str | None, as_json: bool,
    raw: bool,
) -> None:  # fmt: skip
    """The difference of two deployed configs, as a unified diff.

    Without FROM and TO these are the last two. FROM and TO are numbers of events, digests (4
    characters or more of one) or times (T). Of several names or a pattern ('app-*') it has a diff
    for each vassal whose texts differ. The words behind the first are names as long as they are
    patterns, or vassals that were ever known.
    """
    names, (old, new) = _split(reader, words)
    if running and old is not None:
        raise click.UsageError("--running says which configs are compared; give no FROM and TO")
    fleet = fleet_at(reader, reader.head.seq) if running else None

    def look(name: str) -> tuple[str, bytes]:
        if fleet is not None:
            return name, b"".join(texts.diff_to_wanted(reader, fleet, name))
        return name, b"".join(texts.diff(reader, name, old, new))

    try:
        found, several = of_each(reader, names, look, monitor)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        records = [
            {"vassal": name, "diff": told.decode("utf-8", "backslashreplace")}
            for name, told in found
            if told or not several
        ]
        write([escapes.encode(records if several else records[0]), b"\n"])
    else:
        write((told for _, told in found), raw=raw)


def _split(
    reader: Reader, words: Sequence[str]
) -> tuple[Sequence[str], tuple[str | None, str | None]]:
    """The names, and FROM and TO."""
    count = 1
    while count < len(words) and (is_pattern(words[count]) or reader.first_of(words[count])):
        count += 1
    rest = words[count:]
    if len(rest) > 2:
        raise click.UsageError(
            f"{rest[0]} is no vassal that was ever known here; FROM and TO are two"
        )
    return words[:count], (rest[0] if rest else None, rest[1] if len(rest) > 1 else None)
